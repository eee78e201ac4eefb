"""The time, passed in: tests hand over a clock that they turn by hand. And how far it can be trusted."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_JUMP = timedelta(seconds=2)  # between the clocks: what adjustments of a healthy machine may come to


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, in UTC, with a time zone. It may jump, in both directions."""

    def monotonic(self) -> float:
        """Seconds that only grow. They stand still while the machine sleeps."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def bearing(clock: Clock) -> timedelta:
    """What the wall shows beside what has passed: it changes when the clock is set, and while the machine sleeps."""
    return clock.now() - EPOCH - timedelta(seconds=clock.monotonic())


class Bearings:
    """Whether our clock still goes as it did when what the record says of time was last put in its terms.

    They are lost when the clock is set, when the machine sleeps, and with the process: until the marketplace has told
    its time again, nobody knows how long ago anything was.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._then: timedelta | None = None

    def take(self, then: timedelta) -> None:
        """The record is in terms of the clock as it went with this bearing."""
        self._then = then

    def hold(self, at: timedelta | None = None) -> bool:
        """Whether our clock goes as it did, or went so at another bearing."""
        at = bearing(self._clock) if at is None else at
        return self._then is not None and abs(at - self._then) <= NO_JUMP
