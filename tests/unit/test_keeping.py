"""What may go, and what stays: tables of examples, and what must hold for any samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet import keeping
from mithrild.fleet.keeping import DAY, HOUR, Coarse, Limits, Sample

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def limits(**changes: object) -> Limits:
    usual: dict[str, object] = {
        "transitions": None,
        "output": timedelta(days=30),
        "output_bytes": 1000,
        "prices_whole": timedelta(days=2),
        "prices_hourly": timedelta(days=90),
        "prices_daily": timedelta(days=730),
    }
    return Limits(**(usual | changes))  # type: ignore[arg-type]  # a table of keyword arguments


def samples(*prices: tuple[int, int | None]) -> list[Sample]:
    """(minutes after noon, cents) of each; the id is its place."""
    return [Sample(id, NOON + minutes * MINUTE, cents) for id, (minutes, cents) in enumerate(prices)]


@pytest.mark.parametrize(
    ("prices", "stay"),
    [
        ([], []),
        ([(0, 500)], [0]),
        ([(0, 500), (2, 700), (4, 300), (6, 400)], [1, 2, 3]),
        ([(0, 500), (2, 500), (4, 500)], [0, 2]),  # the first time it was so low, and the last time it was so high
        ([(0, 300), (2, 700)], [0, 1]),
        ([(0, 300), (2, 400), (4, 700)], [0, 2]),
        ([(0, 500), (2, None), (4, 600), (6, None), (8, 550), (10, None)], [0, 2, 5]),  # nothing was for sale
        ([(0, None), (2, None), (4, None)], [2]),
        ([(0, 500), (59, 400), (60, 900), (61, 800), (62, 850)], [0, 1, 2, 3, 4]),  # two hours, each with its own three
        ([(4, 300), (0, 500), (6, 400), (2, 700)], [0, 2, 3]),  # in any order
    ],
)
def test_of_each_hour_the_lowest_the_highest_and_the_last_stay(
    prices: list[tuple[int, int | None]], stay: list[int]
) -> None:
    going = keeping.superfluous(samples(*prices), HOUR)
    assert sorted(set(range(len(prices))) - set(going)) == stay


MANY = st.lists(st.tuples(st.integers(0, 4000), st.none() | st.integers(1, 9)), max_size=80)


def kept(held: list[Sample], bucket: timedelta) -> list[Sample]:
    going = set(keeping.superfluous(held, bucket))
    return [sample for sample in held if sample.id not in going]


@given(MANY)
def test_thinning_again_drops_nothing_more(prices: list[tuple[int, int | None]]) -> None:
    once = kept(samples(*prices), HOUR)
    assert kept(once, HOUR) == once


@given(MANY)
def test_days_made_of_hours_keep_what_days_made_of_all_keep(prices: list[tuple[int, int | None]]) -> None:
    held = samples(*prices)
    assert kept(kept(held, HOUR), DAY) == kept(held, DAY)


@given(MANY)
def test_no_bucket_keeps_more_than_three_and_each_its_extremes(prices: list[tuple[int, int | None]]) -> None:
    held = samples(*prices)
    stay = kept(held, HOUR)
    for bucket in {keeping.floor(sample.at, HOUR) for sample in held}:
        before, after = (
            [sample.cents for sample in some if keeping.floor(sample.at, HOUR) == bucket] for some in (held, stay)
        )
        assert 1 <= len(after) <= 3
        for end in (min, max):
            assert end(filter(None, after), default=None) == end(filter(None, before), default=None)


@pytest.mark.parametrize(
    ("changes", "hourly", "daily", "gone"),
    [
        ({}, "2026-11-21T12:00", "2026-08-25T00:00", "2024-11-23T12:34"),
        ({"prices_whole": HOUR}, "2026-11-23T11:00", "2026-08-25T00:00", "2024-11-23T12:34"),
        # What is said of a later stage never holds for what an earlier one still keeps whole.
        ({"prices_hourly": HOUR}, "2026-11-21T12:00", "2026-11-21T00:00", "2024-11-23T12:34"),
        ({"prices_daily": timedelta(days=7)}, "2026-11-21T12:00", "2026-08-25T00:00", "2026-08-25T00:00"),
        ({"prices_daily": None}, "2026-11-21T12:00", "2026-08-25T00:00", None),
    ],
)
def test_prices_get_coarser_with_age(changes: dict[str, object], hourly: str, daily: str, gone: str | None) -> None:
    now, held = NOON + 34 * MINUTE, limits(**changes)
    moments = [datetime.fromisoformat(f"{text}+00:00") for text in (hourly, daily)]
    assert keeping.coarser(held, now) == (Coarse(HOUR, moments[0]), Coarse(DAY, moments[1]))
    assert keeping.too_old_prices(held, now) == (gone and datetime.fromisoformat(f"{gone}+00:00"))


def test_time_is_walked_by_days_of_utc() -> None:
    begin, end = NOON, NOON + timedelta(days=1, hours=3)
    midnight = NOON + timedelta(hours=12)
    assert list(keeping.windows(begin, end)) == [(begin, midnight), (midnight, end)]
    assert list(keeping.windows(end, begin)) == list(keeping.windows(end, end)) == []


@pytest.mark.parametrize(
    ("ages_and_sizes", "total", "changes", "count"),
    [
        ([], 0, {}, 0),
        ([(10, 400), (5, 600)], 1000, {}, 0),  # just as much as may be
        ([(10, 400), (5, 600)], 1001, {}, 1),
        ([(10, 400), (5, 600)], 1401, {}, 2),
        ([(31, 1), (30, 1), (29, 1)], 3, {}, 1),  # a month is not more than a month
        ([(99, 1), (98, 1)], 3, {"output": None}, 0),
        ([(99, 600), (98, 600)], 1200, {"output": None}, 1),
        ([(31, 500), (5, 600)], 1100, {}, 1),  # what is too old makes room
    ],
)
def test_what_hooks_printed_spills_over_by_age_and_by_size(
    ages_and_sizes: list[tuple[int, int]], total: int, changes: dict[str, object], count: int
) -> None:
    outputs = [(NOON - timedelta(days=age), size) for age, size in ages_and_sizes]
    assert keeping.spilled(outputs, total, limits(**changes), NOON) == count


@pytest.mark.parametrize(
    ("skew", "words"),
    [
        (timedelta(0), None),
        (timedelta(minutes=-10), None),
        (timedelta(days=1), None),
        (timedelta(days=-2), "are 2 days apart"),
        (timedelta(days=4000), "are 4000 days apart"),
        (None, "no answer of the marketplace"),
    ],
)
def test_age_is_judged_only_where_the_marketplace_has_confirmed_the_clock(
    skew: timedelta | None, words: str | None
) -> None:
    found = keeping.distrust(skew)
    assert found is None if words is None else words in (found or "")
