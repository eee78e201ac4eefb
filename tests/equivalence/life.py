"""One life of the daemon on a clock that is turned by hand: its watch, its hooks, and its death.

As a program (`python -m tests.equivalence.life`, see `main`) it is a process of its own, and dies by SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
from sqlalchemy import Connection, text

from mithrild.config import Hook
from mithrild.hooks.dispatcher import Dispatcher
from mithrild.store.database import Database
from tests.acceptance.fault_table import NO_ANSWER
from tests.acceptance.harness import write_hook
from tests.crash.points import lay
from tests.equivalence.clock import WorldClock
from tests.integration.account_rig import Rig
from tests.integration.sandbox_server import CAP, Visitor
from tests.integration.store_builders import a_new_record, until

ACTIVE = 20  # seconds between two polls
MAX_AGE = timedelta(minutes=10)
RECORD, EFFECTS = "watch.db", "effects.txt"
MOST_TURNS = 400
HOOKS = {
    "tell": ("bid.*", "marketplace.*", "credentials.*"),
    "save": ("instance.preempting", "instance.relocating"),
    "resume": ("instance.running", "instance.reprieved"),
}


class Killed(BaseException):
    """The process ended here, as far as the daemon's objects can tell."""


class MortalRecord(Database):
    """A record whose process can die: what was not committed by then is not committed."""

    def __init__(self, path: Path) -> None:
        self.dead = False
        if not path.exists():
            path.write_bytes(a_new_record())
        super().__init__(path)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.mind_death()
        with super().write() as connection:
            yield connection
            self.mind_death()

    def mind_death(self) -> None:
        """Whoever is dead goes no further."""
        if self.dead:
            raise Killed


def hooks_in(folder: Path) -> tuple[Hook, ...]:
    """Three hooks that leave a line a run: which event, which try, and how many seconds were left of its notice."""
    line = '"$MITHRILD_HOOK $MITHRILD_EVENT_ID $MITHRILD_ATTEMPT ${MITHRILD_REMAINING_SECONDS:--}"'
    program = write_hook(folder, "leave-a-line", f"echo {line} >> {folder / EFFECTS}")
    return tuple(Hook(name=name, on=on, run=(str(program),), max_age=MAX_AGE) for name, on in HOOKS.items())


class Life:
    """From a start to a death. Nothing here is awaited by the clock on the wall but hooks and faults. `look` is called
    after all that it does."""

    def __init__(
        self,
        visitor: Visitor,
        folder: Path,
        clock: WorldClock,
        number: int,
        look: Callable[[Database], None] = lambda database: None,
    ) -> None:
        self.rig = Rig(
            visitor,
            folder,
            NO_ANSWER,
            clock,
            MortalRecord,
            MITHRILD_POLL__ACTIVE=f"{ACTIVE}s",
            MITHRILD_POLL__IDLE=f"{ACTIVE}s",
            MITHRILD_POLL__CLUSTERS="10m",
        )
        self.rig.config = replace(self.rig.config, hooks=hooks_in(folder))
        self.rig.marketplace._transport._draw = random.random  # the script's own chance, so that it repeats itself
        self.clock, self.database = clock, cast(MortalRecord, self.rig.database)
        self._dispatcher = Dispatcher(
            self.database, lambda: self.rig.config.hooks, clock, run=f"run_{number}", bearings=self.rig.bearings
        )
        self.rig.on_commit = self._dispatcher.wake
        self._serving: asyncio.Task[None] | None = None
        self._look = look

    async def begin(self) -> None:
        await self._dispatcher.recover()
        self._serving = asyncio.create_task(self._dispatcher.serve())
        self.rig.watch.begin()

    async def watch(self, polls: int) -> None:
        """So many polls, whatever else falls due before them, and the hooks of what they show."""
        while polls:
            polls -= await self._turn() == "poll"

    async def catch_up(self) -> None:
        """Until all is well and everything that is so has been seen and asked for, with no time passing after that."""
        for _ in range(MOST_TURNS):
            await self._turn()
            if self._is_well() and await self._look_around():
                return
        raise AssertionError(f"it does not recover: {self.rig.watch.health}")

    async def _look_around(self) -> bool:
        """One look, and all that it gives to ask. False if time passed over it: then more may have happened."""
        began, ran = self.clock.awake, set[str]()
        for backfill in self.rig.watch.looking_back._backfills:
            backfill._swept = None  # what came and went between two looks is found within a minute; here it is now
        self.rig.cadence.look_at_once("poll", "history")
        while not (ran >= {"poll", "history"} and self._is_idle()):
            ran.add(await self._turn())
        return self.clock.awake == began

    async def look_through(self) -> None:
        """The look at the whole project that nothing gives rise to, and that comes every few minutes."""
        backfills = self.rig.watch.looking_back._backfills
        for backfill in backfills:
            backfill._routine_at = self.clock.monotonic()
        while any(one._through or one._routine_at <= self.clock.monotonic() for one in backfills):
            self.rig.cadence.look_at_once("history")
            await self._turn()
        await self.catch_up()

    def look_at_once(self) -> None:
        """What the watch on clock jumps does."""
        self.rig.cadence.look_at_once("poll")

    async def die(self) -> None:
        """Everything is dropped where it stands. Nothing is written any more."""
        self.database.dead = True
        under_way = [task for task in asyncio.all_tasks() if task.get_name().startswith("dlv_")]
        tasks = [self._serving, *under_way]
        for task in filter(None, tasks):
            task.cancel()
            with suppress(asyncio.CancelledError, Killed):
                await task
        with suppress(Killed):
            await self.rig.aclose()

    async def _turn(self) -> str:
        name = await self.rig.cadence.turn()
        self._dispatcher.wake()
        await until(self._hooks_rest)
        self._look(self.database)
        return name

    def _hooks_rest(self) -> bool:
        self.database.mind_death()
        if self._serving is not None and self._serving.done():
            self._serving.result()
        # What has no time at which it is due waits until the marketplace has told its own.
        untried = "attempts = 0 and next_at is not null"
        due = f"state = 'running' or (state = 'pending' and ({untried} or next_at <= :now))"
        now = self.clock.now().replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        with self.database.read() as connection:
            return not connection.execute(text(f"select 1 from deliveries where {due} limit 1"), {"now": now}).first()

    def _is_well(self) -> bool:
        health = self.rig.watch.health
        return health.key == "ok" and health.reachable and health.last_error is None and self._is_idle()

    def _is_idle(self) -> bool:
        """Whether nothing is left to be looked back at."""
        wanted = "select 1 from projects where gap_since is not null union select 1 from bids where history_due"
        with self.database.read() as connection:
            return self.rig.watch.pollers is not None and not connection.exec_driver_sql(wanted).first()


@dataclass(frozen=True, slots=True)
class Doom:
    """What a process of its own is told: where it is, what time it is, and where it is to die."""

    address: str
    key: str
    folder: str
    time: str
    awake: float
    number: int
    point: str
    nth: int
    polls: int

    def argv(self) -> Sequence[str]:
        return (sys.executable, "-m", "tests.equivalence.life", json.dumps(asdict(self)))


async def _live(doom: Doom) -> None:
    transport = httpx.AsyncHTTPTransport(verify=False)
    async with httpx.AsyncClient(base_url=doom.address, timeout=CAP, transport=transport) as http:
        visitor = Visitor(http, cast(Any, SimpleNamespace(key=doom.key)))
        clock = WorldClock(datetime.fromisoformat(doom.time), doom.awake, visitor.turn)
        life = Life(visitor, Path(doom.folder), clock, doom.number)
        await life.begin()
        await life.watch(doom.polls)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(words: str) -> None:
    """Lives until the point is reached, or for so many polls, and dies by SIGKILL either way."""
    doom = Doom(**json.loads(words))
    lay(doom.point, doom.nth, _die)
    asyncio.run(_live(doom))
    _die()


if __name__ == "__main__":
    main(sys.argv[1])
