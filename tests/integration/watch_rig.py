"""The watcher's real parts (client, record, poller) against a real sandbox, ticked by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mithrild.clock import Bearings, SystemClock
from mithrild.fleet.model import Fleet, Project
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace, Tickets
from mithrild.store import inventory, read
from mithrild.store.database import Database
from mithrild.watcher.poller import Poller, Tick
from mithrild.watcher.recorder import Recorder
from tests.integration.sandbox_server import PROJECT, Visitor, visit


class HastyClock(SystemClock):
    """The real time, and no patience: what a client would wait between two tries passes at once, and counts."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.shift = timedelta()

    def now(self) -> datetime:
        return super().now() + self.shift

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += seconds
        await asyncio.sleep(0.001)


class Rig:
    def __init__(self, visitor: Visitor, folder: Path, address: str) -> None:
        self.clock = clock = HastyClock()
        self.visitor, self.sandbox = visitor, visitor.sandbox
        self.database = Database(folder / "watch.db")
        inventory.keep_projects(self.database, [Project(PROJECT, "demo")])
        self.budget = RequestBudget(clock, cap=100_000)
        self.marketplace = Marketplace(
            address, SecretStr(self.sandbox.key), clock=clock, tickets=Tickets(), budget=self.budget
        )
        self.told = 0  # how often a commit was told of
        self.recorder = Recorder(self.database, list, "here", self._tell, Bearings(clock))
        self.poller = Poller(PROJECT, self.marketplace, self.database, self.recorder, clock, lambda: timedelta(hours=1))

    def _tell(self) -> None:
        self.told += 1

    async def tick(self) -> Tick:
        return await self.poller.tick()

    def events(self) -> list[str]:
        """The types of all events, in order."""
        with self.database.read() as connection:
            return [type for _, _, type, _ in read.events(connection, after=0, limit=10_000)]

    def fleet(self) -> Fleet:
        with self.database.read() as connection:
            return read.fleet(connection, PROJECT, ended=True)

    async def fault(self, kind: str, path: str = "/v2/*", **more: Any) -> None:
        await self.visitor.post("/sandbox/faults", {"kind": kind, "path": path, **more}, 201)

    async def no_faults(self) -> None:
        """The trouble is over, and so is every Retry-After."""
        self.sandbox.faults.clear()
        self.clock.ahead += 120.0

    def asked(self) -> int:
        """Requests since the last call."""
        total, self.sandbox.ledger.total = self.sandbox.ledger.total, 0
        return total


def with_rig(folder: Path, test: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    """`options` are those of `visit`."""

    async def run(visitor: Visitor) -> None:
        rig = Rig(visitor, folder, str(visitor.http.base_url))
        try:
            await test(rig)
        finally:
            await rig.marketplace.aclose()
            rig.database.close()

    visit(run, **options)
