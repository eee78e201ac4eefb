"""Keeps the record in order beside the polls: backups, retention, and how large it has grown.

None of it is in a hurry, and none of it may keep a poll waiting: what writes does so a few rows at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from loguru import logger

from mithrild.clock import Clock
from mithrild.config import Config
from mithrild.errors import StoreError
from mithrild.fleet import keeping
from mithrild.fleet.keeping import Limits
from mithrild.logs import Trouble
from mithrild.store import retention
from mithrild.store.backup import BackupState
from mithrild.store.bounded import Dropped
from mithrild.store.database import Database
from mithrild.store.growth import Growth, measure
from mithrild.watcher.backups import Backups
from mithrild.watcher.cadence import Beat, Cadence

FIRST = 15.0  # seconds after the start: the first polls come before
REST = 60.0  # seconds between two looks at what is due
EVERY = 3600.0  # seconds between two sweeps, and between two measurements
SLICE = 20.0  # seconds after which a long sweep lets go, and goes on at the next beat
PAUSE = 0.01  # seconds between two transactions of a sweep, for whoever else has something to write
_DONE = object()


class Upkeep:
    """`skew` is the marketplace's clock minus ours, None until it has answered."""

    def __init__(
        self, config: Callable[[], Config], database: Database, clock: Clock, skew: Callable[[], timedelta | None]
    ) -> None:
        self._config, self._database, self._clock, self._skew = config, database, clock, skew
        self._backups = Backups(config, database.path, clock)
        self._trouble = Trouble("retention", clock)
        self._sweep: Iterator[None] | None = None  # under way
        self._dropped = Dropped()
        self._limits: Limits | None = None  # of the last sweep
        self._swept_at = self._measured_at = float("-inf")  # monotonic
        self._first_look: asyncio.Task[datetime | None] | None = None
        self.growth: Growth | None = None

    def begin(self, cadence: Cadence) -> None:
        # What there is can be told at once; what is to be done has time.
        self._first_look = asyncio.create_task(self._backups.look(only=True))
        cadence.add(Beat("upkeep", self.run), delay=FIRST)

    @property
    def backups(self) -> BackupState:
        return self._backups.state

    @property
    def waits(self) -> str | None:
        """Why nothing is dropped at present, whatever its age."""
        return keeping.distrust(self._skew())

    def back_up(self) -> int:
        """Begins a backup now, or joins the one under way. Returns the number of its run."""
        return self._backups.start()

    async def stop(self) -> None:
        if self._first_look is not None:
            await asyncio.gather(self._first_look, return_exceptions=True)
        await self._backups.stop()

    async def run(self) -> float:
        """What is due now. Returns the seconds until the next look."""
        due = await self._backups.look()
        try:
            await self._keep_in_bounds()
            if self._sweep is None and self._clock.monotonic() - self._measured_at >= EVERY:
                self.growth = await asyncio.to_thread(measure, self._database, self._clock.now())
                self._measured_at = self._clock.monotonic()
            self._trouble.recovered()
        except StoreError as error:
            self._sweep = None
            if error.kind is None:  # of the disk the record itself speaks
                self._trouble.failed(str(error))
            return REST
        if self._sweep is not None:
            return 1.0
        wait = REST if due is None else (due - self._clock.now()).total_seconds()
        return min(max(wait, 1.0), REST)

    async def _keep_in_bounds(self) -> None:
        limits, skew = self._config().keep.limits(), self._skew()
        if self._sweep is None:
            if limits == self._limits and self._clock.monotonic() - self._swept_at < EVERY:
                return
            if skew is None or self.waits is not None:
                return
            self._dropped, self._limits = Dropped(), limits
            self._sweep = retention.sweep(self._database, limits, self._clock.now(), skew, self._dropped)
        until = self._clock.monotonic() + SLICE
        while await asyncio.to_thread(next, self._sweep, _DONE) is not _DONE:
            if self._clock.monotonic() >= until:
                return
            await self._clock.sleep(PAUSE)
        self._sweep, self._swept_at, self._measured_at = None, self._clock.monotonic(), float("-inf")
        if self._dropped:
            await asyncio.to_thread(retention.note, self._database, self._dropped, self._clock.now())
            logger.info("no longer kept: {}", self._dropped)
