"""Times in which nobody looked: what the marketplace remembers of them, and what it has forgotten."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.fleet.event import stamp
from mithrild.store.gap import gaps_of
from mithrild.watcher.backfill import REST
from tests.integration.sandbox_server import PROJECT
from tests.integration.sleeper import Sleeper, gaps, with_sleeper


async def sleep_through(sleeper: Sleeper, bid: str) -> None:
    """Two hours in which nobody looks, and in which a notice comes and goes; then another process looks."""
    await sleeper.turn(3600)
    await sleeper.rig.visitor.force(bid, "preempt")
    await sleeper.turn(60)
    await sleeper.rig.visitor.force(bid, "reprieve")
    await sleeper.turn(3600)
    sleeper.restart()
    await sleeper.look()


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
