"""The world of a script: a sandbox and its market, a clock, a daemon that may die, and an onlooker's diary."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mithrild.sandbox.lifecycle import FINAL
from mithrild.sandbox.state import Bid, Instance
from mithrild.store.database import Database
from tests.crash.points import lay
from tests.equivalence.clock import START, WorldClock
from tests.equivalence.diary import Diary
from tests.equivalence.life import RECORD, Doom, Killed, Life
from tests.integration.sandbox_server import CAP, PROJECT, Visitor, visit

A_MOMENT = 0.25  # seconds
# Clocks are compared to a second: of what happens within one of the first sight nobody can tell whether it was before.
APART = 2.0


class World:
    """`ahead` is the marketplace's clock minus ours at the beginning, in seconds."""

    def __init__(self, visitor: Visitor, folder: Path) -> None:
        self.visitor, self.folder = visitor, folder
        self.market = visitor.sandbox.market
        self.clock = WorldClock(START, 0.0, self._there)
        self.life: Life | None = None
        self.lives = 0
        self.placed = 0
        self.by_word: set[int] = set()  # the steps that were said rather than done: no notice among them is carried out
        self.diary = Diary()
        self.liars = 0  # of how many calls the answers have borne a wrong date

    @property
    def breaks(self) -> int:
        """How often the daemon lost its bearings: with its process, and with the clock."""
        return self.lives + self.clock.breaks

    async def _there(self, seconds: float) -> None:
        self.market.advance(seconds)
        await asyncio.sleep(0)

    def bids(self) -> list[Bid]:
        """Those of the watched project that have not ended, the oldest first."""
        return sorted(self.market.registry.unended_bids(PROJECT), key=lambda bid: bid.seq)

    def instances(self) -> list[Instance]:
        """Those of the watched project that have not ended, the oldest first."""
        mine = (one for one in self.market.registry.instances if one.project == PROJECT)
        return [one for one in mine if one.status not in FINAL]

    async def alive(self) -> Life:
        if self.life is None:
            self.lives += 1
            self.life = Life(self.visitor, self.folder, self.clock, self.lives, self._note)
            await self.life.begin()
        return self.life

    async def watch(self, polls: int) -> None:
        await self._a_moment_passes()
        async with self._first_sight_apart():
            await (await self.alive()).watch(polls)
        await self._a_moment_passes()

    async def die_at(self, point: str, nth: int, polls: int) -> None:
        """The daemon's objects are dropped at this point of its work, or after so many polls."""
        await self._a_moment_passes()
        life = await self.alive()

        def die() -> None:
            life.database.dead = True
            raise Killed

        async with self._first_sight_apart():
            with pytest.MonkeyPatch.context() as patch:
                lay(point, nth, die, patch.setattr)
                with suppress(Killed):
                    await life.watch(polls)
                await self.die()
            self.look()

    async def die(self) -> None:
        if self.life is not None:
            await self.life.die()
            self.life = None

    async def be_slain(self, point: str, nth: int, polls: int) -> None:
        """The same with a process of its own and a real SIGKILL."""
        await self.die()
        await self._a_moment_passes()
        self.lives += 1
        address, key = str(self.visitor.http.base_url), self.visitor.sandbox.key
        now, passed = self.clock, self.market.agenda.advanced
        doom = Doom(
            address, key, str(self.folder), now.time.isoformat(), now.awake, self.lives, point, nth, polls
        )  # fmt: skip
        process = await asyncio.create_subprocess_exec(*doom.argv())
        code = await asyncio.wait_for(process.wait(), 3 * CAP)
        assert code == -signal.SIGKILL, "it was to be killed, and for nothing else"
        passed = self.market.agenda.advanced - passed
        self.clock.awake += passed
        self.clock.set(passed)
        self.look()

    @asynccontextmanager
    async def _first_sight_apart(self) -> AsyncIterator[None]:
        seen = self.diary.first_sight
        yield
        if self.diary.first_sight != seen:
            await self.clock.sleep(APART)

    async def _a_moment_passes(self) -> None:
        """Looks are never at the very moment of what a script does, or nobody could say which came first."""
        await self.clock.sleep(A_MOMENT if self.diary.first_sight else APART)
        self.diary.look_from(self.market.timeline.newest)

    async def calm(self) -> None:
        self.visitor.sandbox.faults.clear()
        await self._a_moment_passes()
        await (await self.alive()).catch_up()

    async def look_through(self) -> None:
        await (await self.alive()).look_through()

    @contextmanager
    def record(self) -> Iterator[Database]:
        """The record as it lies there, for an onlooker."""
        database = Database(self.folder / RECORD)
        try:
            yield database
        finally:
            database.close()

    def look(self) -> None:
        with self.record() as database:
            self._note(database)

    def _note(self, database: Database) -> None:
        there = datetime.fromtimestamp(self.market.agenda.clock(), UTC)
        self.diary.note(
            database, there - self.clock.now(), self.market.timeline.newest, self.breaks, misled=self.liars > 1
        )


def in_world(folder: Path, story: Callable[[World], Awaitable[None]], *, ahead: float = 0.0) -> None:
    """Tells a story in a new world with the demonstration's market. The marketplace's clock is `ahead` of ours."""

    async def enter(visitor: Visitor) -> None:
        asyncio.get_running_loop().set_exception_handler(_mind_all_but_death)
        world = World(visitor, folder)
        try:
            await story(world)
        finally:
            await world.die()

    visit(enter, demo=True, market=True, wall=lambda: START.timestamp() + ahead)


def _mind_all_but_death(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Whatever else the dead were at needs nobody's attention."""
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)
