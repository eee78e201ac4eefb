"""What nobody saw, from the marketplace's history: against a real sandbox, whose timeline is the truth."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.clock import Bearings
from mithrild.errors import StoreError, Unreachable
from mithrild.fleet.event import stamp
from mithrild.fleet.gaps import Gap
from mithrild.fleet.routing import HookRule, Match
from mithrild.store import read, wishes
from mithrild.store.gap import gaps_of
from mithrild.watcher.backfill import REST, ROUTINE, SWEEP, Backfill
from mithrild.watcher.poller import Poller
from mithrild.watcher.recorder import Recorder
from tests.integration.sandbox_server import PROJECT
from tests.integration.watch_rig import Rig, with_rig


def text(moment: datetime) -> str:
    """A moment as the record writes it."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Sleeper:
    """A watch that looks only now and then, and a backfill that is run by hand."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        # One time for both sides: what is turned at the marketplace passes here too.
        self.turn_market = rig.visitor.turn
        rig.visitor.turn = self.turn  # type: ignore[method-assign]  # for this test's time alone
        self.backfill = Backfill(PROJECT, rig.marketplace, rig.budget, rig.database, rig.recorder, rig.clock)

    async def turn(self, seconds: float) -> None:
        await self.turn_market(seconds)
        self.rig.clock.shift += timedelta(seconds=seconds)

    async def look(self) -> None:
        await self.rig.tick()

    async def remember(self, *bids: str) -> None:
        with self.rig.database.write() as connection:
            wishes.want(connection, *bids)
        await self.finish()

    async def remember_all(self, since: datetime) -> None:
        with self.rig.database.write() as connection:
            gap = "update projects set gap_since = ?, gap_until = ?"
            connection.exec_driver_sql(gap, (text(since), text(self.rig.clock.now())))
        await self.finish()

    async def finish(self) -> None:
        """Until nothing is wanted, or what is wanted waits for the next look."""
        rests = 0
        for _ in range(200):
            if self.is_idle() or (rests >= 3 and self.wanted()[1] is None):
                return
            wait = await self.backfill.run()
            rests += wait == REST
            await self.rig.clock.sleep(wait)
        raise AssertionError("there is no end to what is wanted")

    def is_idle(self) -> bool:
        """Whether nothing is wanted any more, by the record or by the looks that nothing gives rise to."""
        backfill = self.backfill
        rests = backfill._through is None and backfill._routine_at > self.rig.clock.monotonic()
        return rests and self.wanted() == ([], None)

    def restart(self) -> None:
        """Another process on the same record."""
        rig = self.rig
        rig.recorder = Recorder(rig.database, rig.recorder._rules, "here", rig._tell, Bearings(rig.clock))
        rig.poller = Poller(PROJECT, rig.marketplace, rig.database, rig.recorder, rig.clock, lambda: timedelta(hours=1))
        self.backfill = Backfill(PROJECT, rig.marketplace, rig.budget, rig.database, rig.recorder, rig.clock)

    def wanted(self) -> tuple[list[str], Gap | None]:
        with self.rig.database.read() as connection:
            return list(wishes.due(connection, PROJECT)), wishes.gap(connection, PROJECT)

    def rows(self, subject: str) -> list[dict[str, Any]]:
        query = "select * from transitions where subject = ? and aspect = 'status' order by position, sequence"
        with self.rig.database.read() as connection:
            return [dict(row) for row in connection.exec_driver_sql(query, (subject,)).mappings()]

    def words(self, subject: str) -> list[str]:
        return [row["after"].removeprefix("STATUS_") for row in self.rows(subject)]

    async def truth(self) -> dict[str, list[tuple[str, datetime]]]:
        """What really happened, by subject."""
        steps = (await self.rig.visitor.get("/sandbox/timeline", limit=100_000))["steps"]
        found: dict[str, list[tuple[str, datetime]]] = {}
        for step in steps:
            if step["kind"] in ("bid", "instance") and step["aspect"] == "status" and step["project"] == PROJECT:
                found.setdefault(step["subject"], []).append((step["to"], datetime.fromisoformat(step["at"])))
        return found


def with_sleeper(folder: Path, story: Any, **options: Any) -> None:
    async def run(rig: Rig) -> None:
        await story(Sleeper(rig))

    with_rig(folder, run, **options)


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


def test_a_bid_that_was_placed_and_ended_unseen_is_found(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        await sleeper.look()
        begun = rig.clock.now()
        bid = await rig.visitor.running("brief", quantity=2)
        await rig.visitor.delete(f"/v2/spot/bids/{bid}")
        await rig.visitor.turn(600)
        await sleeper.look()
        assert rig.events() == []
        await sleeper.remember_all(begun)
        assert sleeper.words(bid) == ["Open", "Allocated", "Terminated"]
        one, other = rig.fleet().instances
        for instance in (one, other):
            assert sleeper.words(instance)[0] == "NEW"
            assert sleeper.words(instance)[-1] == "TERMINATED"
        assert rig.fleet().bids[bid].value.name == "brief"
        kinds = rig.events()
        assert kinds[0] == "bid.placed"
        assert kinds.count("bid.terminated") == 1

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


def test_a_bid_that_ended_in_the_last_poll_before_a_kill_is_asked_about_after_it(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()
        for verb in ("preempt", "reprieve", "terminate"):
            await rig.visitor.force(bid, verb)
            await sleeper.turn(30)
        await sleeper.look()
        assert sleeper.words(bid) == ["Allocated", "Terminated"]
        sleeper.restart()
        await sleeper.finish()
        assert sleeper.words(bid) == ["Allocated", "Preempting", "Allocated", "Terminated"]
        assert sleeper.wanted() == ([], None)

    with_sleeper(tmp_path, story)


def test_a_gap_outlives_a_kill_between_the_first_look_and_looking_back(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()
        begun = rig.clock.now()
        await sleeper.turn(3600)
        await rig.visitor.force(bid, "preempt")
        await sleeper.turn(60)
        await rig.visitor.force(bid, "reprieve")
        await sleeper.turn(3600)
        sleeper.restart()
        await sleeper.look()
        ended = rig.clock.now()
        for _ in range(2):  # killed once more, and looked again
            due, gap = sleeper.wanted()
            assert due == []
            assert gap is not None
            assert abs(gap.since - begun) < timedelta(minutes=1)
            assert gap.until >= ended - timedelta(minutes=1)
            sleeper.restart()
            await sleeper.look()
        await sleeper.finish()
        assert sleeper.words(bid) == ["Allocated", "Preempting", "Allocated"]
        assert sleeper.wanted() == ([], None)

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


def gaps(sleeper: Sleeper) -> list[dict[str, Any]]:
    """What was told of gaps."""
    with sleeper.rig.database.read() as connection:
        told = read.events(connection, patterns=["watch.gap"], limit=100)
    return [json.loads(body)["data"] for *_, body in told]


async def sleep_through(sleeper: Sleeper, bid: str) -> None:
    """Two hours in which nobody looks, and in which a notice comes and goes; then another process looks."""
    await sleeper.turn(3600)
    await sleeper.rig.visitor.force(bid, "preempt")
    await sleeper.turn(60)
    await sleeper.rig.visitor.force(bid, "reprieve")
    await sleeper.turn(3600)
    sleeper.restart()
    await sleeper.look()


def test_a_gap_that_the_history_fills_is_no_event(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        bid = await sleeper.rig.visitor.running()
        await sleeper.rig.visitor.place("waiting")
        await sleeper.look()
        await sleep_through(sleeper, bid)
        await sleeper.finish()
        assert sleeper.words(bid) == ["Allocated", "Preempting", "Allocated"]
        assert sleeper.wanted() == ([], None)
        assert gaps(sleeper) == []

    with_sleeper(tmp_path, story)


@pytest.mark.parametrize("forgets", ["all", "what was", "the instances"])
def test_what_the_marketplace_has_forgotten_of_a_gap_is_said_once(tmp_path: Path, forgets: str) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        calm, bid = await rig.visitor.running("calm"), await rig.visitor.running()
        await sleeper.look()
        begun = rig.clock.now()
        await sleep_through(sleeper, bid)
        registry = rig.sandbox.market.registry
        history = registry.bid_by_fid[bid].history
        if forgets != "the instances":
            history[:] = [] if forgets == "all" else history[-1:]
        for one in registry.instances_of[bid] if forgets != "what was" else ():
            one.history.clear()
        _, gap = sleeper.wanted()
        assert gap is not None
        for _ in range(2):
            await sleeper.finish()
            assert sleeper.wanted() == ([], None)
            (told,) = gaps(sleeper)
            assert (told["from"], told["to"]) == (stamp(gap.since), stamp(gap.until))
            assert abs(gap.since - begun) < timedelta(minutes=1)
            assert told["gap"]["bids"] == [bid], f"{calm} is explained"
            assert told["gap"]["reason"].startswith("work: ")
            sleeper.backfill._routine_at = rig.clock.monotonic()  # a look that nothing gives rise to
        with rig.database.read() as connection:
            assert len(gaps_of(connection, PROJECT, bid)) == 1
            assert gaps_of(connection, PROJECT, calm) == []

    with_sleeper(tmp_path, story)


def test_a_clock_that_is_set_during_a_look_does_not_begin_it_anew(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        await rig.visitor.post("/sandbox/fleet", {"bids": 12}, 201)
        await sleeper.look()
        sleeper.restart()
        await sleeper.look()
        for _ in range(6):
            for _ in range(2):
                await sleeper.backfill._next()
            rig.clock.shift += timedelta(seconds=3)
            await sleeper.look()
        await sleeper.finish()
        asked = rig.sandbox.ledger.report()["by_path"]
        assert isinstance(asked, dict)
        histories = [count for path, count in asked.items() if path.endswith("/history") and "bid_" in path]
        assert histories == [1] * 12, "each once"

    with_sleeper(tmp_path, story)


def test_a_gap_whose_look_was_killed_is_told_once(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()
        await sleep_through(sleeper, bid)
        rig.sandbox.market.registry.bid_by_fid[bid].history.clear()
        while sleeper.backfill._through is None or sleeper.backfill._through.left:
            if not await sleeper.backfill._next():
                await rig.clock.sleep(REST)
        sleeper.restart()
        await sleeper.look()
        await sleeper.finish()
        assert len(gaps(sleeper)) == 1

    with_sleeper(tmp_path, story)


def test_a_history_that_cannot_be_had_holds_up_no_other_and_is_said(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        broken, bid = await rig.visitor.running("broken"), await rig.visitor.running()
        await sleeper.look()
        await sleep_through(sleeper, bid)
        await rig.fault("html", f"/v2/spot/bids/{broken}/history", status=200)
        for _ in range(20):
            await sleeper.finish()
            if gaps(sleeper):
                break
        assert sleeper.words(bid) == ["Allocated", "Preempting", "Allocated"]
        (told,) = gaps(sleeper)
        assert told["gap"]["bids"] == [broken]

    with_sleeper(tmp_path, story)


def test_a_look_through_takes_one_request_a_bid_and_the_pages_of_their_instances(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bids = (await rig.visitor.post("/sandbox/fleet", {"bids": 30, "instances_per_bid": 4}, 201))["bids"]
        await sleeper.look()
        await sleep_through(sleeper, bids[7])
        rig.asked()
        await sleeper.finish()
        pages = 2  # of 120 instances
        assert rig.asked() <= len(bids) + pages + 1
        assert sleeper.words(bids[7]) == ["Allocated", "Preempting", "Allocated"]
        assert gaps(sleeper) == []

    with_sleeper(tmp_path, story)


def test_a_bid_that_lived_and_ended_between_two_looks_is_found_within_a_minute(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        await sleeper.look()
        assert await sleeper.backfill.run() == REST
        bid = await rig.visitor.running("brief")
        await rig.visitor.delete(f"/v2/spot/bids/{bid}")
        await rig.visitor.turn(600)
        rig.clock.shift += timedelta(seconds=600)
        await sleeper.look()
        assert rig.events() == []
        rig.asked()
        assert await sleeper.backfill.run() == REST
        assert rig.asked() == 0, "it was looked for a moment ago"
        rig.clock.ahead += SWEEP
        await sleeper.backfill.run()
        assert sleeper.words(bid) == ["Open", "Allocated", "Terminated"]
        assert sleeper.wanted() == ([], None)

    with_sleeper(tmp_path, story)


def test_what_came_and_went_between_two_looks_is_found_by_looking_through_now_and_then(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        rig = sleeper.rig
        bid = await rig.visitor.running()
        await sleeper.look()
        await rig.visitor.force(bid, "preempt")
        await sleeper.turn(2)
        await rig.visitor.force(bid, "reprieve")
        await sleeper.look()
        assert sleeper.wanted() == ([], None)
        await sleeper.backfill.run()
        assert sleeper.words(bid) == ["Allocated"]
        rig.clock.ahead += ROUTINE
        await sleeper.finish()
        assert sleeper.words(bid) == ["Allocated", "Preempting", "Allocated"]
        assert gaps(sleeper) == []

    with_sleeper(tmp_path, story)


def test_polls_in_their_usual_distance_leave_no_gap(tmp_path: Path) -> None:
    async def story(sleeper: Sleeper) -> None:
        sleeper.rig.recorder._pause = lambda: timedelta(seconds=20)
        await sleeper.look()
        await sleeper.turn(15)
        await sleeper.look()
        assert sleeper.wanted() == ([], None)
        await sleeper.turn(25)
        await sleeper.look()
        assert sleeper.wanted()[1] is not None

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


def moments(rows: list[dict[str, Any]]) -> list[tuple[str, datetime]]:
    return [(row["after"], datetime.fromisoformat(row["occurred_at"] or row["position"])) for row in rows]
