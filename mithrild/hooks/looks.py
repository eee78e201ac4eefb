"""Which lanes of the outbox are to be looked at, and when.

To look at a lane costs a transaction, and in a storm some try ends every few milliseconds: then its own lane is looked
at, since one of its places is free, and no other. After a commit, and now and then, all of them are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from mithrild.clock import Clock
from mithrild.store.outbox import Lane

IDLE = 30.0  # seconds between looks at all lanes when nothing wakes us; a wake-up that was missed costs no more


class Looks:
    """`wanted` is set when a look has become due before its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.wanted = asyncio.Event()
        self._all = True
        self._lanes: set[Lane] = set()
        self._due: Mapping[Lane, datetime] = {}
        self._all_at = clock.monotonic()

    def at_all(self) -> None:
        self._all = True
        self.wanted.set()

    def at(self, lane: Lane) -> None:
        self._lanes.add(lane)
        self.wanted.set()

    def take(self, now: datetime) -> set[Lane] | None:
        """The lanes of the look that begins now, None for all."""
        lanes = self._lanes | {lane for lane, due in self._due.items() if due <= now}
        every = self._all or self._clock.monotonic() >= self._all_at
        self._all, self._lanes, self._due = False, set(), {}
        self.wanted.clear()
        if every:
            self._all_at = self._clock.monotonic() + IDLE
        return None if every else lanes

    def came_to_nothing(self) -> None:
        """The look that was taken could not be: all of it is still to do, at the next time."""
        self._all = True

    def plan(self, due: Mapping[Lane, datetime], all_within: float | None) -> None:
        """When something falls due in each lane, and in how many seconds all of them are to be looked at."""
        self._due = due
        if all_within is not None:
            self._all_at = min(self._all_at, self._clock.monotonic() + all_within)

    def seconds(self) -> float:
        """Until the next look."""
        now, until_all = self._clock.now(), self._all_at - self._clock.monotonic()
        return max(min([until_all, *((due - now).total_seconds() for due in self._due.values())]), 0.01)
