"""How the marketplace's own history of one subject is laid over our rows of it. Pure.

Alignment comes before anything is added: a step of the history that fits a row that stands *is* that row, and only
tells its time. One transition is one row, and one event, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mithrild.fleet.remembered import in_order
from mithrild.fleet.timeline import SLACK, WRONG_AT_MOST, Row, Told


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


def align(rows: Sequence[Row], history: Sequence[Told], *, ahead: timedelta = timedelta(0)) -> Alignment:
    """Lays the history of one subject over its rows, in order. `ahead`: the marketplace's clock minus ours by now.

    A step matches a row of the same target status whose window holds its time. Rows whose time is known match that
    time only, so aligning twice changes nothing. A row stands for one step, and a look shows how things stand at its
    end: so the last steps are matched first, and of two rows that could stand for a step the later one does. Where no
    window tells, what was seen later still stands for a later step than what was seen before it. Steps of one moment
    keep the order in which they were told.
    """
    laid = _Laid(rows, in_order(history))
    laid.by_known_times()
    laid.by_windows()
    laid.by_windows_in_terms_of(ahead)
    laid.by_windows_in_terms_of(timedelta(0))
    laid.by_status()
    return laid.alignment()


class _Laid:
    """Rows and a story in the middle of being laid over each other: the surest matches first."""

    def __init__(self, rows: Sequence[Row], story: Sequence[Told]) -> None:
        self._story = story
        self._free = sorted(rows, key=lambda row: row.position)
        self._begun = {row.sequence: _begun(row, rows) for row in rows if row.baseline}
        self._stands: dict[int, Row] = {}  # by the place in the story
        self._times: dict[int, datetime] = {}

    def by_known_times(self) -> None:
        """What surely belongs together, in its order."""
        for at, told in enumerate(self._story):
            known = (row for row in self._free if (row.after, row.occurred_at) == (told.after, told.at))
            self._take(at, next(known, None))

    def by_windows(self) -> None:
        """Clocks may be a little off: a row that holds the step all the same is to be preferred, but not an earlier
        step. What fits only so, out of the order in which all was seen, is another step of the same second."""
        for at, told in self._unmatched():
            fitting = [row for row in reversed(self._free) if _holds(row, told, SLACK)]
            fitting = [row for row in fitting if not self._is_passed(at, row, row.ahead)]
            nearly = next((row for row in fitting if self._is_in_order(at, row, sure=True)), None)
            self._take(at, next((row for row in fitting if _holds(row, told)), nearly))

    def by_windows_in_terms_of(self, ahead: timedelta) -> None:
        """The difference between the clocks may have been told wrong when a row was written. What it is now is tried
        instead, and where our clock was set since, or it is still told wrong, our clock alone."""
        for at, told in self._unmatched():
            fitting = (row for row in reversed(self._free) if row.occurred_at is None and row.after == told.after)
            fitting = (row for row in fitting if _is_within(row, told.at - ahead, SLACK) and self._is_in_order(at, row))
            self._take(at, next((row for row in fitting if not self._is_passed(at, row, ahead)), None))

    def by_status(self) -> None:
        """What was seen has happened. A row that fits no time was measured by a clock that was wrong, or was told so,
        or its step has not been written yet: it is taken for the last step of its status that no other row stands
        for, so that this is not told twice. Its time it is not told: it may be another's."""
        untimed = (row for row in self._free if row.occurred_at is None)
        for row in sorted(untimed, key=lambda row: row.sequence, reverse=True):
            latest = min(row.ahead, timedelta(0))
            near = (at for at, told in self._unmatched() if _is_near(row, told) and self._is_in_order(at, row))
            found_at = next((at for at in near if not self._is_passed(at, row, latest)), None)
            if found_at is not None:
                self._stands[found_at] = row

    def alignment(self) -> Alignment:
        sequences = {at: row.sequence for at, row in self._stands.items()}
        return Alignment(tuple((told, sequences.get(at)) for at, told in enumerate(self._story)), self._times)

    def _unmatched(self) -> list[tuple[int, Told]]:
        """The steps that no row stands for yet, the last first."""
        return [(at, told) for at, told in reversed(list(enumerate(self._story))) if at not in self._stands]

    def _take(self, at: int, row: Row | None) -> None:
        if row is None:
            return
        self._free.remove(row)
        self._stands[at] = row
        if row.occurred_at is None and not self._story[at].inferred:
            self._times[row.sequence] = self._story[at].at

    def _is_passed(self, at: int, row: Row, ahead: timedelta) -> bool:
        """Whether a first sight would not have shown this step any more, but the next."""
        begun = self._begun.get(row.sequence)
        return begun is not None and any(told.at <= begun + ahead - SLACK for told in self._story[at + 1 : at + 2])

    def _is_in_order(self, at: int, row: Row, *, sure: bool = False) -> bool:
        """What was seen was seen in the order in which it happened. `sure`: only the rows that hold their step to the
        second count."""
        others = (
            (there, one.sequence)
            for there, one in self._stands.items()
            if one.seen and (not sure or _holds(one, self._story[there]))
        )
        return all((there < at) == (sequence < row.sequence) for there, sequence in others)


def _begun(first: Row, rows: Sequence[Row]) -> datetime:
    """When a first sight was listed, by its clock. It takes a while; the windows of what was seen after it tell."""
    windows = [
        row.window_start + row.ahead - first.ahead
        for row in rows
        if row.seen and row.window_start is not None and row.sequence > first.sequence
    ]
    return min([first.observed_at, *windows])


def _holds(row: Row, told: Told, slack: timedelta = timedelta(0)) -> bool:
    """Whether a step lies in the window of a row, or at its time where that is known."""
    if row.after != told.after:
        return False
    if row.occurred_at is not None:
        return abs(row.occurred_at - told.at) <= slack
    return _is_within(row, told.at - row.ahead, slack)


def _is_within(row: Row, at: datetime, slack: timedelta) -> bool:
    """Whether a moment of our clock lies in the window of a row. One that begins after its end was put in terms of a
    clock that somebody told wrong: when it began is not known."""
    start = row.window_start
    begun = start is None or start > row.observed_at or at > start - slack
    return begun and at <= row.observed_at + slack


def _is_near(row: Row, told: Told) -> bool:
    return row.after == told.after and abs(told.at - row.observed_at) <= WRONG_AT_MOST
