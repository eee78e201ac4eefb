"""How far the marketplace's clock is from ours, by the `Date` of its answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from mithrild.clock import NO_JUMP

SECOND = timedelta(seconds=1)
WITNESSES = 5  # more are not asked often enough: a marketplace whose clock was set has to be believed soon

_FID = re.compile(r"(?<=/)[a-z]+_[^/]+")


@dataclass(frozen=True, slots=True)
class Moment:
    """What our clock shows, and the bearing with which it goes."""

    at: datetime
    bearing: timedelta

    def goes_on_to(self, later: Moment) -> bool:
        """Whether our clock was not set meanwhile."""
        return abs(later.bearing - self.bearing) <= NO_JUMP


@dataclass(frozen=True, slots=True)
class Span:
    """Where a difference lies. A `Date` has whole seconds and an answer travels: that leaves a second and more open."""

    least: timedelta
    most: timedelta

    @property
    def middle(self) -> timedelta:
        return (self.least + self.most) / 2

    def agrees(self, other: Span) -> bool:
        """Two clocks drift a little between two answers."""
        return self.least <= other.most + SECOND and other.least <= self.most + SECOND

    def narrowed(self, other: Span) -> Span | None:
        """What both leave open."""
        least, most = max(self.least, other.least), min(self.most, other.most)
        return Span(least, most) if least <= most else None


class Skew:
    """A cache or a gateway before one call may send a `Date` that is not the marketplace's. So each call is a witness,
    the last few that answered are heard, and most of them are believed; of equally many those that were heard last.
    When our own clock was set, or the machine slept, they have nothing more to say, and all begins anew; then
    of equally many those are believed that say what is likely."""

    def __init__(self) -> None:
        self._said: dict[str, Span] = {}  # by call, what was heard last at the end
        self._newest: Moment | None = None
        self._ahead: timedelta | None = None
        self._likely: tuple[timedelta, ...] = ()  # after a sleep, and after our clock was set

    @property
    def ahead(self) -> timedelta | None:
        """The marketplace's clock minus ours, None until it has told its time."""
        return self._ahead

    def note(self, path: str, date: datetime, *, sent: Moment, received: Moment) -> None:
        """An answer of `date`. One over which our clock was set, or the machine slept, says nothing."""
        if not sent.goes_on_to(received):
            return
        if self._newest is not None and self._ahead is not None and not self._newest.goes_on_to(received):
            self._said.clear()
            self._likely = (self._ahead, self._ahead - (received.bearing - self._newest.bearing))
        self._newest = received
        call, fresh = _FID.sub("*", path), Span(date - received.at, date + SECOND - sent.at)
        before = self._said.pop(call, fresh)
        self._said[call] = before.narrowed(fresh) or fresh
        if len(self._said) > WITNESSES:
            del self._said[next(iter(self._said))]
        self._ahead = _believed(list(self._said.values())[::-1], [Span(one, one) for one in self._likely]).middle


def _believed(spans: list[Span], likely: list[Span]) -> Span:
    """What most of them leave open, the newest first. Of equally many those that say what is likely are believed."""
    groups = [[other for other in spans if other.agrees(span)] for span in spans]
    believed, *others = max(groups, key=lambda group: (len(group), any(group[0].agrees(one) for one in likely)))
    for other in others:
        believed = believed.narrowed(other) or believed
    return believed
