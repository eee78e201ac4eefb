"""The watch of an account against a real sandbox, on a clock that is turned by hand; polled by hand too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mithrild.clock import Bearings
from mithrild.config import Config, load
from mithrild.errors import StoreError
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace, Tickets
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.watcher.cadence import Beat, Cadence
from mithrild.watcher.watch import Watch
from tests.integration.sandbox_server import PROJECT, Visitor, visit


class HandClock:
    """Turned by hand. Sleeping turns it too, at once."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class HandCadence(Cadence):
    """Turned by hand too: whoever holds it lets the next beat run, at its time. What nobody foresaw is raised."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self._now, self._sleep = clock.monotonic, clock.sleep
        self.due: dict[str, float] = {}

    def _lay_down(self, beat: Beat, delay: float) -> None:
        self.due[beat.name] = self._now() + delay

    async def turn(self) -> str:
        """One run of the beat that is due next, and its name."""
        name = min(self.due, key=lambda name: self.due[name])
        await self._sleep(max(self.due.pop(name) - self._now(), 0.0))
        beat = self._beats[name]
        beat.wanted, beat.begun_at = False, self._now()
        delay = await beat.run()
        beat.begun_at = None
        self._lay_down(beat, 0.0 if beat.wanted else delay)
        return name


class Rig:
    """A watch, its cadence at rest until somebody turns it."""

    def __init__(
        self,
        visitor: Visitor,
        folder: Path,
        read_timeout: float = 15,
        clock: HandClock | None = None,
        record: Callable[[Path], Database] = Database,
        /,
        **env: str,
    ) -> None:
        self.visitor, self.clock = visitor, clock or HandClock()
        address = str(visitor.http.base_url).rstrip("/")
        settings = {"HOME": str(folder), "MITHRIL_API_URL": address, "MITHRIL_API_KEY": visitor.sandbox.key}
        self._settings = settings | {"MITHRIL_PROJECT": PROJECT} | env
        self.config: Config = load(None, self._settings)
        self.database = record(folder / "watch.db")
        self.on_commit: Callable[[], None] = lambda: None
        budget = RequestBudget(self.clock, cap=100_000)
        self.marketplace = Marketplace(
            self.config.api_url,
            self.config.api_key,
            clock=self.clock,
            tickets=Tickets(),
            budget=budget,
            read_timeout=read_timeout,
        )
        self.cadence, self.bearings = HandCadence(self.clock), Bearings(self.clock)
        self.foreign: list[StoreError] = []
        self.watch = Watch(
            lambda: self.config,
            self.marketplace,
            budget,
            self.database,
            self.cadence,
            self.clock,
            bearings=self.bearings,
            host="here",
            on_commit=lambda: self.on_commit(),
            on_foreign_account=self.foreign.append,
        )

    async def aclose(self) -> None:
        await self.watch.stop()
        await self.marketplace.aclose()
        self.database.close()

    def events(self) -> list[str]:
        with self.database.read() as connection:
            return [type for _, _, type, _ in read.events(connection, after=0, limit=1000)]

    async def fault(self, **fault: object) -> None:
        await self.visitor.post("/sandbox/faults", fault, 201)

    def set_config(self, **env: str) -> None:
        """Another configuration, as a reload brings it."""
        self.config = load(None, self._settings | env)
        self.watch.new_key()

    def asked(self) -> list[str]:
        """The paths that were asked for since the last call."""
        ledger = self.visitor.sandbox.ledger
        paths = [one["path"] for one in ledger.report()["last"]]  # type: ignore[attr-defined]  # a report is JSON
        ledger.clear()
        return paths


def with_rig(folder: Path, story: Callable[[Rig], Awaitable[None]], **env: str) -> None:
    async def run(visitor: Visitor) -> None:
        rig = Rig(visitor, folder, **env)
        try:
            await story(rig)
        finally:
            await rig.aclose()

    visit(run)
