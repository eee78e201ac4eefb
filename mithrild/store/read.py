"""Reads, each inside a transaction of the caller's, so that several see the same moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, func, or_, select

from mithrild.fleet.imagined import SIGN, mark
from mithrild.fleet.model import Auction, Bid, Cluster, Fleet, Instance, InstanceType, Notice, Record, Thing, Transition
from mithrild.store.rows import auction_from, from_row, notice_from, transition_from
from mithrild.store.tables import (
    BidRow,
    ClusterRow,
    EventRow,
    InstanceRow,
    InstanceTypeRow,
    MarketRow,
    MemberRow,
    NoticeRow,
    ProjectRow,
    TransitionRow,
    table_of,
)

_bids, _instances, _clusters = table_of(BidRow), table_of(InstanceRow), table_of(ClusterRow)
_transitions, _events, _notices = table_of(TransitionRow), table_of(EventRow), table_of(NoticeRow)
_market, _projects = table_of(MarketRow), table_of(ProjectRow)
_types, _members = table_of(InstanceTypeRow), table_of(MemberRow)
_CHUNK = 500  # fids in one statement; SQLite takes some thousands of parameters


def project(connection: Connection, fid: str) -> RowMapping:
    """The poll cursor of a watched project."""
    return connection.execute(select(_projects).where(_projects.c.fid == fid)).mappings().one()


def projects(connection: Connection, *, watched: bool = True) -> list[RowMapping]:
    """The projects that are watched; with `watched` False, those that ever were too."""
    query = select(_projects).order_by(_projects.c.name)
    if watched:
        query = query.where(_projects.c.watched.is_(True))
    return list(connection.execute(query).mappings().all())


def fleet(connection: Connection, project: str | None, *, also: Collection[str] = (), ended: bool = False) -> Fleet:
    """Every live thing of the project (of all projects: None), those named in `also`, the fids of ended
    instances of live bids, and with `ended` everything there ever was."""
    bids = _records(connection, Bid, _bids, project, also, ended)
    instances = _records(connection, Instance, _instances, project, also, ended)
    past: set[str] = set()
    if not ended:
        query = (
            select(_instances.c.fid)
            .join(_bids, _bids.c.fid == _instances.c.bid)
            .where(_bids.c.live.is_(True), _instances.c.live.is_(False))
        )
        if project is not None:
            query = query.where(_bids.c.project == project)
        past = set(connection.execute(query).scalars())
    clusters = _records(connection, Cluster, _clusters, project, also, ended)
    return Fleet(bids, instances, clusters, past=frozenset(past))


def live_counts(connection: Connection) -> dict[str, int]:
    """How many bids and instances are still of some consequence."""
    return {
        noun: connection.execute(select(func.count()).where(table.c.live.is_(True))).scalar_one()
        for noun, table in (("bids", _bids), ("instances", _instances))
    }


def live_bids(connection: Connection, project: str) -> list[str]:
    """The bids of a project of which something may still come."""
    return list(connection.execute(select(_bids.c.fid).where(_bids.c.project == project, _bids.c.live)).scalars())


def known_bids(connection: Connection, fids: Iterable[str]) -> set[str]:
    """Those of these bids that the record holds."""
    return _known(connection, _bids, fids)


def known_instances(connection: Connection, fids: Iterable[str]) -> set[str]:
    """Those of these instances that the record holds."""
    return _known(connection, _instances, fids)


def _known(connection: Connection, table: Table, fids: Iterable[str]) -> set[str]:
    known: set[str] = set()
    for some in chunks(list(fids)):
        known |= set(connection.execute(select(table.c.fid).where(table.c.fid.in_(some))).scalars())
    return known


def one_bid(connection: Connection, bid: str, instances: Iterable[str] = ()) -> Fleet:
    """One bid with all its instances that the record holds, ended ones too, and those that are named."""
    held = instances_of(connection, [bid])
    for some in chunks([fid for fid in instances if fid not in held]):
        held |= _things(connection, Instance, select(_instances).where(_instances.c.fid.in_(some)))
    return Fleet(_things(connection, Bid, select(_bids).where(_bids.c.fid == bid)), held)


def instances_of(connection: Connection, bids: Iterable[str]) -> dict[str, Record[Instance]]:
    found: dict[str, Record[Instance]] = {}
    for some in chunks(list(bids)):
        found |= _things(connection, Instance, select(_instances).where(_instances.c.bid.in_(some)))
    return found


def bids_by_fid(connection: Connection, fids: Iterable[str]) -> dict[str, Record[Bid]]:
    found: dict[str, Record[Bid]] = {}
    for some in chunks(list(fids)):
        found |= _things(connection, Bid, select(_bids).where(_bids.c.fid.in_(some)))
    return found


def instances_by_fid(connection: Connection, fids: Iterable[str]) -> dict[str, Record[Instance]]:
    found: dict[str, Record[Instance]] = {}
    for some in chunks(list(fids)):
        found |= _things(connection, Instance, select(_instances).where(_instances.c.fid.in_(some)))
    return found


def bids_named(connection: Connection, name_or_fid: str) -> list[Record[Bid]]:
    """Every bid, live or ended, of that fid or name."""
    query = select(_bids).where((_bids.c.fid == name_or_fid) | (_bids.c.name == name_or_fid))
    return list(_things(connection, Bid, query).values())


def _records(
    connection: Connection,
    noun: type[Thing],
    table: Table,
    project: str | None,
    also: Collection[str],
    ended: bool,
) -> dict[str, Record[Thing]]:
    query = select(table) if ended else select(table).where(table.c.live.is_(True))
    if project is not None:
        query = query.where(table.c.project == project)
    found = _things(connection, noun, query)
    for some in chunks([fid for fid in also if fid not in found]):
        found |= _things(connection, noun, select(table).where(table.c.fid.in_(some)))
    return found


def _things(connection: Connection, noun: type[Thing], query: Select[Any]) -> dict[str, Record[Thing]]:
    rows = connection.execute(query)
    names = tuple(rows.keys())
    # Plain dicts: names are looked up faster than in SQLAlchemy's own mappings, and every poll reads every thing.
    records = (from_row(noun, dict(zip(names, row, strict=True))) for row in rows)
    return {record.value.fid: record for record in records}


def chunks(fids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (fids[start : start + _CHUNK] for start in range(0, len(fids), _CHUNK))


def open_notices(connection: Connection, project: str | None = None) -> dict[str, Notice]:
    """By subject. What was only imagined is nobody's notice."""
    query = select(_notices).where(_notices.c.ended_at.is_(None), ~_notices.c.subject.startswith(SIGN))
    if project is not None:
        query = query.where(_notices.c.project == project)
    return {row["subject"]: notice_from(row) for row in connection.execute(query).mappings()}


def openings(connection: Connection, project: str) -> dict[str, int]:
    """subject -> the transition that opened its open notice."""
    query = select(_notices.c.subject, _notices.c.sequence).where(
        _notices.c.project == project, _notices.c.ended_at.is_(None)
    )
    return dict(connection.execute(query).all())


def last_positions(connection: Connection, subjects: Collection[str]) -> dict[str, datetime]:
    """How far the timeline of each of these subjects has come."""
    reached: dict[str, datetime] = {}
    for some in chunks(sorted(subjects)):
        query = (
            select(_transitions.c.subject, func.max(_transitions.c.position))
            .where(_transitions.c.subject.in_(some))
            .group_by(_transitions.c.subject)
        )
        reached |= dict(connection.execute(query).all())
    return reached


def ordinals(connection: Connection, subjects: Collection[str]) -> dict[str, int]:
    """How many notices each of these subjects has had."""
    counts: dict[str, int] = {}
    for some in chunks(sorted(subjects)):
        query = (
            select(_notices.c.subject, func.max(_notices.c.ordinal))
            .where(_notices.c.subject.in_(some))
            .group_by(_notices.c.subject)
        )
        counts |= dict(connection.execute(query).all())
    return counts


def market(connection: Connection) -> dict[tuple[str | None, str], Auction]:
    """The latest sample of each (region, instance type fid)."""
    rows = connection.execute(select(_market)).mappings()
    return {(row["region"], row["instance_type"]): auction_from(row) for row in rows}


def market_age(connection: Connection) -> datetime | None:
    """When a price or a capacity last changed."""
    return connection.execute(select(func.max(_market.c.at))).scalar()


def instance_types(connection: Connection) -> dict[str, InstanceType]:
    return {row["fid"]: InstanceType(**row) for row in connection.execute(select(_types)).mappings()}


def members(connection: Connection) -> dict[str, str]:
    return dict(connection.execute(select(_members.c.fid, _members.c.name)).all())


def auction_moments(connection: Connection, since: datetime) -> list[datetime]:
    """When bids were won and lost, by the marketplace's own clock, as far as it told what was recorded since then."""
    query = (
        select(_transitions.c.occurred_at)
        .where(
            _transitions.c.observed_at >= since,
            _transitions.c.occurred_at.is_not(None),
            _transitions.c.kind == "bid",
            _transitions.c.aspect == "status",
            _transitions.c.after.in_(("Allocated", "Preempting")),
        )
        .distinct()
    )
    return list(connection.execute(query).scalars())


def steps(connection: Connection, bid: str, *, last: int | None = None) -> list[RowMapping]:
    """The transitions of a bid and of its instances by position, the oldest first; the `last` few of them."""
    query = (
        select(_transitions, _events.c.id.label("event"))
        .join(_events, _events.c.sequence == _transitions.c.sequence, isouter=True)
        .where(_transitions.c.bid == bid)
        .order_by(_transitions.c.position.desc(), _transitions.c.sequence.desc())
        .limit(last)
    )
    return list(reversed(connection.execute(query).mappings().all()))


def last_after(connection: Connection, kind: str, subject: str) -> str | None:
    """What the last status transition of this subject led to."""
    query = (
        select(_transitions.c.after)
        .where(_transitions.c.kind == kind, _transitions.c.subject == subject, _transitions.c.aspect == "status")
        .order_by(_transitions.c.sequence.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def bounds(connection: Connection) -> tuple[int | None, int | None]:
    """The oldest and the newest sequence of an event."""
    # Asked for together in one select, they would be looked for in the whole table.
    ends = (select(end(_events.c.sequence)).scalar_subquery() for end in (func.min, func.max))
    oldest, newest = connection.execute(select(*ends)).one()
    return oldest, newest


def sequence_of_event(connection: Connection, event: str) -> int | None:
    """The sequence of an event on record. A record that was restored holds events of the one that it was before."""
    return connection.execute(select(_events.c.sequence).where(_events.c.id == event)).scalar()


def last_sequence(connection: Connection) -> int:
    """The newest sequence ever given out, baseline rows and what is no longer kept included."""
    highest = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'transitions'").scalar()
    return int(highest or 0)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with the step that it tells. `ahead` is the marketplace's clock minus ours at that time."""

    id: str
    body: str
    sequence: int
    step: Transition
    ahead: timedelta


def event(connection: Connection, sequence: int) -> Stored | None:
    query = (
        select(_transitions, _events.c.id, _events.c.body)
        .join(_events, _events.c.sequence == _transitions.c.sequence)
        .where(_transitions.c.sequence == sequence)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    return Stored(row["id"], row["body"], sequence, transition_from(row), timedelta(seconds=row["ahead_seconds"]))


def events(
    connection: Connection,
    *,
    after: int | None = None,
    since: datetime | None = None,
    patterns: Sequence[str] = (),
    project: str | None = None,
    bid: str | None = None,
    limit: int = 100,
    imagined: bool = False,
) -> list[tuple[int, str, str, str]]:
    """(sequence, id, type, body) by sequence: the first ones after a cursor or a time, else the newest.

    `patterns` are event types with `*` and `?`; `since` is compared with the time shown. With `imagined`, those of
    tests and drills too.
    """
    query = select(_events.c.sequence, _events.c.id, _events.c.type, _events.c.body).join(
        _transitions, _transitions.c.sequence == _events.c.sequence
    )
    if not imagined:
        query = query.where(_transitions.c.provenance != "simulated")
    if after is not None:
        query = query.where(_events.c.sequence > after)
    if since is not None:
        # Where to begin is found in the index of times; the rows before it, with all their text, are never read.
        # (A bare min() would be looked for from the first row on.)
        begin = select(func.min(_events.c.sequence + 0)).where(_events.c.time >= since)
        query = query.where(_events.c.sequence >= begin.scalar_subquery(), _events.c.time >= since)
    if patterns:
        query = query.where(or_(*(_events.c.type.op("GLOB")(pattern) for pattern in patterns)))
    if project is not None:  # the conditions of the watch itself are of no project, and everybody's
        query = query.where(_transitions.c.project.in_((project, "")))
    if bid is not None:
        its_own = _transitions.c.bid == bid
        query = query.where(or_(its_own, _transitions.c.bid.op("GLOB")(mark("*", bid))) if imagined else its_own)
    newest_first = after is None and since is None
    query = query.order_by(_events.c.sequence.desc() if newest_first else _events.c.sequence).limit(limit)
    rows = [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]
    return rows[::-1] if newest_first else rows
