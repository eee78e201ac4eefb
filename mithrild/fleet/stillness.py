"""What keeps a hook still although an event is its own: silences, and quiet hours. Pure: the time is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Silence:
    """Asked for by a person, for a while: the hooks do nothing for bids of a name, whatever happens to them."""

    id: int
    pattern: str  # of a bid's name or fid; "*" takes in what is about no bid, too
    hook: str | None  # None: every hook
    begun_at: datetime
    until: datetime

    def holds(self, hook: str, bid: str | None, bid_name: str | None, now: datetime) -> bool:
        """Whether it keeps this hook still for an event of this bid. Its end is not its own any more."""
        if self.hook not in (None, hook) or not self.begun_at <= now < self.until:
            return False
        return self.pattern == "*" or any(name and fnmatchcase(name, self.pattern) for name in (bid_name, bid))

    @property
    def reason(self) -> str:
        return f"silence {self.id}: {self.pattern}"


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Every day from `begin` to `end`, which may lie on the next day, by the clock on a wall.

    An hour that a change to summer time leaves out is no part of them; one that comes twice is, both times.
    """

    begin: time
    end: time  # not a part of them
    zone: tzinfo | None = None  # None: where this machine is

    def hold(self, now: datetime) -> bool:
        wall = now.astimezone(self.zone).time()
        if self.begin < self.end:
            return self.begin <= wall < self.end
        return wall >= self.begin or wall < self.end

    @property
    def written(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}" + (f" {self.zone}" if self.zone else "")

    @property
    def reason(self) -> str:
        return f"quiet hours, {self.written}"
