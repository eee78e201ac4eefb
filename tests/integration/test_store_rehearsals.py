"""Tests and drills in the record: through the very same outbox, and met by nothing that asks for what happened."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from mithrild.fleet import imagined
from mithrild.fleet.imagined import Cast
from mithrild.fleet.routing import HookRule
from mithrild.store import deliveries as looked_at
from mithrild.store import leases, outbox, read, rehearsals
from mithrild.store.database import Database
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    PROJECT,
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

RULE = a_rule("save", "*.preempting", "*.reprieved", "*.reopened")
CAST = Cast(PROJECT.fid, a_bid(), (an_instance("inst_1"), an_instance("inst_2")))
FLEET = (a_bid(), an_instance("inst_1"), an_instance("inst_2"))
NOTICE = timedelta(minutes=5)


def begin(database: Database, seconds: float = 10, drill: str = "drill_1", **rest: Any) -> list[str]:
    scene = imagined.under_notice(CAST, at(seconds), NOTICE)
    return rehearsals.play(database, drill, scene, [RULE], host=HOST, now=at(seconds), **rest)


def claimed(database: Database, seconds: float, *, rehearsed: bool = True) -> list[outbox.Claim]:
    lane, now = ("save", "run"), at(seconds)
    return outbox.claim(database, lane, free=9, max_age=None, run="run_1", now=now, rule=RULE, rehearsed=rehearsed)


def test_a_drill_brings_the_same_events_to_the_same_hooks_with_a_deadline(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, *FLEET))
        begin(database)
        told = [json.loads(body) for (body,) in sql(database, "SELECT body FROM events ORDER BY sequence")]
        keep(
            database, poll(20, a_bid(status="Preempting"), *(an_instance(f, PREEMPTING) for f in ("inst_1", "inst_2")))
        )
        real = [json.loads(body) for (body,) in sql(database, "SELECT body FROM events ORDER BY sequence")][3:]
        for drilled, came in zip(told, real, strict=True):
            assert drilled["data"]["provenance"] == "simulated"
            own = ("id", "sequence", "time", "data")
            assert {k: v for k, v in drilled.items() if k not in own} == {k: v for k, v in came.items() if k not in own}
            times = ("provenance", "observed_at", "deadline", "deadline_estimated")
            assert {k: v for k, v in drilled["data"].items() if k not in times} == {
                k: v for k, v in came["data"].items() if k not in times
            }
        claims = claimed(database, 11)
        assert [(one.deadline, one.rehearsal) for one in claims] == [(at(310), "drill_1")] * 3


def test_nothing_that_asks_for_what_happened_meets_it(tmp_path: Path) -> None:
    with opened(tmp_path / "drilled") as drilled, opened(tmp_path / "plain") as plain:
        for database in (drilled, plain):
            keep(database, poll(0, *FLEET), [RULE])
        begin(drilled)
        rehearsals.end_notices(drilled, "drill_1", "it ran out", at(20))
        rehearsals.play(drilled, "drill_1", imagined.run_out(CAST, at(20)), [RULE], host=HOST, now=at(20))

        def seen(database: Database) -> list[object]:
            with database.read() as connection:
                return [
                    read.fleet(connection, None, ended=True),
                    [dict(row) | {"sequence": 0} for row in read.steps(connection, "bid_1")],
                    read.last_positions(connection, ["bid_1", "inst_1", "inst_2"]),
                    read.last_after(connection, "instance", "inst_1"),
                    read.ordinals(connection, ["bid_1", "inst_1"]),
                    read.open_notices(connection),
                    looked_at.tally(connection),
                    looked_at.listing(connection, rehearsals=False),
                    read.events(connection, after=0, project=PROJECT.fid),
                    read.events(connection, after=0, bid="bid_1"),
                ]

        assert seen(drilled) == seen(plain)
        with drilled.read() as connection:
            assert len(read.events(connection, after=0, imagined=True)) == 6
            assert len(read.events(connection, after=0, bid="bid_1", imagined=True)) == 6
            assert read.events(connection, after=0, bid="bid_2", imagined=True) == []
            assert len(looked_at.listing(connection, rehearsal="drill_1")) == 4


def test_what_comes_in_earnest_during_a_drill_is_as_it_would_have_been(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, *FLEET))
        begin(database)
        assert len(claimed(database, 11)) == 3  # and they go on running
        seen = poll(
            20, a_bid(), an_instance("inst_1", PREEMPTING), an_instance("inst_2"), deadlines={"inst_1": at(300)}
        )
        keep(database, seen, [RULE])
        (came,) = claimed(database, 21, rehearsed=False)
        assert (came.rehearsal, came.deadline) == (None, at(300))
        keep(database, poll(30, a_bid(), an_instance("inst_1"), an_instance("inst_2")), [RULE])
        with database.read() as connection:
            types = [row["type"] for row in read.steps(connection, "bid_1") if not row["baseline"]]
        assert types == ["instance.preempting", "instance.reprieved"]
        assert {state for _, _, state in deliveries(database) if state == "superseded"} == set()


def test_a_hook_that_wants_the_first_alone_gets_the_first_of_a_drill_and_of_what_comes(tmp_path: Path) -> None:
    first = HookRule("save", ("*.preempting",), RULE.match, None, ("run",), first=True)
    with opened(tmp_path) as database:
        keep(database, poll(0, *FLEET))
        scene = imagined.under_notice(CAST, at(10), NOTICE)
        rehearsals.play(database, "drill_1", scene, [first], host=HOST, now=at(10))
        rehearsals.play(database, "drill_2", scene, [first], host=HOST, now=at(11))
        keep(database, poll(20, a_bid(), an_instance("inst_1", PREEMPTING), an_instance("inst_2")), [first])
        assert [state for _, _, state in deliveries(database)] == ["pending", "skipped", "skipped"] * 2 + ["pending"]


def test_the_end_of_its_notice_ends_what_waits_for_it_and_an_interruption_ends_all(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, *FLEET))
        begin(database)
        begin(database, drill="drill_2")
        lane = ("save", "run")
        outbox.claim(database, lane, free=1, max_age=None, run="run_1", now=at(11), rehearsed=True)
        rehearsals.end_notices(database, "drill_1", "it ran out", at(20))
        rehearsals.play(database, "drill_1", imagined.run_out(CAST, at(20)), [RULE], host=HOST, now=at(20))
        assert rehearsals.interrupt(database, "drill_1", "the drill was interrupted", at(30)) == 1
        with database.read() as connection:
            assert rehearsals.under_notice(connection, "drill_1") == []
            assert rehearsals.under_notice(connection, "drill_2") == ["bid_1", "inst_1", "inst_2"]
        assert deliveries(database, "rehearsal, state, reason") == [
            ("drill_1", "running", None),
            ("drill_1", "superseded", "the notice is over: it ran out"),
            ("drill_1", "superseded", "the notice is over: it ran out"),
            *[("drill_2", "pending", None)] * 3,
            ("drill_1", "superseded", "the drill was interrupted"),
        ]


def test_no_rehearsal_outlives_the_daemon_that_began_it(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, *FLEET))
        begin(database)
        begin(database, drill="test_1", by_hand=True)
        keep(database, poll(20, a_bid(), an_instance("inst_1", PREEMPTING), an_instance("inst_2")), [RULE])
        claimed(database, 21)
    with opened(tmp_path) as database:
        leases.void_leases(database, at(30))
        assert rehearsals.end_all(database, at(30)) == 6
        assert deliveries(database, "rehearsal, state, reason") == [
            *[("drill_1", "superseded", "the drill was interrupted")] * 3,
            *[("test_1", "superseded", "the test was interrupted")] * 3,
            (None, "pending", None),
        ]
        assert sql(database, "SELECT count(*) FROM notices WHERE ended_at IS NULL") == [(1,)]
