"""How long after the fact things were seen, and hooks begun: by the marketplace's times, over one day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.fleet.model import BidEvent
from mithrild.store import outbox
from mithrild.store.database import Database
from mithrild.store.history import Remembered, write_history
from mithrild.store.latency import Latencies, Latency, Spread, _spread, measure
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    PROJECT,
    HandClock,
    a_bid,
    a_rule,
    an_instance,
    at,
    keep,
    opened,
    poll,
    settle_one,
    sql,
)


def figures(database: Database, seconds: float = 100) -> Latency:
    with database.read() as connection:
        return measure(connection, at(seconds))


def rounded(spread: Spread | None) -> Spread | None:
    """SQLite tells moments to the millisecond."""
    return spread and Spread(spread.count, *(round(one, 2) for one in (spread.p50, spread.p95, spread.worst)))


def tell(database: Database, *steps: BidEvent, ahead: float = 0) -> None:
    """The marketplace's history of bid_1."""
    told = Remembered("bid_1", PROJECT.fid, steps, {}, ahead=timedelta(seconds=ahead))
    write_history(database, told, [], host=HOST, now=at(90))


def test_a_step_that_a_poll_saw_is_timed_once_the_history_tells_when_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(status="Open")))
        keep(database, poll(60, a_bid()), window=lambda _: at(50))
        assert figures(database) == Latency(at(100), None, 1, None, None)
        tell(database, BidEvent("Placed", at(-3600)), BidEvent("Allocated", at(57.5)))
        assert rounded(figures(database).seen) == Spread(1, 3.5, 3.5, 3.5)


def test_times_are_compared_by_one_clock(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        ahead = timedelta(minutes=10)
        keep(database, replace(poll(0, a_bid(status="Open")), ahead=ahead))
        keep(database, replace(poll(60, a_bid()), ahead=ahead), window=lambda _: at(50))
        tell(database, BidEvent("Allocated", at(657.5)), ahead=600)
        assert rounded(figures(database).seen) == Spread(1, 3.5, 3.5, 3.5)


def test_what_nobody_saw_in_time_is_counted_and_not_timed(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(status="Open")))
        keep(database, poll(60, a_bid()), window=lambda _: at(0))
        steps = BidEvent("Allocated", at(10)), BidEvent("Preempted", at(20)), BidEvent("Allocated", at(58))
        tell(database, *steps)
        backfilled = sql(database, "SELECT count(*) FROM transitions WHERE provenance = 'backfilled'")[0][0]
        assert backfilled
        told = figures(database)
        assert told.unseen == 1 + backfilled  # the first sight, and these
        assert rounded(told.seen) == Spread(1, 3, 3, 3)


def test_only_the_last_day_counts(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(status="Open")))
        keep(database, poll(60, a_bid()), window=lambda _: at(50))
        tell(database, BidEvent("Allocated", at(57.5)))
        assert figures(database, 86_400 + 60).seen is not None
        assert figures(database, 86_400 + 62).seen is None


def test_the_first_try_of_a_hook_is_timed_and_what_was_left_of_its_notice(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        rules = [a_rule("save", "instance.preempting")]
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(60, a_bid(), an_instance(status=PREEMPTING), deadlines={"inst_1": at(300)}), rules)
        assert figures(database).hooks is None
        (one,) = outbox.claim(database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(70))
        settle_one(database, one, outbox.Outcome("pending", "retry", next_at=at(75)), run="run_1", now=at(71))
        outbox.claim(database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(80))
        told = figures(database)
        assert rounded(told.hooks) == Spread(1, 9, 9, 9)  # seen at 61, begun at 70; no second try
        assert told.least_left == pytest.approx(230, abs=0.01)
        for column in ("by_hand = 1", "rehearsal = 'drill_1'"):
            sql(database, f"UPDATE deliveries SET by_hand = 0, rehearsal = NULL, {column}")
            assert figures(database).hooks is None, "what a person asked for is nobody's delay"


def test_a_day_of_a_large_fleet_is_not_sorted_at_every_question(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        clock = HandClock(100)
        latencies = Latencies(database, clock)
        first = latencies.latest()
        keep(database, poll(0, a_bid()))
        clock.turn_to(129)
        assert latencies.latest() is first
        clock.turn_to(131)
        assert latencies.latest().unseen == 1
        with database.read() as connection:
            plan = connection.exec_driver_sql(
                "EXPLAIN QUERY PLAN SELECT 1 FROM transitions WHERE observed_at >= '2026'"
            ).all()
        assert "transitions_observed" in str(plan)


@pytest.mark.parametrize(
    ("seconds", "spread"),
    [
        ([], None),
        ([2.0], Spread(1, 2, 2, 2)),
        ([3.0, 1.0], Spread(2, 1, 3, 3)),
        ([float(one) for one in range(1, 101)], Spread(100, 50, 95, 100)),
        ([-0.4, 0.5], Spread(2, 0, 0.5, 0.5)),  # what is left of the difference of two clocks
    ],
)
def test_the_spread_of_seconds(seconds: list[float], spread: Spread | None) -> None:
    assert _spread(seconds) == spread
