"""The marketplace's history, written beside what was seen: one transaction a bid.

The merge is taken inside the transaction, against the rows as they stand, so a poll that commits meanwhile can make
nothing appear twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select, update

from mithrild.fleet import event as events
from mithrild.fleet import lifecycle
from mithrild.fleet.history import Merge, Subject, merge
from mithrild.fleet.model import Bid, Fleet, Instance, Kind, Notice, Record, Transition
from mithrild.fleet.notices import NOTICE
from mithrild.fleet.routing import HookRule
from mithrild.fleet.timeline import Row, Told
from mithrild.store import read, wishes
from mithrild.store.cursor import in_present_terms, shifted
from mithrild.store.database import Database
from mithrild.store.reach import reach
from mithrild.store.record import Recorded
from mithrild.store.tables import DeliveryRow, NoticeRow, TransitionRow, table_of
from mithrild.store.writing import insert_notices, put_fleet, write_events, write_transitions

_transitions, _notices, _deliveries = table_of(TransitionRow), table_of(NoticeRow), table_of(DeliveryRow)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the marketplace remembers of one bid: its own steps, and those of its instances by fid.

    `unseen`: instances that the record does not hold and that have ended, as the marketplace shows them. What lives is
    the polls' to see. `ahead` is the marketplace's clock minus ours.
    """

    bid: str
    project: str
    bid_steps: Sequence[Told]
    instance_steps: Mapping[str, Sequence[Told]]
    limit_steps: Sequence[Told] = ()  # the limit price, as it was placed and at each change
    unseen: Sequence[Instance] = ()
    ahead: timedelta = timedelta(0)
    asked: int = 0  # the newest transition of the bid when this was asked for


def write_history(
    database: Database, told: Remembered, rules: Sequence[HookRule], *, host: str, now: datetime
) -> Recorded:
    """Commits what nobody saw, and the times of what was seen. Doing it again adds nothing.

    The bid is no longer due, unless it changed while the question was under way or its story goes on from what the
    record holds: then it stays so, and the answer says it.
    """
    with database.write() as connection:
        cursor = in_present_terms(connection, told.project, told.ahead)
        known = read.one_bid(connection, told.bid, told.instance_steps)
        if cursor["baseline_at"] is None or told.bid not in known.bids:
            return Recorded()  # nothing was ever seen, so nothing was missed
        dropped = reach(connection).before
        begun = cursor["baseline_at"] + told.ahead
        fresh = _fresh(told, known, max(begun, dropped or begun))
        steps: list[tuple[Transition, datetime]] = []
        more = False
        for subject, story in _subjects(told, known, fresh, _begun(connection, told.bid)):
            if dropped is not None:
                subject = replace(subject, begun=max(dropped, subject.begun or dropped))
            merged = merge(subject, _rows(connection, subject), story, now=now)
            _tell_times(connection, merged)
            steps += merged.added
            more |= merged.more
        put_fleet(connection, fresh)
        steps.sort(key=lambda entry: entry[1])
        places = [place for _, place in steps]
        written = write_transitions(connection, [step for step, _ in steps], ahead=told.ahead, places=places)
        deliveries = 0
        if written:
            around = _around(connection, told, cursor["name"])
            for sequence, step in written:
                deliveries += _tell(connection, database.id, host, rules, sequence, step, around, now, told.ahead)
        if more:
            wishes.want(connection, told.bid)
        else:
            wishes.answered(connection, told.bid, told.asked)
    return Recorded(tuple(written), len(written), deliveries, wishes=more)


def keep_ended(
    database: Database, project: str, bids: Iterable[Bid], *, until: datetime, ahead: timedelta = timedelta(0)
) -> None:
    """Bids that were placed and ended without anybody's seeing them become records, of which is to be asked what they
    went through. `until`: of those that were placed before, by our clock, no other is unknown."""
    with database.write() as connection:
        begun = in_present_terms(connection, project, ahead)["baseline_at"]
        if begun is None:
            return
        ended = {bid.fid: Record(bid, bid.deactivated_at or bid.created_at) for bid in bids}
        # What ended before the first sight of the project is no news, nor is what is no longer kept.
        begun = max(begun + ahead, reach(connection).before or begun + ahead)
        fresh = {fid: one for fid, one in ended.items() if one.since > begun}
        for fid in read.known_bids(connection, fresh):
            del fresh[fid]
        put_fleet(connection, Fleet(fresh))
        wishes.want(connection, *fresh)
        wishes.swept(connection, project, until)


def _fresh(told: Remembered, known: Fleet, begun: datetime) -> Fleet:
    """Records of instances that ended unseen, after the first sight of the project: what came before is no news."""
    fresh = {}
    for one in told.unseen:
        steps = told.instance_steps.get(one.fid)
        since = steps[-1].at if steps else one.created_at
        if one.fid not in known.instances and since > begun:
            fresh[one.fid] = Record(one, since)
    return Fleet(instances=fresh)


def _subjects(
    told: Remembered, known: Fleet, fresh: Fleet, begun: datetime | None
) -> Iterable[tuple[Subject, Sequence[Told]]]:
    """Each subject that the record holds, and its story. What it does not hold yet the next poll will see."""
    held: dict[str, Record[Bid] | Record[Instance]] = {**known.bids, **known.instances}
    stories: list[tuple[Kind, str, Sequence[Told]]] = [("bid", told.bid, told.bid_steps)]
    stories += [("instance", fid, story) for fid, story in sorted(told.instance_steps.items())]
    for kind, fid, story in stories:
        if fid in held:
            present = "gone" if held[fid].gone else held[fid].value.status
            yield Subject(kind, fid, told.project, told.bid, present), story
        elif fid in fresh.instances:
            yield Subject(kind, fid, told.project, told.bid, None), story
    if told.limit_steps:
        first, *changes = told.limit_steps
        present = known.bids[told.bid].value.limit_price
        yield Subject("bid", told.bid, told.project, told.bid, present, "limit_price", begun, first.after), changes


def _begun(connection: Connection, bid: str) -> datetime | None:
    """When a bid that stood at first sight was first seen, by the marketplace's clock."""
    query = select(_transitions.c.observed_at, _transitions.c.ahead_seconds).where(
        _transitions.c.subject == bid, _transitions.c.baseline.is_(True)
    )
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else shifted(row.observed_at, timedelta(seconds=row.ahead_seconds))


def _rows(connection: Connection, subject: Subject) -> list[Row]:
    its_own = (_transitions.c.subject == subject.fid, _transitions.c.aspect == subject.aspect)
    query = select(_transitions).where(*its_own)
    return [
        Row(
            sequence=row["sequence"],
            after=row["after"],
            # That a look did not show it before is no sign: an item may be set aside, or its status hide it.
            window_start=None if row["before"] is None else row["window_start"],
            observed_at=row["observed_at"],
            occurred_at=row["occurred_at"],
            place=row["position"],
            baseline=row["baseline"],
            ahead=timedelta(seconds=row["ahead_seconds"]),
        )
        for row in connection.execute(query).mappings()
    ]


def _tell_times(connection: Connection, merged: Merge) -> None:
    rows = [
        {"its_sequence": sequence, "occurred_at": merged.times.get(sequence), "position": place}
        for sequence, place in merged.positions.items()
    ]
    told = [row for row in rows if row["occurred_at"] is not None]
    moved = [{key: row[key] for key in ("its_sequence", "position")} for row in rows if row["occurred_at"] is None]
    there = [
        {"its_sequence": sequence, "occurred_at": at}
        for sequence, at in merged.times.items()
        if sequence not in merged.positions
    ]
    for some in (told, moved, there):
        if some:
            connection.execute(update(_transitions).where(_transitions.c.sequence == bindparam("its_sequence")), some)


def _around(connection: Connection, told: Remembered, name: str) -> events.Surroundings:
    fleet = read.one_bid(connection, told.bid, told.instance_steps)
    return events.Surroundings(
        fleet=fleet,
        of_bid=events.group_by_bid(fleet),
        market=read.market(connection),
        type_names={fid: one.name for fid, one in read.instance_types(connection).items()},
        project_names={told.project: name},
    )


def _tell(
    connection: Connection,
    store: str,
    host: str,
    rules: Sequence[HookRule],
    sequence: int,
    step: Transition,
    around: events.Surroundings,
    now: datetime,
    ahead: timedelta,
) -> int:
    """The event of one late step. A notice that came and went unseen is a row too, and nothing runs for it any more."""
    notice = _past_notice(connection, sequence, step, ahead)
    notices, openings = {}, {}
    if notice is not None:
        insert_notices(connection, [notice], step.project, {step.subject: sequence})
        notices, openings = {step.subject: notice}, {step.subject: sequence}
    here = events.Surroundings(
        around.fleet, around.of_bid, notices, around.market, around.type_names, around.project_names
    )
    news = [(sequence, step)]
    count = write_events(connection, store, host, news, here, rules, now, openings=openings, ahead=ahead)
    if notice is not None:
        _supersede(connection, sequence, f"the notice is over: {notice.ended_how}", now)
    elif _is_under_notice(connection, step.subject, sequence):
        # Whatever it would set going again, the machines of this subject are about to stop.
        _supersede(connection, sequence, "a notice came after it", now)
    else:
        _supersede(connection, sequence, "what came after it was told first", now, overtaken=True)
    return count


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
    """Ends the deliveries of a late step that wait; only those that are `overtaken`, if so asked. For one hook and
    one subject the order is that of the timeline: who was told of a later step must not hear of this one now."""
    pending = [_deliveries.c.sequence == sequence, _deliveries.c.state == "pending"]
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
        pending.append(later.exists())
    values = {"state": "superseded", "finished_at": now, "next_at": None, "reason": reason}
    connection.execute(update(_deliveries).where(*pending).values(**values))


def _past_notice(connection: Connection, sequence: int, step: Transition, ahead: timedelta) -> Notice | None:
    kind = lifecycle.NOTICED.get(step.after)
    if kind is None or step.occurred_at is None:
        return None
    here = select(_transitions.c.position).where(_transitions.c.sequence == sequence).scalar_subquery()
    later = (
        select(_transitions.c.after, _transitions.c.position, _transitions.c.type)
        .where(
            _transitions.c.subject == step.subject, _transitions.c.aspect == "status", _transitions.c.position > here
        )
        .order_by(_transitions.c.position, _transitions.c.sequence)
        .limit(1)
    )
    row = connection.execute(later).mappings().one_or_none()
    if row is None:
        return None
    had = select(func.max(_notices.c.ordinal)).where(_notices.c.subject == step.subject)
    ending = "reprieved" if row["type"].endswith(".reprieved") else lifecycle.word(row["after"])
    opened_at = step.occurred_at - ahead
    return Notice(
        subject=step.subject,
        ordinal=(connection.execute(had).scalar() or 0) + 1,
        kind="relocation" if kind == "relocation" else "preemption",
        opened_at=opened_at,
        deadline=opened_at + NOTICE,
        estimated=True,
        ended_at=row["position"] - ahead,
        ended_how=ending,
    )
