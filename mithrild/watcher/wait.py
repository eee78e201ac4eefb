"""A question to the marketplace's history that came to nothing, and waits to be put again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mithrild.clock import NO_JUMP


@dataclass(frozen=True, slots=True)
class Answered:
    """When an answer came, by our clock and its bearing, and the time of the newest line in it."""

    at: datetime
    bearing: timedelta
    line: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """A question that came to nothing: how often by now, when it is put again, and what its bid had gone through.
    `told`: the last answer."""

    tries: int
    until: float
    newest: int
    told: Answered | None = None

    def has_stood(self, newest: int, told: Answered, polled_at: datetime | None) -> bool:
        """Whether a whole poll that was begun after the last answer showed nothing new, and with this answer no line
        came since. Where our clock was set between them, nobody can tell which of the two came first."""
        last = self.told
        if last is None or polled_at is None or newest != self.newest or told.line != last.line:
            return False
        return polled_at > last.at and abs(told.bearing - last.bearing) <= NO_JUMP
