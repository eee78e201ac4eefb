"""Ages and deadlines of what waits while our clock is set, or nobody knows whether it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.fleet.bounds import Bounds
from mithrild.fleet.matching import Match
from mithrild.store import lanes, outbox, read
from mithrild.store.database import Database
from mithrild.store.due import UNSURE
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
    settle_one,
    sql,
)

HOUR = 3600.0
LIMIT = timedelta(minutes=10)


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
    assert deliveries(database, "state, reason, next_at, finished_at") == [("pending", UNSURE, None, None)]
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


def test_nor_because_all_that_was_told_since_it_was_seen_is_wrong(database: Database) -> None:
    set_clock(database, 4 * HOUR)
    sql(database, "UPDATE transitions SET ahead_seconds = ?, occurred_at = window_start", 4 * HOUR)
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
    assert deliveries(database, "hook, state, reason")[-1] == ("save", "pending", UNSURE)
    look(database, now, ahead=-4 * HOUR, lost=True)
    lanes.let_go(database, at(now))
    assert len(outbox.claim(database, save, free=1, max_age=None, run="run_1", now=at(now))) == 1


def put_off_until(database: Database, seconds: float, outcome: str, *, counts: bool) -> None:
    """The hook's delivery was tried at 40, and waits."""
    (one,) = outbox.claim(database, ("hook", "run"), free=1, max_age=None, run="run_1", now=at(40))
    waits = outbox.Outcome("pending", outcome, "why", next_at=at(seconds), counts=counts)
    settle_one(database, one, waits, run="run_1", now=at(40))


def test_what_waits_for_its_next_try_waits_no_longer_for_a_clock_that_was_set_back(database: Database) -> None:
    put_off_until(database, 70, "retry", counts=True)
    look(database, 41 - 600, ahead=600, lost=True)
    assert claimed(database, 69 - 600) == 0
    assert claimed(database, 70 - 600) == 1


def test_nothing_waits_longer_for_a_clock_that_was_set_ahead(database: Database) -> None:
    put_off_until(database, 70, "retry", counts=True)
    look(database, 41 + 600, ahead=-600, lost=True)
    assert claimed(database, 41 + 600) == 1


def test_what_a_stop_cut_short_is_due_at_once_though_the_clock_was_set_back(database: Database) -> None:
    put_off_until(database, 40, "interrupted", counts=False)
    assert claimed(database, 40 - 1200) == 1


def test_no_notice_waits_for_a_try_after_its_deadline(database: Database) -> None:
    notice(database, 100, deadline=400)
    save = ("save", "run")
    (one,) = outbox.claim(database, save, free=1, max_age=None, run="run_1", now=at(110))
    again = outbox.Outcome("pending", "retry", "why", next_at=at(120))
    settle_one(database, one, again, run="run_1", now=at(110))
    sql(database, "UPDATE notices SET deadline = ?", f"{at(100):%FT%T.%fZ}")
    assert len(outbox.claim(database, save, free=1, max_age=None, run="run_1", now=at(90))) == 1


@pytest.mark.parametrize(("sure", "state"), [(False, "pending"), (True, "expired")])
def test_too_little_time_left_is_no_verdict_while_nobody_knows_the_time(
    database: Database, sure: bool, state: str
) -> None:
    notice(database, 100, deadline=400)
    rule = a_rule("save", match=Match(remaining=Bounds(">=2m", least=120_000)))
    save = ("save", "run")
    assert outbox.claim(database, save, free=1, max_age=None, run="run_1", now=at(350), rule=rule, sure=sure) == []
    assert deliveries(database, "hook, state")[-1] == ("save", state)


def test_poll_that_tells_of_the_clock_as_it_was_is_taken_back_by_the_next(database: Database) -> None:
    """Two projects are asked while the clock is set: what the slower one tells is by the clock of before."""
    notice(database, 100, deadline=400)
    look(database, 160 + 120, ahead=-120, lost=True)
    look(database, 160 + 120, ahead=0, lost=True)
    look(database, 165 + 120, ahead=-120, lost=True)
    assert left(database, 165 + 120) == 235
