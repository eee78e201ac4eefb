"""Time in a script: it passes because somebody sleeps, here and at the marketplace at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from tests.integration.account_rig import HandClock

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""When every script begins, so that each runs as it ran before."""


class WorldClock(HandClock):
    """The daemon's clock. `there` lets time pass at the marketplace; `awake` is what no setting of the clock moves."""

    def __init__(self, time: datetime, awake: float, there: Callable[[float], Awaitable[None]]) -> None:
        self.time, self.awake, self._there = time, awake, there
        self.breaks = 0  # how often our clock was set, or the machine slept

    def monotonic(self) -> float:
        return self.awake

    async def sleep(self, seconds: float) -> None:
        self.awake += seconds
        await self._pass(seconds)

    async def suspend(self, seconds: float) -> None:
        """The machine sleeps: its monotonic clock stands still meanwhile."""
        self.breaks += 1
        await self._pass(seconds)

    async def _pass(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        await self._there(seconds)

    def set(self, seconds: float) -> None:
        """Somebody sets the clock ahead, or back."""
        self.breaks += 1
        self.time += timedelta(seconds=seconds)
