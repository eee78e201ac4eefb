"""How lively a fleet is, and when it is looked at next."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet.auction_clock import Rhythm
from mithrild.fleet.model import Bid, Instance
from mithrild.fleet.pace import LIVELIEST, Intervals, Pace, interval, liveliest, pace_of, prices_interval
from tests.unit.fleet_builders import bid, cluster, fleet, instance, moment

OFTEN = Intervals(changing=2, active=5, idle=30)
TWO_MINUTES = Rhythm(period=120, moment=1000)
JUST_NOW, LONG_AGO = 10, 20 * 60  # seconds since it is as it is


@pytest.mark.parametrize(
    ("things", "seconds", "pace"),
    [
        ([], JUST_NOW, "idle"),
        ([cluster(status="Pending")], JUST_NOW, "idle"),
        ([bid(), instance()], JUST_NOW, "active"),
        ([bid(), instance()], LONG_AGO, "active"),
        ([bid(), instance(status="STATUS_STARTING")], JUST_NOW, "changing"),
        ([bid(), instance(status="STATUS_PREEMPTING")], JUST_NOW, "changing"),
        ([bid(), instance(status="STATUS_RELOCATING")], JUST_NOW, "changing"),
        ([bid(), instance(status="STATUS_NEVER_HEARD_OF")], JUST_NOW, "changing"),
        ([bid(), instance(status="STATUS_STARTING")], LONG_AGO, "active"),  # it is stuck there
        ([bid(status="Preempting"), instance()], JUST_NOW, "changing"),
        ([bid(status="Preempting"), instance()], LONG_AGO, "active"),
        ([bid()], JUST_NOW, "changing"),  # allocated, and its instances are not listed yet
        ([bid(instance_quantity=2), instance()], JUST_NOW, "changing"),
        ([bid(), instance(status="STATUS_ERROR")], LONG_AGO, "active"),
        ([bid(status="Open")], JUST_NOW, "changing"),  # just bid
        ([bid(status="Open")], LONG_AGO, "waiting"),
        ([bid(status="Open"), bid("bid_2"), instance(bid="bid_2")], LONG_AGO, "active"),
        ([bid("bid_2"), instance(bid="bid_2"), bid(status="Open")], LONG_AGO, "active"),
        ([bid(status="Paused")], JUST_NOW, "idle"),
        ([bid(status="Paused"), instance(status="STATUS_STOPPING")], JUST_NOW, "changing"),
        ([bid(status="Paused"), instance(status="STATUS_PAUSED")], LONG_AGO, "idle"),
        ([bid(status="Terminated"), instance(status="STATUS_TERMINATED")], JUST_NOW, "idle"),
        ([bid(status="Unheard")], LONG_AGO, "active"),
        ([instance(bid=None)], JUST_NOW, "idle"),  # reserved
        ([instance(bid=None, status="STATUS_STARTING")], JUST_NOW, "changing"),
    ],
)
def test_the_pace_of_a_fleet(things: list[Bid | Instance], seconds: float, pace: Pace) -> None:
    assert pace_of(fleet(*things), moment(seconds)) == pace


def test_what_is_gone_has_no_pace() -> None:
    things = bid(), instance(status="STATUS_STARTING")
    assert pace_of(fleet(*things, gone=["bid_1", "inst_1"]), moment(JUST_NOW)) == "idle"


@pytest.mark.parametrize("minutes", [-600, -10, 10, 600])
def test_a_time_of_the_marketplaces_clock_may_be_meant(minutes: int) -> None:
    ahead = timedelta(minutes=minutes)
    assert pace_of(fleet(bid(status="Open")), moment(JUST_NOW) - ahead, ahead) == "changing"
    assert pace_of(fleet(bid(status="Open")), moment(JUST_NOW), ahead) == "changing"


def test_a_clock_that_was_set_back_does_not_hurry_for_hours() -> None:
    assert pace_of(fleet(bid(), instance(status="STATUS_STARTING")), moment(-4 * 3600)) == "active"


def test_the_liveliest_of_several_projects_counts() -> None:
    assert liveliest(["idle", "changing", "active"]) == "changing"
    assert liveliest([]) == "idle"


@pytest.mark.parametrize(("pace", "seconds"), [("changing", 2), ("active", 5), ("waiting", 30), ("idle", 30)])
def test_without_a_rhythm_the_pace_alone_counts(pace: Pace, seconds: float) -> None:
    assert interval(pace, OFTEN, None, 1000) == seconds


def test_what_changes_is_never_looked_at_less_often_than_what_rests() -> None:
    assert interval("changing", Intervals(changing=2, active=0.25, idle=0.25), None, 1000) == 0.25


@pytest.mark.parametrize(
    ("pace", "since", "seconds"),
    [
        ("active", 0.2, 0.8),  # the marketplace is given a second
        ("active", 0.999, 2),  # and clocks wake a little early
        ("active", 1, 2),
        ("active", 19, 2),
        ("active", 20, 5),
        ("active", 60, 5),
        ("active", 118, 3),  # the next one is a second away, and a second after it
        ("waiting", 1, 2),
        ("waiting", 21, 30),
        ("waiting", 100, 21),
        ("changing", 60, 2),
        ("changing", 119.5, 1.5),
        ("idle", 1, 30),
        ("idle", 119, 30),
    ],
)
def test_looks_are_densest_just_after_an_auction(pace: Pace, since: float, seconds: float) -> None:
    for auction in (1000, 1000 + 77 * 120, 1000 - 120):
        assert interval(pace, OFTEN, TWO_MINUTES, auction + since) == pytest.approx(seconds)


def test_auctions_in_quick_succession_are_not_waited_for() -> None:
    assert interval("active", OFTEN, Rhythm(2, 1000), 1000.5) == 5
    assert interval("active", Intervals(0.25, 0.25, 0.25), Rhythm(2, 1000), 1001.9) == pytest.approx(0.1 + 2 / 120)


def test_two_minutes_of_a_fleet_at_work_cost_few_looks() -> None:
    """Five requests each: this is what `requests_per_minute` has to hold."""
    looks: dict[Pace, int] = {}
    for pace in LIVELIEST:
        now = 1000.0 + 1
        while now < 1000 + 121 - 1e-6:
            now += interval(pace, OFTEN, TWO_MINUTES, now)
            looks[pace] = looks.get(pace, 0) + 1
    assert looks == {"changing": 60, "active": 30, "waiting": 14, "idle": 4}


@given(
    st.sampled_from(LIVELIEST),
    st.floats(0.1, 1000),
    st.floats(0, 1e10),
    st.tuples(st.floats(0.1, 60), st.floats(0.1, 60), st.floats(0.1, 600)),
)
def test_a_look_comes_no_later_than_without_the_rhythm_and_never_at_once(
    pace: Pace, period: float, now: float, seconds: tuple[float, float, float]
) -> None:
    often, rhythm = Intervals(*seconds), Rhythm(period, 1000)
    wait = interval(pace, often, rhythm, now)
    assert min(often.fast, often.idle, period / 240) <= wait * 1.000001
    assert wait <= interval(pace, often, None, now)


@pytest.mark.parametrize(
    ("pace", "since", "seconds"),
    [
        ("active", 0.4, 0.6),  # a second after it
        ("active", 0.999, 5.001),  # woken a little early
        ("active", 1, 5),  # and six
        ("active", 6, 109),  # five before the next one
        ("active", 60, 55),
        ("active", 115, 6),
        ("active", 115.001, 5.999),
        ("active", 114.9, 6.1),  # woken a little early
        ("waiting", 7, 108),
        ("idle", 1, 120),
        ("idle", 60, 61),
        ("idle", 118, 3),
    ],
)
def test_the_market_is_looked_at_around_the_auctions(pace: Pace, since: float, seconds: float) -> None:
    assert prices_interval(pace, 120, TWO_MINUTES, 1000 + since) == pytest.approx(seconds)


def test_who_wants_prices_seldom_gets_them_around_every_so_manieth_auction() -> None:
    assert prices_interval("active", 600, TWO_MINUTES, 1006) == pytest.approx(4 * 120 + 109)
    assert prices_interval("active", 600, TWO_MINUTES, 1115) == pytest.approx(6)
    assert prices_interval("idle", 600, TWO_MINUTES, 1001) == pytest.approx(600)


def test_while_the_rhythm_is_looked_for_prices_are_asked_more_often_if_anything_is_at_stake() -> None:
    often, seldom = pytest.approx(14.3, abs=0.1), 120
    assert [prices_interval(pace, 120, None, 1000) for pace in LIVELIEST] == [often, often, often, seldom]


@given(st.sampled_from(LIVELIEST), st.floats(1, 1000), st.floats(0.1, 1000), st.floats(0, 1e10))
def test_the_market_is_always_looked_at_again(pace: Pace, usual: float, period: float, now: float) -> None:
    wait = prices_interval(pace, usual, Rhythm(period, 1000), now)
    assert period / 240 <= wait * 1.000001
    assert wait <= usual + 2 * period
