"""What nobody saw, from the marketplace's history: against a real sandbox, whose timeline is the truth."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.errors import StoreError, Unreachable
from mithrild.fleet.routing import HookRule, Match
from mithrild.store import read, wishes
from tests.integration.sleeper import Sleeper, moments, with_sleeper


def test_a_notice_that_came_and_went_between_two_looks_is_told_late(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()
        (instance,) = rig.fleet().instances
        await rig.visitor.force(bid, "preempt")
        await rig.visitor.turn(60)
        await rig.visitor.force(bid, "reprieve")
        await sleeper.look()
        assert rig.events() == [], "nobody saw it"
        await sleeper.remember(bid)
        assert rig.events() == ["bid.preempting", "instance.preempting", "bid.reprieved", "instance.reprieved"]
        assert sleeper.words(instance)[-3:] == ["RUNNING", "PREEMPTING", "RUNNING"]
        assert {row["provenance"] for row in sleeper.rows(instance)[1:]} == {"backfilled"}
        with rig.database.read() as connection:
            notices = connection.exec_driver_sql("select subject, ended_how from notices order by subject").all()
        assert {tuple(row) for row in notices} == {(bid, "reprieved"), (instance, "reprieved")}
        count = len(sleeper.rows(instance))
        await sleeper.remember(bid)
        assert len(sleeper.rows(instance)) == count, "told once"
        await sleeper.look()
        assert len(rig.events()) == 4

    with_sleeper(tmp_path, story)


def test_what_was_seen_is_only_told_its_time(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()
        await rig.visitor.force(bid, "preempt")
        await sleeper.look()
        events = rig.events()
        with rig.database.read() as connection:
            bodies = [body for *_, body in read.events(connection, after=0, limit=100)]
        await sleeper.remember(bid)
        assert rig.events() == events
        with rig.database.read() as connection:
            assert [body for *_, body in read.events(connection, after=0, limit=100)] == bodies
        truth = await sleeper.truth()
        assert moments(sleeper.rows(bid)[-1:]) == truth[bid][-1:]

    with_sleeper(tmp_path, story)


def test_a_hook_that_was_told_of_a_later_step_does_not_hear_of_an_earlier_one(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        (bid,) = (await rig.visitor.post("/sandbox/fleet", {"bids": 1}, 201))["bids"]
        await sleeper.look()
        rules = [
            HookRule("all", ("bid.*",), Match(), None, ("run",)),
            HookRule("back", ("bid.allocated",), Match(), None, ("run",)),
        ]
        rig.recorder._rules = lambda: rules
        for verb in ("pause", "allocate"):
            await rig.visitor.force(bid, verb)
            await sleeper.turn(30)
        await rig.visitor.force(bid, "pause")
        await sleeper.look()  # allocated, paused, allocated, paused: one step was seen
        await sleeper.remember(bid)
        query = (
            "select hook, type, state, reason from deliveries join transitions using (sequence) "
            "order by hook, transitions.position"
        )
        with rig.database.read() as connection:
            told = [tuple(row) for row in connection.exec_driver_sql(query)]
        overtaken = "what came after it was told first"
        assert told == [
            ("all", "bid.paused", "superseded", overtaken),
            ("all", "bid.resumed", "superseded", overtaken),
            ("all", "bid.allocated", "superseded", overtaken),
            ("all", "bid.paused", "pending", None),
            ("back", "bid.allocated", "pending", None),
        ]

    with_sleeper(tmp_path, story)


def test_a_limit_that_was_changed_and_changed_back_is_told(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await rig.visitor.patch(f"/v2/spot/bids/{bid}", {"limit_price": "$29.00"})
        await rig.visitor.turn(10)  # more than the second of which a Date is made
        await sleeper.look()
        for price in ("$31.00", "$32.00", "$29.00"):
            await rig.visitor.turn(10)
            await rig.visitor.patch(f"/v2/spot/bids/{bid}", {"limit_price": price})
        await sleeper.look()
        await sleeper.remember(bid)
        await sleeper.remember(bid)
        query = "select before, after, provenance from transitions where aspect = 'limit_price' order by position"
        with rig.database.read() as connection:
            told = [tuple(row) for row in connection.exec_driver_sql(query)]
        assert told == [
            ("$29.00", "$31.00", "backfilled"),
            ("$31.00", "$32.00", "backfilled"),
            ("$32.00", "$29.00", "backfilled"),
        ]
        assert rig.events() == ["bid.limit_changed"] * 3
        await rig.visitor.patch(f"/v2/spot/bids/{bid}", {"limit_price": "$40.00"})
        await sleeper.look()
        await sleeper.remember(bid)
        assert len(rig.events()) == 4, "what was seen is only told its time"

    with_sleeper(tmp_path, story)


@pytest.mark.parametrize("error", [StoreError("the disk is full"), Unreachable("away"), asyncio.CancelledError()])
def test_a_wish_outlives_whatever_keeps_it_from_being_fulfilled(tmp_path: Path, error: BaseException) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()

        async def refuse(*_: object) -> None:
            raise error

        with rig.database.write() as connection:
            wishes.want(connection, bid)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rig.recorder, "remember", refuse)
            with contextlib.suppress(StoreError, asyncio.CancelledError):
                await sleeper.backfill.run()
        assert not sleeper.is_idle()
        await sleeper.remember()
        assert sleeper.rows(bid)[-1]["occurred_at"] is not None

    with_sleeper(tmp_path, story)


@pytest.mark.parametrize("hours", [-4, 4])
def test_a_clock_that_is_set_hides_nothing(tmp_path: Path, hours: int) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        await sleeper.look()
        brief = await rig.visitor.running("brief")
        await rig.visitor.delete(f"/v2/spot/bids/{brief}")
        await sleeper.turn(600)
        bid = (await rig.visitor.place("work"))["fid"]
        await sleeper.look()
        await rig.visitor.force(bid, "allocate")
        await sleeper.turn(600)
        rig.clock.shift += timedelta(hours=hours)
        sleeper.restart()
        await sleeper.look()
        await sleeper.finish()
        truth = await sleeper.truth()
        assert truth.keys() == {row.fid for row in [one.value for one in rig.fleet().bids.values()]} | {
            one.value.fid for one in rig.fleet().instances.values()
        }
        for subject, steps in truth.items():
            assert [word for word, _ in moments(sleeper.rows(subject))] == [word for word, _ in steps], subject
            told = [datetime.fromisoformat(row["occurred_at"]) for row in sleeper.rows(subject)]
            assert all(abs(at - true) < timedelta(seconds=1) for at, (_, true) in zip(told, steps, strict=True))

    with_sleeper(tmp_path, story)


def test_a_change_seen_while_the_question_is_under_way_is_asked_about_too(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()
        ask = rig.marketplace.status_history

        async def slowly(*args: Any, **more: Any) -> Any:
            answer = await ask(*args, **more)
            for verb in ("preempt", "reprieve", "preempt"):
                await rig.visitor.force(bid, verb)
                await sleeper.turn(10)
            await sleeper.look()
            return answer

        with rig.database.write() as connection:
            wishes.want(connection, bid)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rig.marketplace, "status_history", slowly)
            assert await sleeper.backfill._next()
        assert sleeper.wanted() == ([bid], None)
        await sleeper.finish()
        assert sleeper.words(bid) == ["Allocated", "Preempting", "Allocated", "Preempting"]

    with_sleeper(tmp_path, story)


def test_a_history_that_knows_more_than_the_record_is_read_again(tmp_path: Path) -> None:
    """It was asked for between two polls; what led away from the first and back before the second must not be lost."""

    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()
        await rig.visitor.force(bid, "preempt")
        with rig.database.write() as connection:
            wishes.want(connection, bid)
        assert await sleeper.backfill._next()
        await sleeper.turn(2)
        await rig.visitor.force(bid, "reprieve")
        await sleeper.look()
        assert sleeper.words(bid) == ["Allocated"], "it looks as it did"
        assert sleeper.wanted() == ([bid], None)
        await sleeper.finish()
        assert sleeper.words(bid) == ["Allocated", "Preempting", "Allocated"]

    with_sleeper(tmp_path, story)
