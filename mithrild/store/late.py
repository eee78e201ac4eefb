"""Events and notices of late steps: what the marketplace's history told, and nobody saw.

A notice that came and went unseen is a row too, and nothing runs for it any more. One that began while the record still
showed the one before it takes its place. For one hook and one subject the order is that of the timeline: whoever was
told of a later step does not hear of an earlier one now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select, update

from mithrild.fleet import event as events
from mithrild.fleet import lifecycle
from mithrild.fleet.model import Notice, Transition
from mithrild.fleet.notices import NOTICE, WORTH_TELLING
from mithrild.fleet.routing import HookRule
from mithrild.store import read, turns
from mithrild.store.rows import notice_from, notice_row
from mithrild.store.tables import DeliveryRow, NoticeRow, TransitionRow, table_of
from mithrild.store.writing import insert_notices, write_events

_transitions, _notices, _deliveries = table_of(TransitionRow), table_of(NoticeRow), table_of(DeliveryRow)


def tell_late(
    connection: Connection,
    store: str,
    host: str,
    rules: Sequence[HookRule],
    written: Sequence[tuple[int, Transition]],
    instances: Iterable[str],
    now: datetime,
    ahead: timedelta,
    terms: timedelta,
) -> int:
    """The events of these steps of one bid and its `instances`, and their deliveries. Returns how many there are.
    `ahead` is the marketplace's clock minus ours, and `terms` what it was when the notices that stand were written."""
    if not written:
        return 0
    around = _around(connection, written[0][1], instances)
    count = 0
    for sequence, step in written:
        notice = _notice(connection, sequence, step, now, terms)
        here, openings = around, {}
        if notice is not None:
            insert_notices(connection, [notice], step.project, {step.subject: sequence})
            here, openings = replace(around, notices={step.subject: notice}), {step.subject: sequence}
        count += write_events(
            connection, store, host, [(sequence, step)], here, rules, now, openings=openings, ahead=ahead
        )
        if notice is not None and notice.ended_at is not None:
            _supersede(connection, sequence, f"the notice is over: {notice.ended_how}", now)
        elif step.aspect == "status" and _is_under_notice(connection, step.subject, sequence):
            # Whatever it would set going again, the machines of this subject are about to stop.
            _supersede(connection, sequence, "a notice came after it", now)
        else:
            _supersede(connection, sequence, "what came after it was told first", now, overtaken=True)
    return count


def _around(connection: Connection, step: Transition, instances: Iterable[str]) -> events.Surroundings:
    fleet = read.one_bid(connection, step.bid or "", instances)
    return events.Surroundings(
        fleet=fleet,
        of_bid=events.group_by_bid(fleet),
        market=read.market(connection),
        type_names={fid: one.name for fid, one in read.instance_types(connection).items()},
        project_names={step.project: read.project(connection, step.project)["name"]},
    )


def _notice(connection: Connection, sequence: int, step: Transition, now: datetime, ahead: timedelta) -> Notice | None:
    """The notice that a late step opened; it ended where another step follows."""
    kind = lifecycle.NOTICED.get(step.after)
    if step.aspect != "status" or kind is None or step.occurred_at is None:
        return None
    opened_at = step.occurred_at - ahead
    had = select(func.max(_notices.c.ordinal)).where(_notices.c.subject == step.subject)
    notice = Notice(
        subject=step.subject,
        ordinal=(connection.execute(had).scalar() or 0) + 1,
        kind="relocation" if kind == "relocation" else "preemption",
        opened_at=opened_at,
        deadline=opened_at + NOTICE,
        estimated=True,
    )
    after = _next(connection, step.subject, sequence)
    if after is not None:
        return replace(notice, ended_at=after["position"] - ahead, ended_how=_ending(after))
    before = _end_standing(connection, step.subject, sequence, now, ahead)
    # The deadline was asked for meanwhile: what was told then is that of this notice, if it is one of this notice.
    if before is not None and not before.estimated and before.deadline > notice.deadline - WORTH_TELLING:
        return replace(notice, deadline=before.deadline, estimated=False)
    return notice


def _end_standing(
    connection: Connection, subject: str, sequence: int, now: datetime, ahead: timedelta
) -> Notice | None:
    """Ends the notice that stands open, and was over before this step opened another one."""
    standing = (_notices.c.subject == subject, _notices.c.ended_at.is_(None))
    row = connection.execute(select(_notices).where(*standing)).mappings().one_or_none()
    if row is None:
        return None
    after = None if row["sequence"] is None else _next(connection, subject, row["sequence"])
    opened = select(_transitions.c.position).where(_transitions.c.sequence == sequence)
    ended_at = (after["position"] if after is not None else connection.execute(opened).scalar_one()) - ahead
    ended_how = "another one" if after is None or after["sequence"] == sequence else _ending(after)
    ended = replace(notice_from(row), ended_at=ended_at, ended_how=ended_how)
    connection.execute(update(_notices).where(*standing).values(notice_row(ended)))
    if row["sequence"] is not None:
        _end_waiting(connection, [_deliveries.c.notice == row["sequence"]], f"the notice is over: {ended_how}", now)
    return ended


def _next(connection: Connection, subject: str, sequence: int) -> RowMapping | None:
    """The status that followed a step, in the order in which they happened."""
    this = select(_transitions.c.position).where(_transitions.c.sequence == sequence).scalar_subquery()
    query = (
        select(_transitions.c.sequence, _transitions.c.after, _transitions.c.position, _transitions.c.type)
        .where(_transitions.c.subject == subject, _transitions.c.aspect == "status", _transitions.c.position > this)
        .order_by(_transitions.c.position, _transitions.c.sequence)
        .limit(1)
    )
    return connection.execute(query).mappings().one_or_none()


def _ending(step: RowMapping) -> str:
    return "reprieved" if step["type"].endswith(".reprieved") else lifecycle.word(step["after"])


def _is_under_notice(connection: Connection, subject: str, sequence: int) -> bool:
    """Whether the last status of a subject is a notice, and another than this step."""
    query = (
        select(_transitions.c.after, _transitions.c.sequence)
        .where(_transitions.c.subject == subject, _transitions.c.aspect == "status")
        .order_by(_transitions.c.position.desc(), _transitions.c.sequence.desc())
        .limit(1)
    )
    last = connection.execute(query).one_or_none()
    return last is not None and last.after in lifecycle.NOTICED and last.sequence != sequence


def _supersede(connection: Connection, sequence: int, reason: str, now: datetime, *, overtaken: bool = False) -> None:
    """Ends the deliveries of a late step that wait; only those that are `overtaken`, if so asked."""
    mine = [_deliveries.c.sequence == sequence]
    if overtaken:
        other, its_step, this = _deliveries.alias(), _transitions.alias(), _transitions.alias()
        later = (
            select(other.c.id)
            .join(its_step, its_step.c.sequence == other.c.sequence)
            .join(this, this.c.sequence == sequence)
            .where(
                other.c.hook == _deliveries.c.hook,
                other.c.subject == _deliveries.c.subject,
                its_step.c.position > this.c.position,
                other.c.state.not_in(("skipped", "superseded", "expired", "cancelled")),
                other.c.sequence < sequence,
            )
        )
        mine.append(later.exists())
    _end_waiting(connection, mine, reason, now)


def _end_waiting(connection: Connection, which: Sequence[ColumnElement[bool]], reason: str, now: datetime) -> None:
    over = {"state": "superseded", "finished_at": now, "next_at": None, "reason": reason}
    connection.execute(update(_deliveries).where(_deliveries.c.state == "pending", *which).values(**over))
    turns.pass_on(connection, now)
