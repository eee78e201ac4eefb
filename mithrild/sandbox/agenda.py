"""Time in the sandbox: the clock that people see, the speed that durations are divided by, and what is due."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime

Action = Callable[[], None]


def stamp(at: float) -> datetime:
    """Seconds since the epoch as a time in UTC."""
    return datetime.fromtimestamp(at, UTC)


def text(at: float) -> str:
    """The same as the API writes it: RFC 3339 with Z."""
    return stamp(at).isoformat().replace("+00:00", "Z")


class Agenda:
    """Actions in the order of their time. While one runs, `now` is the moment at which it was due.

    `wall` gives seconds since the epoch. Speed compresses durations, never the clock: time stamps are wall
    time plus what was advanced by hand.
    """

    def __init__(self, *, speed: float, wall: Callable[[], float] = time.time) -> None:
        self.speed = speed
        self._wall = wall
        self._advanced = 0.0
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self.now = wall()
        self.target = self.now

    def clock(self) -> float:
        """What the marketplace's clock shows at this moment."""
        return self._wall() + self._advanced

    @property
    def advanced(self) -> float:
        return self._advanced

    def advance(self, seconds: float) -> None:
        self._advanced += seconds

    def scaled(self, nominal: float) -> float:
        """Wall seconds that a nominal duration takes."""
        return nominal / self.speed

    def at(self, due: float, action: Action) -> None:
        heapq.heappush(self._heap, (due, next(self._order), action))

    def after(self, nominal: float, action: Action) -> None:
        self.at(self.now + self.scaled(nominal), action)

    def due(self) -> float | None:
        """When the next action is due, None if there is none."""
        return self._heap[0][0] if self._heap else None

    def run(self, until: float) -> None:
        """Do what is due, in order. A clock set back does nothing until it has caught up."""
        self.target = max(self.now, until)
        while self._heap and self._heap[0][0] <= self.target:
            due, _, action = heapq.heappop(self._heap)
            self.now = max(self.now, due)
            action()
        self.now = self.target

    def change_speed(self, speed: float) -> float:
        """Stretch or compress what is still to come. Returns the factor by which it was stretched."""
        factor = self.speed / speed
        # Distances keep their order under a common factor, so the heap stays a heap.
        self._heap = [(self.now + (due - self.now) * factor, order, act) for due, order, act in self._heap]
        self.speed = speed
        return factor
