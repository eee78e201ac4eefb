"""What the marketplace remembers, laid over what we saw: exact times, and the steps that nobody saw. Pure.

Rows that stand are never changed but for their time and their place. What is added lies between them, or ends in the
status that the record holds: a step beyond it is the next poll's to see, or it would be told twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mithrild.fleet import lifecycle
from mithrild.fleet.alignment import align
from mithrild.fleet.model import Kind, Transition
from mithrild.fleet.notices import CLOCKS_DIFFER, NOTICE
from mithrild.fleet.timeline import SLACK, Row, Told

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose history it is, and of what. `present` is what the record holds, None for what nobody has ever seen.
    `begun`: of what came before that moment nothing is told; `first`: what was so then, and `start`: what was so before
    the story begins, where that is known."""

    kind: Kind
    fid: str
    project: str
    bid: str | None
    present: str | None
    aspect: str = "status"
    begun: datetime | None = None
    first: str | None = None
    start: str | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """`times` and `positions` by sequence, of rows that stand; and what nobody saw, each with its position. `more`: the
    story goes on from what the record holds."""

    times: Mapping[int, datetime]
    positions: Mapping[int, datetime]
    added: tuple[tuple[Transition, datetime], ...] = ()
    more: bool = False

    def __bool__(self) -> bool:
        return bool(self.times or self.positions or self.added)


def merge(
    subject: Subject, rows: Sequence[Row], story: Sequence[Told], *, now: datetime, ahead: timedelta = timedelta(0)
) -> Merge:
    """Lays one aspect of a subject's history over its rows. `ahead`: the marketplace's clock minus ours by now.

    A subject whose first row is a first sight keeps that as its beginning. Doing it again changes nothing.
    """
    aligned = align(rows, story, ahead=ahead)
    times = dict(aligned.times)
    stand = {row.sequence: _timed(row, times.get(row.sequence)) for row in rows}
    line: list[Row | Told] = [told if sequence is None else stand[sequence] for told, sequence in aligned.story]
    told_of = {sequence for _, sequence in aligned.story}
    for row in sorted(stand.values(), key=lambda row: row.position):
        if row.sequence not in told_of:
            line.insert(bisect_right(line, row.position[0], key=_when), row)
    line = _from_first_sight(line)
    if subject.begun is not None:
        before = _before(line, subject.begun, subject)
        subject = replace(subject, start=line[before - 1].after if before else subject.start)
        line = line[before:]
    _join(line, times)
    known = len(line)
    if subject.present is not None:
        # What the record holds is how it ends: what leads away from there is the next poll's to see.
        while line and isinstance(line[-1], Told) and line[-1].after != subject.present:
            line.pop()
    return replace(_write(subject, line, rows, times, now), more=len(line) < known)


def _from_first_sight(line: list[Row | Told]) -> list[Row | Told]:
    """Nothing is told of what came before a first sight."""
    begun = next((at for at, entry in enumerate(line) if isinstance(entry, Row) and entry.baseline), None)
    if begun is None:
        return line
    return [entry for at, entry in enumerate(line) if at >= begun or isinstance(entry, Row)]


def _before(line: Sequence[Row | Told], begun: datetime, subject: Subject) -> int:
    """How many entries of a line came before a moment. Clocks are compared to a second: what comes within one of it is
    parted where the line leads to what was so then."""
    sure, parted, most = (bisect_right(line, at, key=_when) for at in (begun - SLACK, begun, begun + SLACK))
    values = [subject.start, *(entry.after for entry in line)]
    seen = next((at for at, entry in enumerate(line) if isinstance(entry, Row)), len(line))
    fits = [at for at in range(sure, min(most, seen) + 1) if values[at] == subject.first]
    return min(fits, key=lambda at: abs(at - parted)) if fits and subject.first is not None else parted


def _timed(row: Row, at: datetime | None) -> Row:
    return row if at is None else replace(row, occurred_at=at, place=at)


def _join(line: list[Row | Told], times: dict[int, datetime]) -> None:
    """A step that is followed by a row of the same status is that row: two equal steps in a row are never two. Its
    window was measured by a clock that has been set since, or the marketplace dates it differently elsewhere."""
    for at in range(len(line) - 2, -1, -1):
        told, row = line[at], line[at + 1]
        if isinstance(told, Told) and isinstance(row, Row) and row.after == told.after:
            if row.occurred_at is None and not told.inferred:
                times[row.sequence] = told.at
            line[at : at + 2] = [_timed(row, times.get(row.sequence))]


def _when(entry: Row | Told) -> datetime:
    return entry.at if isinstance(entry, Told) else entry.position[0]


def _write(
    subject: Subject, line: Sequence[Row | Told], rows: Sequence[Row], times: Mapping[int, datetime], now: datetime
) -> Merge:
    """The line as rows and steps, in places that sort as it does."""
    held = {row.sequence: row.position[0] for row in rows}
    places = [_when(entry) for entry in line]
    for at in range(len(places) - 2, -1, -1):
        # Two steps may bear one time stamp, and a new row has a higher sequence than the one it precedes.
        places[at] = min(places[at], places[at + 1] - _TICK)
    positions: dict[int, datetime] = {}
    added: list[tuple[Transition, datetime]] = []
    before = subject.start
    since: datetime | None = None
    for entry, place in zip(line, places, strict=True):
        if isinstance(entry, Told):
            if entry.after != before:
                in_time = since is not None and entry.at - since <= NOTICE + CLOCKS_DIFFER
                added.append((_step(subject, before, entry, now, in_time=in_time), place))
        elif place != held[entry.sequence]:
            positions[entry.sequence] = place
        before, since = entry.after, _when(entry)
    return Merge(times, positions, tuple(added))


def _step(subject: Subject, before: str | None, told: Told, now: datetime, *, in_time: bool) -> Transition:
    # No step is missing between two of a history: what came back from a notice in time, with no stop, was reprieved.
    type = {"limit_price": "bid.limit_changed", "memory": "bid.memory_changed"}.get(subject.aspect, "")
    if subject.aspect == "status":
        name = lifecycle.bid_event if subject.kind == "bid" else lifecycle.instance_event
        type = name(before, told.after, in_time=in_time)
    return Transition(
        kind=subject.kind,
        subject=subject.fid,
        project=subject.project,
        bid=subject.bid,
        aspect=subject.aspect,
        before=before,
        after=told.after,
        type=type,
        observed_at=now,
        window_start=None,
        occurred_at=told.at,
        provenance="backfilled",
        inferred=told.inferred,
    )
