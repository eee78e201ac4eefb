"""Deliveries that go out as one message: what waits for what, for how long, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mithrild.store import lanes, outbox
from mithrild.store.database import Database
from mithrild.store.outbox import Claim, Outcome
from tests.integration.store_builders import (
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

# Two nodes of one bid, one of another, one of none.
BIDS = {"inst_1": "bid_1", "inst_2": "bid_1", "inst_3": "bid_2", "inst_4": None}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        bids = [a_bid("bid_1", instance_quantity=2), a_bid("bid_2")]
        keep(database, poll(0, *bids, *(an_instance(fid, bid=bid) for fid, bid in BIDS.items())))
        yield database


def see(database: Database, seconds: float, deadline: float | None = None, **statuses: str) -> None:
    """A poll that saw this a second after it began."""
    machines = [an_instance(fid, status, BIDS[fid]) for fid, status in statuses.items()]
    told = {fid: at(deadline) for fid in statuses} if deadline is not None else {}
    rule = a_rule("hook", "instance.*", actions=("notify", "run"))
    keep(database, poll(seconds - 1, *machines, whole=frozenset(), deadlines=told), [rule])


def claim(database: Database, seconds: float, *, free: int = 9, lane: str = "notify") -> list[Claim]:
    how: dict[str, Any] = {"max_age": None, "run": "run_1", "gather": lane == "notify"}
    return outbox.claim(database, ("hook", lane), free=free, now=at(seconds), **how)


def groups(database: Database, claims: list[Claim]) -> list[list[str]]:
    subjects = dict(deliveries(database, "id, subject"))
    return [[subjects[one.id] for one in (claim, *claim.together)] for claim in claims]


def states(database: Database, columns: str = "subject, state") -> list[tuple[Any, ...]]:
    return [row[1:] for row in deliveries(database, f"action, {columns}") if row[0] == "notify"]


def test_nodes_of_one_bid_go_out_together_and_other_bids_on_their_own(database: Database) -> None:
    see(database, 10, inst_1=PREEMPTING, inst_2=PREEMPTING, inst_3=PREEMPTING, inst_4=PREEMPTING)
    assert groups(database, claim(database, 20)) == [["inst_1", "inst_2"], ["inst_3"], ["inst_4"]]
    assert {state for _, state in states(database)} == {"running"}


def test_one_message_takes_one_place(database: Database) -> None:
    see(database, 10, inst_1=PREEMPTING, inst_2=PREEMPTING, inst_3=PREEMPTING)
    assert groups(database, claim(database, 20, free=1)) == [["inst_1", "inst_2"]]
    assert groups(database, claim(database, 20, free=1)) == [["inst_3"]]


def test_first_waits_two_seconds_and_takes_along_what_came_meanwhile(database: Database) -> None:
    see(database, 10, inst_1=PREEMPTING)
    see(database, 11.5, inst_2=PREEMPTING)
    assert claim(database, 11.9) == []
    assert lanes.next_due(database, at(11.9)) == {("hook", "notify"): at(12)}
    assert groups(database, claim(database, 12)) == [["inst_1", "inst_2"]]


def test_who_has_no_others_waits_for_none(database: Database) -> None:
    see(database, 10, inst_4=PREEMPTING)
    assert groups(database, claim(database, 10)) == [["inst_4"]]


def test_other_actions_wait_for_nothing(database: Database) -> None:
    see(database, 10, inst_1=PREEMPTING, inst_2=PREEMPTING)
    assert groups(database, claim(database, 10, lane="run")) == [["inst_1"], ["inst_2"]]


def test_waiting_takes_no_more_than_a_tenth_of_the_time_left(database: Database) -> None:
    see(database, 10, deadline=15, inst_1=PREEMPTING)
    assert claim(database, 10.4) == []
    assert groups(database, claim(database, 10.5)) == [["inst_1"]]


def test_clock_that_was_set_back_holds_nothing_up_for_longer(database: Database) -> None:
    see(database, 1000, inst_1=STARTING)
    assert groups(database, claim(database, 500)) == [["inst_1"]]


def test_only_the_same_news_goes_out_together(database: Database) -> None:
    see(database, 10, inst_1=PREEMPTING, inst_2=STARTING)
    assert groups(database, claim(database, 20)) == [["inst_1"], ["inst_2"]]


def test_nobody_overtakes_its_own_past(database: Database) -> None:
    see(database, 10, inst_2=STARTING)
    (older,) = claim(database, 20)
    see(database, 21, inst_1=RUNNING)  # it was so all along
    see(database, 21, inst_1=PREEMPTING, inst_2=PREEMPTING)
    (newer,) = claim(database, 30)
    assert groups(database, [newer]) == [["inst_1"]]
    settle_one(database, older, Outcome("done", "done"), run="run_1", now=at(31))
    assert groups(database, claim(database, 31)) == [["inst_2"]]


def test_what_is_too_late_is_put_aside_and_the_rest_goes_out(database: Database) -> None:
    see(database, 10, deadline=300, inst_1=PREEMPTING, inst_2=PREEMPTING)
    sql(database, "UPDATE notices SET deadline = '2026-11-23T12:01:40.000000Z' WHERE subject = 'inst_1'")
    assert groups(database, claim(database, 101)) == [["inst_2"]]
    assert states(database) == [("inst_1", "expired"), ("inst_2", "running")]


def test_they_end_together_but_for_what_is_over(database: Database) -> None:
    see(database, 10, inst_1=PREEMPTING, inst_2=PREEMPTING)
    (one,) = claim(database, 20)
    see(database, 25, inst_2=RUNNING)
    again = Outcome("pending", "retry", "it did not answer", next_at=at(40))
    settle_one(database, one, again, run="run_1", now=at(30))
    assert states(database, "subject, state, reason, attempts")[:2] == [
        ("inst_1", "pending", "it did not answer", 1),
        ("inst_2", "superseded", "the notice is over: reprieved", 1),
    ]
