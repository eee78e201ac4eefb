"""When a second answer and a look between the two show that a bid stands as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mithrild.watcher.wait import Answered, Wait

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NEWEST = 7  # the last transition when the question was put


def answered(seconds: float, *, line: float = 0, set_by: float = 0) -> Answered:
    """An answer of so many seconds after noon, with a newest line of then; our clock was set by so much before it."""
    return Answered(NOON + timedelta(seconds=seconds), timedelta(seconds=set_by), NOON + timedelta(seconds=line))


@pytest.mark.parametrize(
    ("told", "newest", "polled", "stood"),
    [
        (answered(70), NEWEST, 60, True),
        (answered(70), NEWEST, 40, False),  # it was begun before the first answer
        (answered(70), NEWEST, None, False),
        (answered(70), NEWEST + 1, 60, False),  # something was seen meanwhile
        (answered(70, line=55), NEWEST, 60, False),  # something was told meanwhile
        (answered(70, set_by=1), NEWEST, 60, True),  # no more than a healthy machine's clock is adjusted
        (answered(3670, set_by=3600), NEWEST, 3640, False),  # a poll of 40 s, by a clock that was set since
    ],
)
def test_a_bid_has_stood(told: Answered, newest: int, polled: float | None, stood: bool) -> None:
    wait = Wait(tries=2, until=0, newest=NEWEST, told=answered(50))
    polled_at = None if polled is None else NOON + timedelta(seconds=polled)
    assert wait.has_stood(newest, told, polled_at) is stood


def test_a_bid_that_nobody_was_told_of_before_has_not() -> None:
    assert not Wait(tries=1, until=0, newest=NEWEST).has_stood(NEWEST, answered(70), NOON)
