"""How a try ends in the outbox: settled, handed back, cancelled, or left by a daemon that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mithrild.store import lanes, leases, outbox
from mithrild.store.database import Database
from mithrild.store.outbox import Claim, End, Outcome
from tests.integration.store_builders import (
    PREEMPTING,
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

ATTEMPTS = "SELECT number, outcome, reason, exit_code, signal, output, ended_at IS NULL FROM attempts ORDER BY number"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """One machine, of which three hooks have one delivery each: of a notice that ends at 300."""
    rules = [a_rule(name, "instance.preempting") for name in ("one", "two", "three")]
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(5, a_bid(), an_instance(status=PREEMPTING), deadlines={"inst_1": at(300)}), rules)
        yield database


def take(database: Database, seconds: float, hook: str = "one", run: str = "run_1") -> Claim:
    (one,) = outbox.claim(database, (hook, "run"), free=1, max_age=None, run=run, now=at(seconds))
    return one


def settle(database: Database, one: Claim, seconds: float, state: str, outcome: str, **rest: Any) -> None:
    run = rest.pop("run", "run_1")
    settle_one(database, one, Outcome(state, outcome, **rest), run=run, now=at(seconds))


def held(database: Database, columns: str, hook: str = "one") -> tuple[Any, ...]:
    (row,) = sql(database, f"SELECT {columns} FROM deliveries WHERE hook = '{hook}'")
    return row


def test_claim_is_written_down_before_its_effect(database: Database) -> None:
    one = take(database, 10)
    assert held(database, "id, state, lease, attempts") == (one.id, "running", "run_1", 1)
    assert sql(database, ATTEMPTS) == [(1, None, None, None, None, None, 1)]
    assert leases.unfinished_leases(database) == [one.id]


@pytest.mark.parametrize("state", ["done", "failed", "dead", "expired"])
def test_end_is_kept_with_all_that_is_known_of_it(database: Database, state: str) -> None:
    one = take(database, 10)
    settle(database, one, 12, state, "failed", reason="why", exit_code=3, signal=9, output="its words")
    assert held(database, "state, reason, lease, next_at, finished_at, attempts") == (
        state,
        "why",
        None,
        None,
        "2026-11-23T12:00:12.000000Z",
        1,
    )
    assert sql(database, ATTEMPTS) == [(1, "failed", "why", 3, 9, "its words", 0)]


def test_number_grows_with_every_start_and_an_interruption_does_not_count(database: Database) -> None:
    starts = []
    for seconds, outcome in ((10, "interrupted"), (20, "retry"), (30, "interrupted"), (40, "retry")):
        one = take(database, seconds)
        starts.append((one.number, one.tries))
        counts = outcome != "interrupted"
        settle(database, one, seconds + 1, "pending", outcome, next_at=at(seconds + 2), counts=counts)
    assert starts == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert held(database, "attempts, state") == (2, "pending")
    assert [row[:2] for row in sql(database, ATTEMPTS)] == [
        (1, "interrupted"),
        (2, "retry"),
        (3, "interrupted"),
        (4, "retry"),
    ]


def test_ends_that_are_kept_together_are_each_its_own(database: Database) -> None:
    """And of the notice that ended meanwhile no try is waited for, but what was done is done."""
    claims = {hook: take(database, 10, hook) for hook in ("one", "two", "three")}
    keep(database, poll(14, a_bid(), an_instance()))  # a reprieve
    outcomes = {
        "one": Outcome("done", "done", output="é"),
        "two": Outcome("pending", "retry", "not now", next_at=at(40)),
        "three": Outcome("failed", "failed", "exit code 3", exit_code=3, progress="half"),
    }
    written: list[str] = []
    ends = [
        End(claims[hook], outcome, at(12 + place), [lambda _, hook=hook: written.append(hook)])  # type: ignore[misc]
        for place, (hook, outcome) in enumerate(outcomes.items())
    ]
    outbox.settle_all(database, ends, run="run_1")
    assert written == ["one", "two", "three"]
    assert deliveries(database, "hook, state, reason, progress, attempts, lease") == [
        ("one", "done", None, None, 1, None),
        ("three", "failed", "exit code 3", "half", 1, None),
        ("two", "superseded", "the notice is over: reprieved", None, 1, None),
    ]
    columns = "substr(ended_at, 12, 8), outcome, output, output_bytes"
    told = sql(database, f"SELECT {columns} FROM attempts ORDER BY ended_at")
    assert told == [("12:00:12", "done", "é", 2), ("12:00:13", "retry", None, None), ("12:00:14", "failed", None, None)]


def test_lease_of_an_earlier_run_settles_nothing(database: Database) -> None:
    late = take(database, 10, run="run_0")
    leases.void_leases(database, at(20))
    take(database, 21, run="run_1")
    settle(database, late, 22, "done", "done", run="run_0")
    assert held(database, "state, lease") == ("running", "run_1")


@pytest.mark.parametrize(
    ("state", "outcome", "becomes"),
    [
        ("pending", "retry", "superseded"),
        ("pending", "interrupted", "superseded"),
        ("done", "done", "done"),
        ("failed", "failed", "failed"),
    ],
)
def test_notice_that_ended_during_a_try_ends_the_waiting_only(
    database: Database, state: str, outcome: str, becomes: str
) -> None:
    one = take(database, 10)
    keep(database, poll(15, a_bid(), an_instance()))
    assert held(database, "state") == ("running",)
    settle(database, one, 16, state, outcome, reason="as it was", next_at=at(20) if state == "pending" else None)
    reason = "the notice is over: reprieved" if becomes == "superseded" else "as it was"
    assert held(database, "state, reason, next_at") == (becomes, reason, None)
    assert held(database, "finished_at IS NULL") == (0,)


def test_leases_of_a_daemon_that_is_gone_run_again_under_the_same_id(database: Database) -> None:
    one, two = take(database, 10), take(database, 10, hook="two")
    settle(database, two, 11, "done", "done")
    leases.void_leases(database, at(20))
    assert leases.unfinished_leases(database) == []
    assert deliveries(database, "hook, state, lease") == [
        ("one", "pending", None),
        ("three", "pending", None),
        ("two", "done", None),
    ]
    assert sql(database, f"SELECT outcome, reason FROM attempts WHERE delivery = '{one.id}'") == [
        ("interrupted", "the daemon ended while it ran")
    ]
    repeated = take(database, 20, run="run_2")
    assert (repeated.id, repeated.number, repeated.body) == (one.id, 2, one.body)


def test_lease_of_a_notice_that_is_over_is_not_repeated(database: Database) -> None:
    take(database, 10)
    keep(database, poll(15, a_bid(), an_instance()))
    leases.void_leases(database, at(20))
    assert held(database, "state, reason, next_at, lease") == (
        "superseded",
        "the notice is over: reprieved",
        None,
        None,
    )
    assert outbox.claim(database, ("one", "run"), free=1, max_age=None, run="run_2", now=at(21)) == []


def test_lease_of_a_corrected_deadline_is_not_repeated_after_the_notice_either(database: Database) -> None:
    rules = [a_rule("one", "instance.deadline_changed")]
    keep(database, poll(10, a_bid(), an_instance(status=PREEMPTING), deadlines={"inst_1": at(200)}), rules)
    sql(database, "UPDATE deliveries SET state = 'done' WHERE sequence = (SELECT min(sequence) FROM deliveries)")
    take(database, 20)
    keep(database, poll(25, a_bid(), an_instance()))
    leases.void_leases(database, at(30))
    assert sql(database, "SELECT state FROM deliveries WHERE hook = 'one' ORDER BY sequence") == [
        ("done",),
        ("superseded",),
    ]


def test_what_is_queued_in_a_lane_is_cancelled_visibly_and_what_runs_is_left_to_its_end(database: Database) -> None:
    running = take(database, 10, hook="two")
    assert sorted(lanes.waiting_lanes(database)) == [("one", "run"), ("three", "run")]
    assert lanes.cancel(database, ("three", "run"), "the hook is no longer configured", at(20)) == 1
    assert lanes.cancel(database, ("two", "run"), "never mind", at(20)) == 0
    assert lanes.cancel(database, ("one", "webhook"), "never mind", at(20)) == 0
    assert deliveries(database, "hook, state, reason, next_at") == [
        ("one", "pending", None, "2026-11-23T12:00:06.000000Z"),
        ("three", "cancelled", "the hook is no longer configured", None),
        ("two", "running", None, "2026-11-23T12:00:06.000000Z"),
    ]
    settle(database, running, 30, "pending", "retry", next_at=at(40))
    assert sorted(lanes.waiting_lanes(database)) == [("one", "run"), ("two", "run")]
    assert lanes.cancel(database, ("two", "run"), "never mind", at(31)) == 1
    assert held(database, "state", hook="two") == ("cancelled",)


def test_hook_hears_of_a_subject_in_order_past_a_notice_that_is_over(database: Database) -> None:
    rules = [a_rule("one", "instance.*")]
    keep(database, poll(20, a_bid(), an_instance()), rules)
    keep(database, poll(30, a_bid(), an_instance(status=STARTING)), rules)
    heard = []
    while claims := outbox.claim(database, ("one", "run"), free=9, max_age=None, run="run_1", now=at(60)):
        (one,) = claims
        heard += sql(database, f"SELECT type FROM events WHERE sequence = {one.sequence}")
        settle(database, one, 60, "done", "done")
    assert heard == [("instance.reprieved",), ("instance.starting",)]
