"""The table of faults, in its own words: what the clocks may do, and what must hold then."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loguru import logger

from mithrild.clock import Bearings
from mithrild.config import load
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace, Tickets
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.watcher.cadence import Cadence
from mithrild.watcher.watch import Watch
from tests.integration.account_rig import HandClock, Rig
from tests.integration.jumping_clock import JumpingClock
from tests.integration.sandbox_server import PROJECT, Visitor, visit
from tests.integration.store_builders import until

NOTICE = timedelta(minutes=5)
SOON = timedelta(seconds=4)


class Living:
    """A watch with its real cadence, on a clock that can be set."""

    def __init__(self, visitor: Visitor, folder: Path, clock: JumpingClock, every: str) -> None:
        address = str(visitor.http.base_url).rstrip("/")
        often = {f"MITHRILD_POLL__{word}": every for word in ("ACTIVE", "CHANGING", "IDLE")}
        seldom = {f"MITHRILD_POLL__{word}": "1h" for word in ("PRICES", "CLUSTERS", "INVENTORY")}
        account = {"MITHRIL_API_URL": address, "MITHRIL_API_KEY": visitor.sandbox.key, "MITHRIL_PROJECT": PROJECT}
        config = load(None, {"HOME": str(folder)} | account | often | seldom)
        self.visitor, self.clock, self.lines = visitor, clock, list[str]()
        self.database, self.cadence = Database(folder / "watch.db"), Cadence(clock)
        budget = RequestBudget(clock, 10_000)
        self.marketplace = Marketplace(address, config.api_key, clock=clock, tickets=Tickets(), budget=budget)
        self.watch = Watch(
            lambda: config,
            self.marketplace,
            budget,
            self.database,
            self.cadence,
            clock,
            bearings=Bearings(clock),
            host="here",
            on_commit=lambda: None,
            on_foreign_account=lambda error: None,
        )

    @property
    def polls(self) -> int:
        return self.watch.health.polls

    def steps(self, bid: str) -> list[str]:
        """What became of a bid, in the order in which it happened."""
        with self.database.read() as connection:
            steps = read.steps(connection, bid)
        return [step["after"] for step in steps if step["subject"] == bid and step["aspect"] == "status"]

    async def until_step(self, bid: str, status: str) -> None:
        await until(lambda: self.steps(bid)[-1:] == [status])


@asynccontextmanager
async def living(visitor: Visitor, folder: Path, clock: JumpingClock, every: str) -> AsyncIterator[Living]:
    one = Living(visitor, folder, clock, every)
    sink = logger.add(lambda line: one.lines.append(str(line)), level="INFO")
    one.watch.begin()
    one.cadence.start()
    try:
        yield one
    finally:
        logger.remove(sink)
        await one.cadence.stop()
        await one.watch.stop()
        await one.marketplace.aclose()
        one.database.close()


def play(
    folder: Path, story: Callable[[Living], Awaitable[None]], *, every: str = "1h", offset: timedelta = timedelta(0)
) -> None:
    async def run(visitor: Visitor) -> None:
        clock = JumpingClock()
        clock.offset = offset
        patch.setattr("apscheduler.schedulers.base.datetime", clock.as_datetime())
        async with living(visitor, folder, clock, every) as one:
            await story(one)

    with pytest.MonkeyPatch.context() as patch:
        visit(run)


# A sleeping machine is a wall clock that has gone on while the monotonic one stood still: it looks like the jump ahead.
JUMPS = {
    "the machine sleeps 8 h": timedelta(hours=8),
    "the clock jumps 4 h ahead": timedelta(hours=4),
    "the clock jumps 4 h back": timedelta(hours=-4),
}


@pytest.mark.parametrize("row", JUMPS)
def test_a_jump(tmp_path: Path, row: str) -> None:
    async def story(one: Living) -> None:
        bid = await one.visitor.running()
        await until(lambda: one.polls == 1)
        first = one.clock.now()
        # At first the clocks are compared to a second: what is to have an order is further apart.
        await until(lambda: one.clock.now() - first > timedelta(seconds=2))
        await one.visitor.force(bid, "preempt")
        one.clock.offset = JUMPS[row]
        await one.until_step(bid, "Preempting")
        await until(lambda: one.polls > 1)
        assert one.polls == 2, "one poll, at once: the next one is an hour away"
        assert len([line for line in one.lines if "the clock jumped" in line]) == 1
        with one.database.read() as connection:
            deadline = read.open_notices(connection)[bid].deadline
        left = deadline - one.clock.now()
        assert timedelta(minutes=4) < left <= NOTICE + timedelta(seconds=10), "by our own clock, as it is now"
        await one.visitor.force(bid, "reprieve")
        one.cadence.look_at_once("poll")
        await one.until_step(bid, "Allocated")
        assert one.steps(bid) == ["Allocated", "Preempting", "Allocated"], "the order stays"
        with one.database.read() as connection:
            types = [type for _, _, type, _ in read.events(connection, after=0)]
        assert "bid.reprieved" in types

    play(tmp_path, story)


@pytest.mark.parametrize("row", JUMPS)
def test_a_jump_within_a_notice(tmp_path: Path, row: str) -> None:
    """How long it still has is not changed by what our clock shows."""

    async def story(one: Living) -> None:
        bid = await one.visitor.running()
        await until(lambda: one.polls == 1)
        await one.visitor.force(bid, "preempt")
        one.cadence.look_at_once("poll")
        await one.until_step(bid, "Preempting")

        def left() -> timedelta:
            with one.database.read() as connection:
                return read.open_notices(connection)[bid].deadline - one.clock.now()

        one.clock.offset = JUMPS[row]
        assert abs(left()) > timedelta(hours=3)
        await until(lambda: timedelta(minutes=4) < left() <= NOTICE + timedelta(seconds=10))

    play(tmp_path, story)


# When local clocks are set back, and ahead, in Berlin.
SAVING = {
    "across daylight saving: back": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "across daylight saving: ahead": datetime(2027, 3, 28, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("row", SAVING)
def test_local_time(tmp_path: Path, row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(one: Living) -> None:
        before = await one.visitor.place("before")
        await until(lambda: one.polls >= 1)
        await until(lambda: one.clock.now() >= SAVING[row] + timedelta(seconds=2))
        walls = {time.localtime(at.timestamp()).tm_gmtoff for at in (SAVING[row] - SOON, one.clock.now())}
        assert len(walls) == 2, "the clocks on the wall were set"
        polls = one.polls
        after = await one.visitor.place("after")
        await one.until_step(after["fid"], "Open")
        await until(lambda: one.polls >= polls + 3)
        assert not [line for line in one.lines if "jumped" in line]
        with one.database.read() as connection:
            order = [read.steps(connection, bid["fid"])[0]["position"] for bid in (before, after)]
        assert order == sorted(order)

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        try:
            play(tmp_path, story, every="200ms", offset=SAVING[row] - SOON - datetime.now(UTC))
        finally:
            os.environ.pop("TZ")
            time.tzset()


@pytest.mark.parametrize("minutes", [10, -10])
@pytest.mark.parametrize("row", ["the marketplace's clock is 10 minutes off"])
def test_another_clock(tmp_path: Path, row: str, minutes: int) -> None:
    """Deadlines are judged by the marketplace's own clock, and the difference is shown."""
    ahead, clock = timedelta(minutes=minutes), HandClock()

    async def run(visitor: Visitor) -> None:
        bid: str = (await visitor.place("work"))["fid"]
        await visitor.force(bid, "allocate")
        await clock.sleep(600)  # all of it runs
        rig = Rig(visitor, tmp_path, 15, clock)
        try:
            await rig.watch.poll()
            await visitor.force(bid, "preempt")
            await rig.watch.poll()
            assert rig.watch.health.ahead is not None
            assert abs(rig.watch.health.ahead - ahead) < timedelta(seconds=2)
            with rig.database.read() as connection:
                notice = read.open_notices(connection)[bid]
                step = read.steps(connection, bid)[-1]
            assert abs(notice.deadline - clock.now() - NOTICE) < timedelta(seconds=5), "in the terms of our clock"
            assert not notice.estimated
            assert abs(step["position"] - clock.now() - ahead) < timedelta(seconds=5), "in the terms of theirs"
            await visitor.force(bid, "reprieve")
            await rig.watch.poll()
            assert "bid.reprieved" in rig.events()
        finally:
            await rig.aclose()

    visit(run, wall=lambda: (clock.now() + ahead).timestamp())
