"""When to ask again: tables of examples, and what must hold for every draw."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet.schedule import backoff, next_poll, request_delay, retry_gap

DRAWS = st.floats(0, 1)


@pytest.mark.parametrize(
    ("attempt", "least", "most"),
    [(0, 0.5, 1), (1, 0.5, 1), (2, 1, 2), (3, 2, 4), (9, 128, 256), (10, 150, 300), (10**6, 150, 300)],
)
def test_backoff_doubles_up_to_its_cap(attempt: int, least: float, most: float) -> None:
    assert backoff(attempt, 0) == least
    assert backoff(attempt, 1) == most


@given(st.integers(1, 5000), DRAWS, st.floats(0.001, 100), st.floats(0.001, 10_000))
def test_backoff_stays_within_its_half(attempt: int, draw: float, first: float, cap: float) -> None:
    gap = backoff(attempt, draw, first=first, cap=cap)
    assert min(first, cap) / 2 <= gap <= cap * 1.000001


def poll(
    interval: float = 5,
    *,
    failures: int = 0,
    draw: float = 1,
    retry_after: float | None = None,
    cost: int = 4,
    cap: int = 300,
) -> float:
    return next_poll(
        interval,
        failures=failures,
        draw=draw,
        retry_after=retry_after,
        cost=cost,
        cap_per_minute=cap,
    )


def test_a_costly_poll_stretches_the_interval_to_four_fifths_of_the_cap() -> None:
    assert poll(cost=20) == 5  # 20 requests every 5 s are 240 a minute: just within
    assert poll(cost=21) == pytest.approx(5.25)
    assert poll(cost=480) == pytest.approx(120)
    assert poll(cost=8, cap=10) == pytest.approx(60)
    assert poll(cost=8, cap=0) > 0


def test_failures_back_off_to_five_minutes() -> None:
    assert [poll(failures=n) for n in (1, 2, 3, 4, 7, 50)] == [5, 10, 20, 40, 300, 300]
    assert poll(failures=50, draw=0) == 150
    assert poll(30, failures=1, draw=0) == 30  # never sooner than without a failure


def test_retry_after_is_the_least() -> None:
    assert poll(retry_after=120) == 120
    assert poll(retry_after=1) == 5
    assert poll(failures=3, retry_after=900) == 900


@given(st.floats(0.1, 99), st.integers(0, 99), DRAWS, st.floats(0, 3600), st.integers(0, 9999), st.integers(1, 9999))
def test_no_poll_breaks_the_budget_or_comes_before_it_may(
    interval: float, failures: int, draw: float, retry_after: float, cost: int, cap: int
) -> None:
    wait = poll(interval, failures=failures, draw=draw, retry_after=retry_after, cost=cost, cap=cap)
    assert wait >= interval
    assert wait >= retry_after
    assert cost * 60 / wait <= cap * 0.8 * 1.000001


def test_tries_of_a_notice_fit_its_five_minutes() -> None:
    left, attempt, gaps = 300.0, 1, []
    while (gap := retry_gap(attempt, until_deadline=left, draw=0.5)) is not None:
        gaps.append(gap)
        left -= gap
        attempt += 1
    assert gaps == [2, 5, 10, 20, 40, 40, 40, 40, 40, 40, 22]
    assert left == 1  # the last try starts with a second to spare


@pytest.mark.parametrize("left", [1.0, 0.5, 0.0, -1.0, -1e9])
def test_no_try_after_the_deadline(left: float) -> None:
    assert retry_gap(1, until_deadline=left, draw=0) is None


@given(st.integers(0, 100), st.floats(-1000, 1000), DRAWS)
def test_a_gap_leaves_room_for_its_try(attempt: int, left: float, draw: float) -> None:
    gap = retry_gap(attempt, until_deadline=left, draw=draw)
    assert gap is None or 0 < gap <= min(40, left - 1)


def test_without_a_deadline_the_gaps_grow_to_an_hour() -> None:
    assert [retry_gap(n, until_deadline=None, draw=1) for n in (1, 2, 3, 9, 10, 99)] == [
        10,
        20,
        40,
        2560,
        3600,
        3600,
    ]
    assert retry_gap(1, until_deadline=None, draw=0) == 5


@pytest.mark.parametrize(
    ("asked", "left", "gap"),
    [
        (None, None, 5),
        (3, None, 5),  # sooner than we would come anyway
        (60, None, 60),
        (9000, None, 3600),  # nothing waits longer than an hour
        (-1, None, 5),
        (1, 300, 2),
        (30, 300, 30),
        (600, 300, 299),  # the last moment at which a try makes sense
        (600, 1, None),
    ],
)
def test_a_target_that_asks_for_more_time_gets_it(asked: float | None, left: float | None, gap: float | None) -> None:
    assert retry_gap(1, until_deadline=left, draw=0, retry_after=asked) == gap


@pytest.mark.parametrize(
    ("spent", "now", "cap", "urgent", "delay"),
    [
        ([], 0, 10, False, 0),
        ([0] * 8, 5, 10, False, 0),
        ([0] * 9, 5, 10, False, 55),  # a tenth is kept …
        ([0] * 9, 5, 10, True, 0),  # … for this
        ([0] * 10, 5, 10, True, 55),
        ([0] * 10, 60, 10, True, 0),  # a request is forgotten after exactly a minute
        ([*range(10)], 20, 10, True, 40),
        ([*range(10)], 20, 5, True, 45),  # a lowered cap waits for six of ten to leave
        ([0], 1, 1, False, 59),  # a cap of one has no slice to keep
        ([], 0, 1, False, 0),
        ([0], 1, 2, False, 59),
        ([0], 1, 2, True, 0),
    ],
)
def test_request_delay(spent: list[float], now: float, cap: int, urgent: bool, delay: float) -> None:
    assert request_delay(spent, now, cap, urgent) == delay


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=60), st.integers(1, 12), st.floats(0, 1e6))
def test_no_sliding_minute_holds_more_than_the_cap(arrivals: list[tuple[float, bool]], cap: int, start: float) -> None:
    now, spent = start, deque[float]()
    for gap, urgent in arrivals:
        now += gap
        for _ in range(5):  # rounding may need a second look, never many
            if (delay := request_delay(spent, now, cap, urgent)) == 0:
                break
            now += delay
        else:
            pytest.fail("the delay does not lead to a time at which a request may be sent")
        spent.append(now)
        assert sum(then + 60 > now for then in spent) <= cap
