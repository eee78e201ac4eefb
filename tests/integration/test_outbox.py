"""Who is next: the order of claims, and what is put aside on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from mithrild.errors import StoreError
from mithrild.store import deliveries as looked_at
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

HOOK = "hook"
MACHINES = ("inst_1", "inst_2", "inst_3")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Three running machines of three bids at first sight, and nothing to deliver yet."""
    with opened(tmp_path) as database:
        machines = [an_instance(fid, bid=f"bid_of_{fid}") for fid in MACHINES]
        keep(database, poll(0, *(a_bid(f"bid_of_{fid}") for fid in MACHINES), *machines))
        yield database


def see(database: Database, seconds: float, hook: str = HOOK, deadline: float | None = None, **statuses: str) -> None:
    """A poll that saw these machines in these statuses, each of which is delivered to the hook."""
    machines = [an_instance(fid, status, f"bid_of_{fid}") for fid, status in statuses.items()]
    told = {fid: at(deadline) for fid in statuses} if deadline is not None else {}
    keep(database, poll(seconds, *machines, whole=frozenset(), deadlines=told), [a_rule(hook, "instance.*")])


def claim(database: Database, seconds: float, *, free: int = 1, hook: str = HOOK, **rest: Any) -> list[Claim]:
    how = {"max_age": None, "run": "run_1"} | rest
    return outbox.claim(database, (hook, "run"), free=free, now=at(seconds), **how)


def subjects(database: Database, claims: list[Claim]) -> list[str]:
    held = dict(sql(database, "SELECT id, subject FROM deliveries"))
    return [held[one.id] for one in claims]


def settle(database: Database, one: Claim, seconds: float, state: str = "done", **rest: Any) -> None:
    settle_one(database, one, Outcome(state, state, **rest), run="run_1", now=at(seconds))


def again(database: Database, one: Claim, seconds: float, next_at: float) -> None:
    outcome = Outcome("pending", "retry", reason="asked for it", exit_code=75, next_at=at(next_at))
    settle_one(database, one, outcome, run="run_1", now=at(seconds))


def test_claims_come_in_the_order_in_which_things_were_learned(database: Database) -> None:
    see(database, 10, inst_3=STARTING)
    see(database, 20, inst_1=STARTING)
    see(database, 30, inst_2=STARTING)
    assert subjects(database, claim(database, 60, free=2)) == ["inst_3", "inst_1"]
    assert subjects(database, claim(database, 60, free=2)) == ["inst_2"]
    assert claim(database, 60, free=2) == []


def test_nearest_deadline_comes_first(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    see(database, 20, deadline=300, inst_2=PREEMPTING)
    see(database, 30, deadline=200, inst_3=PREEMPTING)
    claims = claim(database, 60, free=3)
    assert subjects(database, claims) == ["inst_3", "inst_2", "inst_1"]
    assert [one.deadline for one in claims] == [at(200), at(300), None]


def test_every_notice_has_its_first_try_before_any_has_its_second(database: Database) -> None:
    see(database, 10, deadline=200, inst_1=PREEMPTING)
    (first,) = claim(database, 20)
    again(database, first, 21, next_at=23)
    see(database, 22, deadline=300, inst_2=PREEMPTING)
    assert subjects(database, claim(database, 30, free=2)) == ["inst_2", "inst_1"]


def test_claim_reads_the_deadline_as_it_stands_now(database: Database) -> None:
    see(database, 20, inst_1=PREEMPTING)
    see(database, 30, deadline=100, inst_1=PREEMPTING)
    first, *_ = claim(database, 60)
    assert first.deadline == at(100)
    assert '"deadline_estimated":true' in first.body


def test_what_waits_for_another_try_is_not_claimed_before_its_time(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    (one,) = claim(database, 20)
    again(database, one, 21, next_at=40)
    assert claim(database, 39.9) == []
    assert lanes.next_due(database, at(39.9)) == {("hook", "run"): at(40)}
    assert len(claim(database, 40)) == 1
    assert lanes.next_due(database, at(39.9)) == {}


def test_clock_that_was_set_back_holds_up_nothing(database: Database) -> None:
    see(database, 10_000, inst_1=STARTING)
    (one,) = claim(database, 0)  # never tried: due at once
    again(database, one, 10_001, next_at=10_002)
    assert claim(database, 9_000) == []
    assert claim(database, 0)[0].id == one.id  # no gap between tries is that long


def test_subject_is_worked_off_in_order_and_does_not_hold_up_another(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    see(database, 20, inst_1=RUNNING)
    see(database, 30, inst_2=STARTING)
    first, other = claim(database, 60, free=9)
    assert subjects(database, [first, other]) == ["inst_1", "inst_2"]
    again(database, first, 61, next_at=90)
    assert claim(database, 62, free=9) == []  # the later one waits for the earlier one's next try
    (retried,) = claim(database, 91, free=9)
    assert (retried.id, retried.number, retried.tries) == (first.id, 2, 2)
    settle(database, retried, 92)
    (later,) = claim(database, 93, free=9)
    assert later.sequence > retried.sequence


def test_hooks_do_not_wait_for_each_other(database: Database) -> None:
    see(database, 10, hook="one", inst_1=STARTING)
    see(database, 20, hook="two", inst_1=RUNNING)
    assert claim(database, 60, hook="two")
    assert claim(database, 60, hook="one")


def test_notice_overtakes_what_only_waits_for_its_next_try(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    (older,) = claim(database, 12)
    again(database, older, 13, next_at=500)
    see(database, 20, deadline=300, inst_1=PREEMPTING)
    (notice,) = claim(database, 22)
    assert notice.deadline == at(300)
    assert claim(database, 501) == []  # and the older one waits until the notice is done with
    settle(database, notice, 502)
    assert claim(database, 503)[0].id == older.id


def test_notice_does_not_overtake_what_is_running_or_due(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    see(database, 20, deadline=300, inst_1=PREEMPTING)
    (older,) = claim(database, 22, free=9)
    assert older.deadline is None
    assert claim(database, 23, free=9) == []
    settle(database, older, 24)
    assert claim(database, 25, free=9)[0].deadline == at(300)


def test_other_news_does_not_overtake(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    (older,) = claim(database, 12)
    again(database, older, 13, next_at=500)
    see(database, 20, inst_1=RUNNING)
    assert claim(database, 22, free=9) == []


def test_past_its_deadline_a_delivery_is_expired_and_the_next_is_taken_instead(database: Database) -> None:
    see(database, 10, deadline=100, inst_1=PREEMPTING)
    see(database, 20, inst_2=STARTING)
    assert subjects(database, claim(database, 100.001)) == ["inst_2"]
    assert deliveries(database, "subject, state, reason, attempts") == [
        ("inst_1", "expired", "its deadline passed at 12:01:40 UTC", 0),
        ("inst_2", "running", None, 1),
    ]


def test_at_its_deadline_a_delivery_is_not_too_late(database: Database) -> None:
    see(database, 10, deadline=100, inst_1=PREEMPTING)
    assert len(claim(database, 100)) == 1


def test_age_counts_at_the_first_try_only_and_from_when_it_may_have_happened(database: Database) -> None:
    limit = timedelta(seconds=60)
    see(database, 30, inst_1=STARTING)
    see(database, 70, inst_2=STARTING)
    keep(database, poll(75, whole=frozenset({"bid", "instance"})))
    see(database, 80, inst_3=STARTING)
    # The first two may have happened right after the poll at 0.
    (fresh,) = claim(database, 90, free=9, max_age=limit)
    assert deliveries(database, "subject, state, reason") == [
        ("inst_1", "skipped", "older than max_age when its turn came (90 s)"),
        ("inst_2", "skipped", "older than max_age when its turn came (90 s)"),
        ("inst_3", "running", None),
    ]
    again(database, fresh, 91, next_at=1000)
    assert len(claim(database, 1000, max_age=limit)) == 1


@pytest.mark.parametrize(("ahead", "taken"), [(600.0, 0), (0.0, 1), (-600.0, 1)])
def test_age_is_counted_by_one_clock(database: Database, ahead: float, taken: int) -> None:
    see(database, 30, inst_1=STARTING)
    told = at(30 + 600.0)  # by the marketplace's clock
    sql(database, "UPDATE transitions SET occurred_at = ?, ahead_seconds = ?", f"{told:%FT%T.%fZ}", ahead)
    sql(database, "UPDATE projects SET ahead_seconds = ?", ahead)
    assert len(claim(database, 700, max_age=timedelta(seconds=600))) == taken


def test_try_that_does_not_count_is_waited_for_all_the_same(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    (one,) = claim(database, 20)
    put_off = Outcome("pending", "put_off", "left alone", next_at=at(50), counts=False)
    settle_one(database, one, put_off, run="run_1", now=at(20))
    assert claim(database, 49) == []
    assert len(claim(database, 50)) == 1


def test_age_means_nothing_to_a_notice(database: Database) -> None:
    see(database, 100, deadline=300, inst_1=PREEMPTING)
    assert len(claim(database, 299, max_age=timedelta(seconds=1))) == 1


def test_many_that_are_too_late_are_put_aside_at_once(database: Database) -> None:
    for seconds in range(10, 60, 2):
        see(database, seconds, inst_1=STARTING)
        see(database, seconds + 1, inst_1=RUNNING)
    assert claim(database, 500, max_age=timedelta(seconds=60)) == []
    assert {state for (state,) in deliveries(database, "state")} == {"skipped"}


def test_event_hook_and_action_make_a_delivery_and_there_is_no_second(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    with pytest.raises(StoreError, match="UNIQUE"), database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO deliveries (id, sequence, hook, action, subject, state, attempts, created_at)"
                " SELECT 'another', sequence, hook, action, subject, state, attempts, created_at FROM deliveries"
            )
        )


def test_listing_shows_the_last_try_the_newest_first(database: Database) -> None:
    see(database, 10, inst_1=STARTING)
    see(database, 20, hook="other", inst_1=RUNNING)
    (one,) = claim(database, 30)
    again(database, one, 31, next_at=40)
    (one,) = claim(database, 41)
    settle(database, one, 42, "failed", exit_code=3, output="oh no", reason="exit code 3")
    with database.read() as connection:
        rows = looked_at.listing(connection)
        assert [(row["hook"], row["exit_code"], row["output"]) for row in rows] == [
            ("other", None, None),
            (HOOK, 3, "oh no"),
        ]
        assert [row["id"] for row in looked_at.listing(connection, hook=HOOK)] == [one.id]
        assert [row["id"] for row in looked_at.listing(connection, states=["failed"])] == [one.id]
        assert [row["id"] for row in looked_at.listing(connection, event=rows[1]["event"])] == [one.id]
        assert looked_at.listing(connection, hook=HOOK, states=["done"]) == []
        assert len(looked_at.listing(connection, limit=1)) == 1
        assert looked_at.tally(connection) == {HOOK: {"failed": 1}, "other": {"pending": 1}}
