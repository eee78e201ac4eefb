"""Two orders, and how the marketplace's own history is laid over ours.

`sequence` is the order in which we learned things. `position` orders the steps of one subject as they
happened: by the marketplace's time where that is known, else by the end of the window in which the step
was seen (it happened after the last poll without it, and before the first poll with it).

Alignment comes before anything is added: a step of the history that fits a row that stands *is* that row,
and only tells its time. One transition is one row, and one event, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Alignment:
    """`story`: the history, the oldest first, each step with the sequence of the row that stands for it, or None.
    `times`: sequence -> when that row really happened, where the row did not know."""

    story: tuple[tuple[Told, int | None], ...] = ()
    times: Mapping[int, datetime] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[Told, ...]:
        """Steps that no row stands for."""
        return tuple(told for told, sequence in self.story if sequence is None)


def align(rows: Sequence[Row], history: Sequence[Told]) -> Alignment:
    """Lays the history of one subject over its rows, in order.

    A step matches a row of the same target status whose window holds its time. Rows whose time is known
    match that time only, so aligning twice changes nothing. A row stands for one step, and a look shows how
    things stand at its end: so the last steps are matched first, and of two rows that could stand for a step
    the later one does. Steps of one moment keep the order in which they were told.
    """
    if history and history[0].at > history[-1].at:
        history = history[::-1]  # the newest first: of steps with one time stamp the last told came first
    story = sorted(history, key=lambda told: told.at)
    free = sorted(rows, key=lambda row: row.position)
    times: dict[int, datetime] = {}
    stands: dict[int, int] = {}  # place in the story -> sequence

    def take(at: int, row: Row | None) -> None:
        if row is not None:
            free.remove(row)
            stands[at] = row.sequence
            if row.occurred_at is None and not story[at].inferred:
                times[row.sequence] = story[at].at

    # What surely belongs together finds itself first, in its order.
    for at, told in enumerate(story):
        take(at, next((row for row in free if row.occurred_at == told.at and row.after == told.after), None))
    for at in reversed(range(len(story))):
        if at not in stands:
            # Clocks may be a little off, or the difference between them have been told wrong: a row that holds the
            # step all the same is to be preferred, but not an earlier step.
            fitting = [row for row in reversed(free) if _fits(row, story[at], SLACK)]
            take(at, next((row for row in fitting if _fits(row, story[at], timedelta(0))), next(iter(fitting), None)))
    limit = len(story)
    for row in sorted((row for row in free if row.occurred_at is None), key=lambda row: row.sequence, reverse=True):
        # What was seen has happened. A row that fits no time was measured by a clock that was wrong, or was told so,
        # or its step has not been written yet: it is taken for the last step of its status that no other row stands
        # for, so that this is not told twice. Its time it is not told: it may be another's.
        found_at = next((at for at in reversed(range(limit)) if at not in stands and _is_near(row, story[at])), None)
        if found_at is not None:
            stands[found_at] = row.sequence
            limit = found_at
    return Alignment(tuple((told, stands.get(at)) for at, told in enumerate(story)), times)


def _is_near(row: Row, told: Told) -> bool:
    return row.after == told.after and abs(told.at - row.observed_at) <= WRONG_AT_MOST


def _fits(row: Row, told: Told, slack: timedelta) -> bool:
    if row.after != told.after:
        return False
    if row.occurred_at is not None:
        return abs(row.occurred_at - told.at) <= slack
    return any(_holds(row, at, slack) for at in {told.at - row.ahead, told.at})


def _holds(row: Row, at: datetime, slack: timedelta) -> bool:
    """Whether a moment of our clock lies in the window of a row."""
    begun = row.window_start is None or at > row.window_start - slack
    return begun and at <= row.observed_at + slack
