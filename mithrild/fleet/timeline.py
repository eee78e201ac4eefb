"""Two orders: in which we learned things, and in which they happened.

`sequence` is the order in which we learned things. `position` orders the steps of one subject as they
happened: by the marketplace's time where that is known, else by the end of the window in which the step
was seen (it happened after the last poll without it, and before the first poll with it).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# The marketplace stamps whole seconds in some answers and fractions in others.
SLACK = timedelta(seconds=1)
# How wrong a clock, or what was told of one, is taken to be at the most.
WRONG_AT_MOST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Row:
    """A status transition of one subject, as the record holds it.

    `window_start` and `observed_at` are by our clock, `occurred_at` and `place` (its position) by the marketplace's.
    """

    sequence: int
    after: str
    window_start: datetime | None  # None: nobody had watched before
    observed_at: datetime
    occurred_at: datetime | None = None
    place: datetime | None = None
    baseline: bool = False
    seen: bool = True  # by a look, and not told by a history
    ahead: timedelta = timedelta(0)  # the marketplace's clock minus ours, as it was when this row was written

    @property
    def position(self) -> tuple[datetime, int]:
        return (self.place or self.occurred_at or self.observed_at, self.sequence)


@dataclass(frozen=True, slots=True)
class Told:
    """A step of the same subject in the marketplace's history, or one that must have been by what it tells."""

    after: str
    at: datetime
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class InstanceStory:
    """The steps of one instance, in the order in which they were told."""

    instance: str
    bid: str | None
    steps: tuple[Told, ...]
