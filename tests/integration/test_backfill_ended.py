"""Bids that were placed, or ended, while nobody looked, and what came and went between two looks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from mithrild.watcher.backfill import REST, ROUTINE, SWEEP
from tests.integration.sleeper import Sleeper, gaps, with_sleeper


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
