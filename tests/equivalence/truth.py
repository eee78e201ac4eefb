"""Holds the daemon's record against what really happened: order, statuses, limit prices, and times to the second."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mithrild.sandbox.lifecycle import FINAL
from mithrild.sandbox.timeline import Step
from tests.equivalence.world import World
from tests.integration.sandbox_server import PROJECT

Row = dict[str, Any]
TO_THE_SECOND = timedelta(seconds=1)
ENDED = ("Terminated", *FINAL)
# A return to Open has no word in a bid's history: the instances tell it, or a poll, which knows only its window.
UNNAMED = "Open"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared: one aspect of one thing, as it was and as the record has it by position."""

    fid: str
    aspect: str
    truth: Sequence[Step]
    rows: Sequence[Row]

    def __str__(self) -> str:
        true = " ".join(f"{_word(step.after)}@{when(step):%H:%M:%S}" for step in self.truth)
        told = " ".join(
            f"{_word(row['after'])}@{_moment(row['occurred_at'] or row['position']):%H:%M:%S}"
            f"{'' if row['occurred_at'] else '?'}{'b' if row['provenance'] == 'backfilled' else ''}"
            for row in self.rows
        )
        return f"{self.fid} {self.aspect}\n    true: {true}\n    told: {told}"


def differences(world: World, *, but_for_loops: bool = False) -> Iterator[str]:
    """Where the record is not what happened. `but_for_loops`: what went away and came back between two looks leaves no
    trace, and may be lacking still."""
    adrift = {one.sequence for one in world.diary.shown.values() if one.adrift}
    doubtful = {one.sequence for one in world.diary.shown.values() if one.doubtful not in (None, world.breaks)}
    for subject, begun in _begun(world):
        if begun is None:
            yield f"{subject}"
            continue
        truth, rows = begun
        if [_value(step.after) for step in truth] != [_value(row["after"]) for row in rows]:
            if not (but_for_loops and _lacks_loops(truth, rows)):
                yield f"other steps: {subject}"
            continue
        for step, row in zip(truth, rows, strict=True):
            told = row["occurred_at"]
            # Every answer bore a wrong date when it was seen, and then nobody knew any more how our clock had gone.
            if told is None and (row["sequence"] in doubtful or _is_orphan(world, subject)):
                continue
            # Or nobody knew it then, and so not which of several steps to the same status was seen.
            several = sum(one.after == step.after for one in subject.truth) > 1
            if told is None and several and row["sequence"] in adrift:
                continue
            if step.after != UNNAMED and (told is None or abs(_moment(told) - when(step)) > TO_THE_SECOND):
                yield f"{_word(step.after)} was at {when(step):%H:%M:%S}, told as {told}: {subject}"


def _is_orphan(world: World, subject: Subject) -> bool:
    """Whether this is a machine of a bid that had ended before the first look, and so is not on record. It is not
    looked back at: the looks tell of it, and no more."""
    assert world.diary.first_sight is not None
    bid = next((step.bid for step in subject.truth if step.kind == "instance"), None)
    if bid is None:
        return False
    steps = [step for step in world.market.timeline.after(0, 1_000_000) if step.subject == bid]
    return _was_over([step for step in steps if step.aspect == "status"], world.diary.first_sight[0])


def _known(world: World, subject: Subject, truth: Sequence[Step], rows: Sequence[Row]) -> Sequence[Step]:
    """The steps that have to be on record: of an orphan those that its rows can stand for, in their order, and the
    last. A return to Open that lasted no time may be there or not."""
    lasting = _without_flashes(world, truth)
    if [_value(step.after) for step in lasting] == [_value(row["after"]) for row in rows]:
        return lasting
    if not _is_orphan(world, subject):
        return truth
    left = iter(truth)
    found = (next((step for step in left if _value(step.after) == _value(row["after"])), None) for row in rows)
    seen = [step for step in found if step is not None]
    return seen if seen[-1:] == list(truth[-1:]) else truth


def _without_flashes(world: World, truth: Sequence[Step]) -> Sequence[Step]:
    """Until an instance tells that its notice ran out, nobody can tell a bid that was open again for no time from
    one that ended under notice."""
    flashes = {
        step.seq
        for step, after in itertools.pairwise(truth)
        if (step.before, step.after) == ("Preempting", UNNAMED) and after.at == step.at
    }
    if not flashes:
        return truth
    told = {step.bid for step in world.market.timeline.after(0, 1_000_000) if step.after == "STATUS_PREEMPTED"}
    return [step for step in truth if step.seq not in flashes or step.bid in told]


def _lacks_loops(truth: Sequence[Step], rows: Sequence[Row]) -> bool:
    """Whether the rows are the steps without some that led back to where they began."""

    def fits(at: int, row: int, value: str | float | None) -> bool:
        if at == len(truth):
            return row == len(rows)
        after = _value(truth[at].after)
        if row < len(rows) and after == _value(rows[row]["after"]) and fits(at + 1, row + 1, after):
            return True
        ends = (end for end in range(at, len(truth)) if _value(truth[end].after) == value)
        return any(fits(end + 1, row, value) for end in ends)

    return bool(truth) and fits(0, 0, None if truth[0].before is None else _value(truth[0].before))


def real_steps(world: World) -> dict[int, tuple[Step, Step | None]]:
    """What stands behind the rows of a record that is what happened: sequence -> the step, and the one after it."""
    found: dict[int, tuple[Step, Step | None]] = {}
    for _, begun in _begun(world):
        assert begun is not None
        truth, rows = begun
        for step, after, row in zip(truth, (*truth[1:], None), rows, strict=False):
            found[row["sequence"]] = (step, after)
    return found


def _begun(world: World) -> Iterator[tuple[Subject, tuple[Sequence[Step], Sequence[Row]] | None]]:
    """Each subject with the steps that have to be on record, and the rows that have to stand for them; None where the
    record begins in a way that cannot be."""
    assert world.diary.first_sight is not None
    before, after = world.diary.first_sight
    subjects = {(one.fid, one.aspect): one for one in _subjects(world)}
    for (fid, aspect), subject in subjects.items():
        status = subjects[fid, "status"]
        if not status.rows:
            # What had ended before anybody looked is not on record.
            if aspect == "status" and not _was_over(status.truth, after):
                yield subject, None
        elif not status.rows[0]["baseline"]:
            yield subject, (_known(world, subject, subject.truth, subject.rows), subject.rows)
        elif (begun := _first_seen(status, before, after)) is None:
            yield subject, None
        else:
            # Of what came before a first sight nothing is told. The status that was so then has a row, and no news.
            since = begun if aspect == "status" else before
            truth = [step for step in subject.truth if step.seq > since]
            rows = subject.rows[1:] if aspect == "status" else subject.rows
            yield subject, (_known(world, subject, truth, rows), rows)


def _was_over(truth: Sequence[Step], by: int) -> bool:
    return truth[-1].after in ENDED and truth[-1].seq <= by


def _first_seen(subject: Subject, before: int, after: int) -> int | None:
    """The number of the step that the first sight shows: one that was so at some time of that look."""
    truth = subject.truth
    for at in reversed(range(len(truth))):
        still = at + 1 == len(truth) or truth[at + 1].seq > before
        if truth[at].after == subject.rows[0]["after"] and truth[at].seq <= after and still:
            return truth[at].seq
    return None


def _subjects(world: World) -> Iterator[Subject]:
    truth: dict[tuple[str, str], list[Step]] = {}
    for step in world.market.timeline.after(0, 1_000_000):
        if step.project == PROJECT and step.kind != "cluster":
            truth.setdefault((step.subject, step.aspect), []).append(step)
    rows: dict[tuple[str, str], list[Row]] = {key: [] for key in truth}
    query = (
        "select * from transitions where kind in ('bid', 'instance') and aspect in ('status', 'limit_price') "
        "order by position, sequence"
    )
    with world.record() as database, database.read() as connection:
        for row in connection.exec_driver_sql(query).mappings():
            rows.setdefault((row["subject"], row["aspect"]), []).append(dict(row))
    for (fid, aspect), told in rows.items():
        yield Subject(fid, aspect, truth.get((fid, aspect), ()), told)


def when(step: Step) -> datetime:
    return datetime.fromtimestamp(step.at, UTC)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _word(status: str) -> str:
    return status.removeprefix("STATUS_")


def _value(word: str) -> str | float:
    """Prices are written in more than one way."""
    return float(word.removeprefix("$")) if word.startswith("$") else word
