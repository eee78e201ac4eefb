"""What the marketplace remembers, written beside what was seen: rows, notices and deliveries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.fleet.model import BidEvent
from mithrild.fleet.routing import HookRule
from mithrild.fleet.timeline import Told
from mithrild.store.database import Database
from mithrild.store.history import Learned, Remembered, keep_ended, write_history
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    PROJECT,
    RUNNING,
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

ALL = [a_rule("all", "*")]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Somebody looked at noon, and saw a bid with a machine that runs."""
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        yield database


def events(*lines: tuple[float, str], limit: str | None = None, memory: int | None = None) -> list[BidEvent]:
    return [BidEvent(word, at(seconds), limit, memory) for seconds, word in lines]


def tell(
    database: Database,
    lines: Sequence[BidEvent] = (),
    machine: Sequence[tuple[float, str]] = (),
    *,
    bid: str = "bid_1",
    rules: Sequence[HookRule] = (),
    now: float = 3600,
) -> Learned:
    stories: Mapping[str, Sequence[Told]] = {"inst_1": [Told(status, at(seconds)) for seconds, status in machine]}
    told = Remembered(bid, PROJECT.fid, lines, stories if machine else {})
    return write_history(database, told, rules, host=HOST, now=at(now))


def steps(database: Database, subject: str, aspect: str = "status") -> list[tuple[str | None, str]]:
    query = "SELECT before, after FROM transitions WHERE subject = ? AND aspect = ? ORDER BY position, sequence"
    return sql(database, query, subject, aspect)


def test_a_second_notice_that_began_while_the_first_still_stood_has_a_row_of_its_own(database: Database) -> None:
    rules = [a_rule("save", "instance.preempting"), a_rule("back", "instance.reprieved")]
    keep(database, poll(100, an_instance(status=PREEMPTING), whole=frozenset()), rules)
    story = [(-100.0, RUNNING), (95.0, PREEMPTING), (150.0, RUNNING), (160.0, PREEMPTING)]
    tell(database, machine=story, rules=rules, now=170)
    notices = sql(database, "SELECT ordinal, opened_at, deadline, ended_how FROM notices ORDER BY ordinal")
    assert [(ordinal, how) for ordinal, *_, how in notices] == [(1, "reprieved"), (2, None)]
    assert notices[1][1] == f"{at(160):%FT%T.%fZ}"
    assert notices[1][2] == f"{at(460):%FT%T.%fZ}", "estimated until it is asked for"
    assert deliveries(database, "hook, state, reason") == [
        ("save", "superseded", "the notice is over: reprieved"),
        ("back", "superseded", "a notice came after it"),
        ("save", "pending", None),
    ]
    assert not tell(database, machine=story, rules=rules, now=180).steps


def test_a_deadline_that_was_told_of_the_second_notice_is_kept(database: Database) -> None:
    keep(database, poll(100, an_instance(status=PREEMPTING), whole=frozenset(), deadlines={"inst_1": at(455)}))
    tell(database, machine=[(95.0, PREEMPTING), (150.0, RUNNING), (160.0, PREEMPTING)], now=170)
    last = sql(database, "SELECT deadline, estimated, ended_at FROM notices ORDER BY ordinal DESC LIMIT 1")
    assert last == [(f"{at(455):%FT%T.%fZ}", 0, None)]


def test_a_bid_that_ended_unseen_and_is_forgotten_is_told_as_far_as_it_tells_itself(database: Database) -> None:
    ended = a_bid("bid_2", "Terminated", created_at=at(100), deactivated_at=at(400))
    keep_ended(database, PROJECT.fid, [ended])
    assert steps(database, "bid_2") == []
    tell(database, bid="bid_2", rules=ALL)
    assert steps(database, "bid_2") == [(None, "Open"), ("Open", "Terminated")]
    told = sql(database, "SELECT occurred_at, provenance FROM transitions WHERE subject = 'bid_2' ORDER BY position")
    assert told == [(f"{at(seconds):%FT%T.%fZ}", "backfilled") for seconds in (100, 400)]
    assert not tell(database, bid="bid_2").steps


def test_a_bid_that_nobody_has_forgotten_tells_its_history_and_not_its_own_times_beside_it(database: Database) -> None:
    ended = a_bid("bid_2", "Terminated", created_at=at(100), deactivated_at=at(400.4))
    keep_ended(database, PROJECT.fid, [ended])
    tell(database, events((100, "Placed"), (200, "Allocated"), (400, "Terminated")), bid="bid_2")
    assert [after for _, after in steps(database, "bid_2")] == ["Open", "Allocated", "Terminated"]


def test_one_price_in_two_spellings_is_no_change(database: Database) -> None:
    keep(database, poll(100, a_bid(limit_price="$9", limit_price_cents=900), whole=frozenset()))
    lines = [BidEvent("Placed", at(-3600), "$8"), BidEvent("Limit Price Changed", at(95), "$9.00")]
    assert not tell(database, lines).steps
    assert steps(database, "bid_1", "limit_price") == [("$8.00", "$9")]
    there = [BidEvent("Limit Price Changed", at(200), "9.50"), BidEvent("Limit Price Changed", at(300), "$9")]
    tell(database, [*lines, *there])
    assert steps(database, "bid_1", "limit_price") == [("$8.00", "$9"), ("$9.00", "$9.50"), ("$9.50", "$9.00")]


def test_memory_that_was_changed_there_and_back_is_told(database: Database) -> None:
    keep(database, poll(10, a_bid(memory_gb=64), whole=frozenset()))
    sizes = {5: 64, 200: 128, 300: 64}
    changes = [BidEvent("Memory Adjusted", at(seconds), memory_gb=size) for seconds, size in sizes.items()]
    tell(database, changes)
    assert steps(database, "bid_1", "memory") == [("", "64"), ("64", "128"), ("128", "64")]
    assert not tell(database, changes).steps


def test_what_no_word_says_is_marked_as_inferred(database: Database) -> None:
    machine = [(-100.0, RUNNING), (100.0, PREEMPTING), (400.0, "STATUS_PREEMPTED"), (500.0, RUNNING)]
    tell(database, events((-3600, "Placed"), (-3000, "Allocated"), (100, "Preempted"), (500, "Allocated")), machine)
    query = "SELECT after, inferred FROM transitions WHERE subject = 'bid_1' AND NOT baseline ORDER BY position"
    assert sql(database, query) == [("Preempting", 0), ("Open", 1), ("Allocated", 0)]


def test_a_step_that_was_seen_is_not_told_an_inferred_time(database: Database) -> None:
    keep(database, poll(100, a_bid(status="Preempting"), an_instance(status=PREEMPTING)))
    keep(database, poll(410, a_bid(status="Open"), an_instance(status="STATUS_PREEMPTED")))
    machine = [(-100.0, RUNNING), (95.0, PREEMPTING), (400.0, "STATUS_PREEMPTED")]
    assert not tell(database, events((-3600, "Placed"), (-3000, "Allocated"), (95, "Preempted")), machine).steps
    query = (
        "SELECT after, occurred_at IS NULL FROM transitions WHERE subject = 'bid_1' AND NOT baseline ORDER BY position"
    )
    assert sql(database, query) == [("Preempting", 0), ("Open", 1)]


def test_since_when_a_thing_is_as_it_is_is_corrected_by_our_own_clock(database: Database) -> None:
    ten_minutes = timedelta(minutes=10)
    keep(database, replace(poll(100, a_bid(), an_instance(status=PREEMPTING)), ahead=ten_minutes))
    stories = {"inst_1": [Told(RUNNING, at(500)), Told(PREEMPTING, at(690))]}
    told = Remembered("bid_1", PROJECT.fid, (), stories, ahead=ten_minutes)
    write_history(database, told, (), host=HOST, now=at(200))
    assert sql(database, "SELECT since FROM instances") == [("2026-11-23T12:01:30.000000Z",)]
    keep(database, replace(poll(210, a_bid(), an_instance(status="STATUS_PREEMPTED")), ahead=ten_minutes))
    write_history(database, told, (), host=HOST, now=at(220))
    ((since,),) = sql(database, "SELECT since FROM instances")
    assert since > "2026-11-23T12:03:30", "that was another status"


@pytest.mark.parametrize(
    ("on", "max_age", "now", "state", "reason"),
    [
        ("bid.paused", 600, 900, "pending", None),
        ("bid.paused", 600, 901, "skipped", "601 s old, max_age is 600 s, and nobody saw it happen (backfilled)"),
        ("bid.paused", None, 90_000, "pending", None),
        ("bid.preempting", None, 400, "superseded", "the notice is over: paused"),
        ("bid.preempting", None, 501, "skipped", "the deadline has passed"),
    ],
)
def test_late_news_is_acted_on_within_its_age_and_says_why_not(
    database: Database, on: str, max_age: float | None, now: float, state: str, reason: str | None
) -> None:
    rule = a_rule("h", on, max_age=None if max_age is None else timedelta(seconds=max_age))
    lines = events((-3600, "Placed"), (-3000, "Allocated"), (200, "Preempted"), (300, "Paused"), (301, "Allocated"))
    tell(database, lines, rules=[rule], now=now)
    assert deliveries(database, "state, reason") == [(state, reason)]
