"""Ages and deadlines of what waits while our clock is set, or nobody knows whether it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.store import lanes, outbox, read
from mithrild.store.database import Database
from mithrild.store.record import record
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    RUNNING,
    STARTING,
    a_bid,
    a_rule,
    an_instance,
    at,
    deliveries,
    keep,
    opened,
    poll,
    sql,
)

HOUR = 3600.0
LIMIT = timedelta(minutes=10)
HELD = "it seems to be too late, and waits until the marketplace has told its time"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A machine that started at 30, by clocks that agree; a hook is to be told of it."""
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(30, an_instance(status=STARTING), whole=frozenset()), [a_rule("hook")])
        yield database


def set_clock(database: Database, ahead: float) -> None:
    """The marketplace tells its time anew."""
    sql(database, "UPDATE projects SET ahead_seconds = ?", ahead)


def claimed(database: Database, seconds: float, *, sure: bool = True) -> int:
    lane = ("hook", "run")
    return len(outbox.claim(database, lane, free=9, max_age=LIMIT, run="run_1", now=at(seconds), sure=sure))


def test_while_nobody_knows_the_time_what_seems_too_old_is_held(database: Database) -> None:
    assert claimed(database, 4 * HOUR, sure=False) == 0
    assert deliveries(database, "state, reason, next_at, finished_at") == [("pending", HELD, None, None)]
    assert claimed(database, 4 * HOUR, sure=False) == claimed(database, 4 * HOUR) == 0, "until it is let go"
    assert lanes.next_due(database, at(0)) == {}


def test_what_was_held_runs_if_only_our_clock_was_set(database: Database) -> None:
    assert claimed(database, 4 * HOUR + 60, sure=False) == 0
    set_clock(database, -4 * HOUR)
    lanes.let_go(database, at(4 * HOUR + 61))
    assert deliveries(database, "state, reason") == [("pending", None)]
    assert claimed(database, 4 * HOUR + 61) == 1


def test_what_was_held_is_put_aside_if_it_really_is_old(database: Database) -> None:
    assert claimed(database, 4 * HOUR, sure=False) == 0
    lanes.let_go(database, at(4 * HOUR))
    assert claimed(database, 4 * HOUR) == 0
    assert deliveries(database, "state, reason") == [
        ("skipped", "older than max_age when its turn came (14400 s)"),
    ]


def test_news_does_not_wait_for_anybody_to_tell_the_time(database: Database) -> None:
    assert claimed(database, 60, sure=False) == 1


def test_what_seems_to_lie_in_the_future_was_written_before_our_clock_was_set_back(database: Database) -> None:
    now = 3 * HOUR - 4 * HOUR  # three hours later, four hours back
    assert claimed(database, now, sure=False) == 0
    assert deliveries(database, "state") == [("pending",)]
    set_clock(database, 4 * HOUR)
    lanes.let_go(database, at(now))
    assert claimed(database, now) == 0
    assert deliveries(database, "state, reason") == [
        ("skipped", "older than max_age when its turn came (10800 s)"),
    ]


def test_news_is_not_taken_for_old_because_an_answer_tells_a_wrong_time(database: Database) -> None:
    set_clock(database, 4 * HOUR)
    assert claimed(database, 60) == 1


def test_what_is_held_is_in_nobodys_way(database: Database) -> None:
    assert claimed(database, 4 * HOUR, sure=False) == 0
    fresh = poll(4 * HOUR, an_instance(status=RUNNING), whole=frozenset())
    keep(database, fresh, [a_rule("hook")], lambda fid: at(4 * HOUR - 5))
    assert claimed(database, 4 * HOUR + 1, sure=False) == 1


def notice(database: Database, seconds: float, deadline: float) -> None:
    seen = poll(seconds, an_instance(status=PREEMPTING), whole=frozenset(), deadlines={"inst_1": at(deadline)})
    keep(database, seen, [a_rule("save", "instance.preempting")])


def look(database: Database, seconds: float, *, ahead: float, lost: bool) -> None:
    """A poll that shows what is known, from a marketplace so far ahead."""
    seen = replace(poll(seconds, whole=frozenset(), complete=False), ahead=timedelta(seconds=ahead))
    record(database, seen, (), host=HOST, window=lambda fid: None, changed=False, lost=lost)


def left(database: Database, seconds: float) -> float:
    with database.read() as connection:
        return (read.open_notices(connection)["inst_1"].deadline - at(seconds)).total_seconds()


@pytest.mark.parametrize("jump", [4 * HOUR, -4 * HOUR])
def test_deadline_goes_with_our_clock_when_that_is_set(database: Database, jump: float) -> None:
    notice(database, 100, deadline=400)
    now = 160 + jump
    look(database, now, ahead=-jump, lost=True)
    assert left(database, now) == 240
    look(database, now + 5, ahead=-jump, lost=True)
    assert left(database, now + 5) == 235, "once"
    (one,) = outbox.claim(database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(now + 5))
    assert one.deadline == at(now + 240)


def test_deadline_stays_when_an_answer_tells_a_wrong_time(database: Database) -> None:
    notice(database, 100, deadline=400)
    look(database, 160, ahead=4 * HOUR, lost=False)
    assert left(database, 160) == 240, "our clock was not set: we should know"
    look(database, 165, ahead=0, lost=False)
    look(database, 170, ahead=4 * HOUR, lost=True)
    assert left(database, 170) == 230, "it would make no sense"


def test_notice_whose_deadline_only_seems_to_have_passed_is_held(database: Database) -> None:
    notice(database, 100, deadline=400)
    now = 160 + 4 * HOUR
    save = ("save", "run")
    assert outbox.claim(database, save, free=1, max_age=None, run="run_1", now=at(now), sure=False) == []
    assert deliveries(database, "hook, state, reason")[-1] == ("save", "pending", HELD)
    look(database, now, ahead=-4 * HOUR, lost=True)
    lanes.let_go(database, at(now))
    assert len(outbox.claim(database, save, free=1, max_age=None, run="run_1", now=at(now))) == 1
