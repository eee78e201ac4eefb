"""Notices: five minutes' warning of an instance or of a whole bid, opened and ended by its transitions.

The deadline comes from the marketplace (`end_time` of an instance's status). Until it is known it is
estimated as first sight plus five minutes, which is never too early: the notice began before we saw it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mithrild.fleet import lifecycle
from mithrild.fleet.model import Fleet, Notice, Snapshot, Transition

NOTICE = timedelta(minutes=5)
# The `Date` of an answer has whole seconds, and answers travel: a smaller difference of clocks is none.
CLOCKS_DIFFER = timedelta(seconds=5)
# Where a deadline of a notice seen just now may lie, by our own clock.
LATE, FAR = timedelta(minutes=-1), 2 * NOTICE
# A smaller correction of a deadline is kept, but is no event.
WORTH_TELLING = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class NoticeChanges:
    """Notices as they are after a poll: those that it opened, ended or corrected; and the events of the last."""

    opened: tuple[Notice, ...] = ()
    ended: tuple[Notice, ...] = ()
    corrected: tuple[Notice, ...] = ()
    transitions: tuple[Transition, ...] = ()


def follow(
    transitions: Iterable[Transition],
    fleet: Fleet,
    seen: Snapshot,
    open_notices: Mapping[str, Notice],
    ordinals: Mapping[str, int],
) -> NoticeChanges:
    """What a poll's transitions and deadlines do to the notices.

    `fleet` is the fleet after the poll; `ordinals` is how many notices each subject has had so far.
    """
    now = seen.observed_at
    opened: dict[str, Notice] = {}
    ended: list[Notice] = []
    standing = dict(open_notices)
    for step in transitions:
        if step.aspect != "status" or step.kind not in ("bid", "instance"):
            continue
        if step.subject in standing:
            ended.append(replace(standing.pop(step.subject), ended_at=now, ended_how=_ending(step)))
        kind = lifecycle.NOTICED.get(step.after)
        if kind is not None:
            deadline = _told_deadline(step.subject, step.bid, fleet, seen)
            opened[step.subject] = Notice(
                subject=step.subject,
                ordinal=ordinals.get(step.subject, 0) + 1,
                kind="relocation" if kind == "relocation" else "preemption",
                opened_at=now,
                deadline=deadline or now + NOTICE,
                estimated=deadline is None,
            )
    corrected: list[Notice] = []
    told: list[Transition] = []
    for notice in standing.values():
        deadline = _told_deadline(notice.subject, _bid_of(notice.subject, fleet), fleet, seen)
        if deadline is None or (deadline == notice.deadline and not notice.estimated):
            continue
        corrected.append(replace(notice, deadline=deadline, estimated=False))
        if abs(deadline - notice.deadline) > WORTH_TELLING and notice.subject in fleet.instances:
            told.append(_correction(notice, deadline, fleet, seen))
    return NoticeChanges(tuple(opened.values()), tuple(ended), tuple(corrected), tuple(told))


def in_our_time(end_time: datetime, ahead: timedelta, now: datetime) -> datetime:
    """A deadline that the marketplace told by its own clock, in the terms of ours.

    `ahead` is the marketplace's clock minus ours, by the `Date` of its answers. A cache or a proxy may send a
    `Date` that is not the marketplace's: a deadline that makes sense only without the shift is not shifted, or a
    hook would come too late, or never.
    """
    if not clear(ahead):
        return end_time
    shifted = end_time - ahead
    sane = [makes_sense(one, now) for one in (shifted, end_time)]
    return end_time if sane == [False, True] else shifted


def makes_sense(deadline: datetime, now: datetime) -> bool:
    """Whether a notice that stands now may have this deadline."""
    return LATE <= deadline - now <= FAR


def clear(ahead: timedelta | None) -> timedelta:
    """A difference of clocks as far as it is clear: below a few seconds nobody can tell it from an answer's way."""
    return ahead if ahead is not None and abs(ahead) > CLOCKS_DIFFER else timedelta(0)


def unconfirmed(fleet: Fleet, estimated: Iterable[str]) -> list[str]:
    """Which instances to ask for a deadline: one of each preempted bid, and every relocated one, in order.

    `estimated`: the subjects whose deadline nobody has told yet. All instances of a preempted bid share
    their deadline, so one answer serves the bid; relocations come one by one.
    """
    wanted = set(estimated)
    asked_bids: set[str] = set()
    chosen: list[str] = []
    for fid, record in sorted(fleet.instances.items()):
        if record.gone:
            continue
        bid, status = record.value.bid, record.value.status
        if status == "STATUS_RELOCATING" and fid in wanted:
            chosen.append(fid)
        elif status == "STATUS_PREEMPTING" and bid not in asked_bids and (fid in wanted or bid in wanted):
            asked_bids.add(bid or fid)
            chosen.append(fid)
    return chosen


def _ending(step: Transition) -> str:
    return "reprieved" if step.type.endswith(".reprieved") else lifecycle.word(step.after)


def _bid_of(subject: str, fleet: Fleet) -> str | None:
    return fleet.instances[subject].value.bid if subject in fleet.instances else subject


def _told_deadline(subject: str, bid: str | None, fleet: Fleet, seen: Snapshot) -> datetime | None:
    """The deadline that the marketplace told for this subject, or for another instance of the same bid."""
    if subject in seen.deadlines:
        return seen.deadlines[subject]
    if bid is None or _is_relocating(subject, fleet):
        return None
    told = [
        deadline
        for fid, deadline in seen.deadlines.items()
        if fid in fleet.instances and fleet.instances[fid].value.bid == bid and not _is_relocating(fid, fleet)
    ]
    return min(told) if told else None


def _is_relocating(fid: str, fleet: Fleet) -> bool:
    return fid in fleet.instances and fleet.instances[fid].value.status == "STATUS_RELOCATING"


def _correction(notice: Notice, deadline: datetime, fleet: Fleet, seen: Snapshot) -> Transition:
    instance = fleet.instances[notice.subject].value
    return Transition(
        kind="instance",
        subject=instance.fid,
        project=instance.project,
        bid=instance.bid,
        aspect="deadline",
        before=notice.deadline.isoformat(),
        after=deadline.isoformat(),
        type="instance.deadline_changed",
        observed_at=seen.observed_at,
        window_start=None,
    )
