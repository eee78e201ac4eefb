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

    A step matches a row of the same target status whose window holds its time. Rows whose time is known match that
    time only, so aligning twice changes nothing. A row stands for one step, and a look shows how things stand at its
    end: so the last steps are matched first, and of two rows that could stand for a step the later one does. Where no
    window tells, what was seen later still stands for a later step than what was seen before it. Steps of one moment
    keep the order in which they were told.
    """
    if history and history[0].at > history[-1].at:
        history = history[::-1]  # the newest first: of steps with one time stamp the last told came first
    story = sorted(history, key=lambda told: told.at)
    free = sorted(rows, key=lambda row: row.position)
    times: dict[int, datetime] = {}
    stands: dict[int, Row] = {}  # by the place in the story

    def take(at: int, row: Row) -> None:
        free.remove(row)
        stands[at] = row
        if row.occurred_at is None and not story[at].inferred:
            times[row.sequence] = story[at].at

    def is_passed(at: int, row: Row, ahead: timedelta) -> bool:
        """Whether a first sight would not have shown this step any more, but the next."""
        return row.baseline and at + 1 < len(story) and story[at + 1].at <= row.observed_at + ahead - SLACK

    def in_order(at: int, row: Row) -> bool:
        others = ((there, one.sequence) for there, one in stands.items() if one.seen and row.seen)
        return all((there < at) == (sequence < row.sequence) for there, sequence in others)

    # What surely belongs together finds itself first, in its order.
    for at, told in enumerate(story):
        if (row := next((row for row in free if _is(row, told)), None)) is not None:
            take(at, row)
    for at in reversed(range(len(story))):
        if at not in stands:
            # Clocks may be a little off: a row that holds the step all the same is to be preferred, but not an earlier
            # step.
            fitting = [
                row for row in reversed(free) if _holds(row, story[at], SLACK) and not is_passed(at, row, row.ahead)
            ]
            if fitting:
                take(at, next((row for row in fitting if _holds(row, story[at])), fitting[0]))
    for at in reversed(range(len(story))):
        fitting = [row for row in reversed(free) if _holds_by_our_clock(row, story[at]) and in_order(at, row)]
        fitting = [row for row in fitting if not is_passed(at, row, timedelta(0))]
        if at not in stands and fitting:
            take(at, fitting[0])
    for row in sorted((row for row in free if row.occurred_at is None), key=lambda row: row.sequence, reverse=True):
        # What was seen has happened. A row that fits no time was measured by a clock that was wrong, or was told so,
        # or its step has not been written yet: it is taken for the last step of its status that no other row stands
        # for, so that this is not told twice. Its time it is not told: it may be another's.
        near = (at for at in reversed(range(len(story))) if at not in stands and _is_near(row, story[at]))
        latest = min(row.ahead, timedelta(0))
        found_at = next((at for at in near if in_order(at, row) and not is_passed(at, row, latest)), None)
        if found_at is not None:
            stands[found_at] = row
    sequences = {at: row.sequence for at, row in stands.items()}
    return Alignment(tuple((told, sequences.get(at)) for at, told in enumerate(story)), times)


def _is_near(row: Row, told: Told) -> bool:
    return row.after == told.after and abs(told.at - row.observed_at) <= WRONG_AT_MOST


def _is(row: Row, told: Told) -> bool:
    return row.after == told.after and row.occurred_at == told.at


def _holds(row: Row, told: Told, slack: timedelta = timedelta(0)) -> bool:
    """Whether a step lies in the window of a row, or at its time where that is known."""
    if row.after != told.after:
        return False
    if row.occurred_at is not None:
        return abs(row.occurred_at - told.at) <= slack
    return _is_within(row, told.at - row.ahead, slack)


def _holds_by_our_clock(row: Row, told: Told) -> bool:
    """The same by clocks whose difference was told wrong."""
    return row.after == told.after and row.occurred_at is None and _is_within(row, told.at, SLACK)


def _is_within(row: Row, at: datetime, slack: timedelta) -> bool:
    """Whether a moment of our clock lies in the window of a row. One that begins after its end was put in terms of a
    clock that somebody told wrong: when it began is not known."""
    start = row.window_start
    begun = start is None or start > row.observed_at or at > start - slack
    return begun and at <= row.observed_at + slack
