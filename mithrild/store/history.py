"""The marketplace's history, written beside what was seen: one transaction a bid.

The merge is taken inside the transaction, against the rows as they stand, so a poll that commits meanwhile can make
nothing appear twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from mithrild.fleet import remembered
from mithrild.fleet.completeness import is_live
from mithrild.fleet.gaps import Gap, Life, unexplained
from mithrild.fleet.history import Merge, Subject, merge
from mithrild.fleet.model import Bid, BidEvent, Fleet, Instance, Record, Transition
from mithrild.fleet.price import spelled
from mithrild.fleet.routing import HookRule
from mithrild.fleet.timeline import SLACK, Row, Told
from mithrild.store import read, wishes
from mithrild.store.cursor import in_present_terms, shifted
from mithrild.store.database import Database
from mithrild.store.late import tell_late
from mithrild.store.reach import reach
from mithrild.store.tables import BidRow, InstanceRow, TransitionRow, table_of
from mithrild.store.writing import put_fleet, write_transitions

_transitions, _bids, _instances = table_of(TransitionRow), table_of(BidRow), table_of(InstanceRow)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the marketplace remembers of one bid, and of its instances by fid.

    `unseen`: instances that the record does not hold, as the marketplace shows them. `ahead` is the marketplace's clock
    minus ours; `asked` the newest transition of the bid when all this was asked for. `whole`: the stories of instances
    begin where they began, and not only where they were asked for. `stood`: when a poll showed the bid as the record
    has it, after all this had been told before. `gap`: what this is to explain.
    """

    bid: str
    project: str
    events: Sequence[BidEvent]
    instance_steps: Mapping[str, Sequence[Told]]
    unseen: Sequence[Instance] = ()
    ahead: timedelta = timedelta(0)
    asked: int = 0
    whole: bool = True
    stood: datetime | None = None
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """What a history added. `more`: it goes on from what the record holds. `open`: what it leaves open of the gap."""

    steps: Sequence[tuple[int, Transition]] = ()
    deliveries: int = 0
    more: bool = False
    open: str | None = None


def write_history(
    database: Database, told: Remembered, rules: Sequence[HookRule], *, host: str, now: datetime
) -> Learned:
    """Commits what nobody saw, and the times of what was seen. Doing it again adds nothing.

    The bid is no longer due, unless it changed while the question was under way or its story goes on from what the
    record holds: then it stays so, and the answer says it.
    """
    with database.write() as connection:
        cursor = in_present_terms(connection, told.project, told.ahead)
        known = read.one_bid(connection, told.bid, told.instance_steps)
        if cursor["baseline_at"] is None or told.bid not in known.bids:
            return Learned()  # nothing was ever seen, so nothing was missed
        dropped = reach(connection).before
        begun = _by_their_clock(cursor["baseline_at"], told.ahead)
        fresh = _fresh(told, known, max(begun, dropped or begun))
        # One that lives is the next poll's to see. It may end before that, so its story has to be read again.
        more = any(one.fid not in known.instances and is_live(one.status, False) for one in told.unseen)
        steps: list[tuple[Transition, datetime]] = []
        for subject, story, rows in _subjects(connection, told, known, fresh):
            if dropped is not None:
                subject = replace(subject, begun=max(dropped, subject.begun or dropped))
            merged = merge(subject, rows, story, now=now, ahead=told.ahead)
            _tell_times(connection, merged)
            _tell_since(connection, subject, rows, merged, told.ahead)
            steps += merged.added
            more |= merged.more
        put_fleet(connection, fresh)
        steps.sort(key=lambda entry: entry[1])
        places = [place for _, place in steps]
        written = write_transitions(connection, [step for step, _ in steps], ahead=told.ahead, places=places)
        # Notices stand in the terms in which the project does, until a poll puts all of it into others.
        terms = timedelta(seconds=cursor["ahead_seconds"])
        deliveries = tell_late(
            connection, database.id, host, rules, written, told.instance_steps, now, told.ahead, terms
        )
        if more:
            wishes.want(connection, told.bid)
        else:
            wishes.answered(connection, told.bid, told.asked)
        left = None if told.gap is None else _left_open(connection, told, told.gap)
    return Learned(tuple(written), deliveries, more, left)


def keep_ended(database: Database, project: str, bids: Iterable[Bid], *, ahead: timedelta = timedelta(0)) -> None:
    """Bids that were placed and ended without anybody's seeing them become records, of which is to be asked what they
    went through."""
    with database.write() as connection:
        begun = in_present_terms(connection, project, ahead)["baseline_at"]
        if begun is None:
            return
        ended = {bid.fid: Record(bid, bid.deactivated_at or bid.created_at) for bid in bids}
        # What ended before the first sight of the project is no news, nor is what is no longer kept.
        begun = _by_their_clock(begun, ahead)
        begun = max(begun, reach(connection).before or begun)
        fresh = {fid: one for fid, one in ended.items() if one.since > begun}
        for fid in read.known_bids(connection, fresh):
            del fresh[fid]
        put_fleet(connection, Fleet(fresh))
        wishes.want(connection, *fresh)


def _by_their_clock(first_sight: datetime, ahead: timedelta) -> datetime:
    """What ended after that is news. Clocks are compared to a second: better one thing too many than one lost."""
    return first_sight + ahead - SLACK


def _left_open(connection: Connection, told: Remembered, gap: Gap) -> str | None:
    """What the rows as they are now, and the stories, leave open of a gap."""
    known = read.one_bid(connection, told.bid)
    lives = {}
    for fid, record in known.instances.items():
        subject = Subject("instance", fid, told.project, told.bid, None)
        rows, story = _rows(connection, subject), told.instance_steps.get(fid, ())
        over = record.gone or not is_live(record.value.status, False)
        if story or not over or any(row.position[0] > gap.since for row in rows):
            lives[fid] = Life("instance", record.value.created_at, rows, story, told.whole)
    bid = known.bids[told.bid].value
    mine = Subject("bid", told.bid, told.project, told.bid, None)
    story = remembered.status_steps(told.events, bid, ())
    return unexplained(Life("bid", bid.created_at, _rows(connection, mine), story, whole=True), lives, gap)


def _fresh(told: Remembered, known: Fleet, begun: datetime) -> Fleet:
    """Records of instances that ended unseen, after the first sight of the project: what came before is no news."""
    fresh = {}
    for one in told.unseen:
        steps = told.instance_steps.get(one.fid)
        since = steps[-1].at if steps else one.created_at
        if one.fid not in known.instances and not is_live(one.status, False) and since > begun:
            fresh[one.fid] = Record(one, since)
    return Fleet(instances=fresh)


def _subjects(
    connection: Connection, told: Remembered, known: Fleet, fresh: Fleet
) -> Iterable[tuple[Subject, Sequence[Told], Sequence[Row]]]:
    """Each subject that the record holds, its story, and its rows."""
    bid = known.bids[told.bid]
    status = "gone" if bid.gone else bid.value.status
    mine = Subject("bid", told.bid, told.project, told.bid, status)
    rows, stories = _rows(connection, mine), list(told.instance_steps.values())
    yield mine, remembered.status_steps(told.events, bid.value, stories, alone=not rows, stood=told.stood), rows
    for fid, story in sorted(told.instance_steps.items()):
        if (held := known.instances.get(fid)) is not None:
            status = "gone" if held.gone else held.value.status
        elif fid not in fresh.instances:
            continue
        subject = Subject("instance", fid, told.project, told.bid, None if held is None else status)
        yield subject, story, _rows(connection, subject)
    begun = _begun(connection, told.bid)
    if limits := remembered.limit_steps(told.events):
        present = spelled(bid.value.limit_price)
        subject = replace(mine, aspect="limit_price", present=present, begun=begun, start=limits[0].after)
        rows = _rows(connection, subject)
        first = _first_before(connection, subject)
        yield replace(subject, first=first and spelled(first)), limits[1:], rows
    if sizes := remembered.memory_steps(told.events):
        present = "" if bid.value.memory_gb is None else str(bid.value.memory_gb)
        subject = replace(mine, aspect="memory", present=present, begun=begun)
        rows = _rows(connection, subject)
        first = _first_before(connection, subject)
        yield replace(subject, start=first, first=first), sizes, rows


def _begun(connection: Connection, bid: str) -> datetime | None:
    """When a bid that stood at first sight was first seen, by the marketplace's clock."""
    query = select(_transitions.c.observed_at, _transitions.c.ahead_seconds).where(
        _transitions.c.subject == bid, _transitions.c.baseline.is_(True)
    )
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else shifted(row.observed_at, timedelta(seconds=row.ahead_seconds))


def _rows(connection: Connection, subject: Subject) -> list[Row]:
    query = select(_transitions).where(
        _transitions.c.subject == subject.fid,
        _transitions.c.aspect == subject.aspect,
        _transitions.c.provenance != "simulated",
    )
    return [_row(row) for row in connection.execute(query).mappings()]


def _first_before(connection: Connection, subject: Subject) -> str | None:
    """What was so before the first row: what is so, where there is none."""
    query = select(_transitions.c.before).where(
        _transitions.c.subject == subject.fid, _transitions.c.aspect == subject.aspect
    )
    first = connection.execute(query.order_by(_transitions.c.position).limit(1)).one_or_none()
    return subject.present if first is None else first.before


def _row(row: RowMapping) -> Row:
    after = spelled(row["after"]) if row["aspect"] == "limit_price" else row["after"]
    return Row(
        sequence=row["sequence"],
        after=after,
        # That a look did not show it before is no sign: an item may be set aside, or its status hide it.
        window_start=None if row["before"] is None else row["window_start"],
        observed_at=row["observed_at"],
        occurred_at=row["occurred_at"],
        place=row["position"],
        baseline=row["baseline"],
        seen=row["provenance"] == "observed",
        ahead=timedelta(seconds=row["ahead_seconds"]),
    )


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


def _tell_since(connection: Connection, subject: Subject, rows: Sequence[Row], merged: Merge, ahead: timedelta) -> None:
    """Since when a thing is as it is: the record had it from the look that saw it. It is by our clock."""
    if subject.aspect != "status" or not rows:
        return
    at = merged.times.get(max(rows, key=lambda row: (row.place, row.sequence)).sequence)
    if at is not None:
        things = _bids if subject.kind == "bid" else _instances
        since = at - ahead
        connection.execute(
            update(things).where(things.c.fid == subject.fid, things.c.since > since).values(since=since)
        )
