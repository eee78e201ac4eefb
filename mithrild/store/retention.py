"""Dropping what is no longer kept, a few rows a transaction: a poll's commit waits for one of them at the most.

Everything here is a generator that makes one transaction between two yields. One that was cut off is begun anew, and
finds less to do. Freed pages are used again by what is written next; the file does not shrink.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, tuple_

from mithrild.fleet.keeping import Limits
from mithrild.store import bounded, meta, reach
from mithrild.store.bounded import Dropped
from mithrild.store.cursor import shifted
from mithrild.store.database import Database
from mithrild.store.tables import (
    AttemptRow,
    BidRow,
    ClusterRow,
    DeliveryRow,
    EventRow,
    InstanceRow,
    NoticeRow,
    TransitionRow,
    table_of,
)

_LAST = "last_dropped"
_REHEARSED = "simulated"  # what never happened does not say how things stand
ROWS = 50  # transitions, or bids, in one transaction

_transitions, _events, _notices = table_of(TransitionRow), table_of(EventRow), table_of(NoticeRow)
_deliveries, _attempts = table_of(DeliveryRow), table_of(AttemptRow)
_bids, _instances, _clusters = table_of(BidRow), table_of(InstanceRow), table_of(ClusterRow)


def sweep(database: Database, limits: Limits, now: datetime, skew: timedelta, dropped: Dropped) -> Iterator[None]:
    """Drops all that may go by now, and counts it. `skew`: the marketplace's clock minus ours.

    Raises StoreError if the disk refuses; what was dropped until then stays so.
    """
    yield from bounded.drop_outputs(database, limits, now, dropped)
    yield from bounded.drop_prices(database, limits, now, dropped)
    if limits.transitions is not None:
        cutoff = now + skew - limits.transitions
        yield from drop_transitions(database, cutoff, dropped)
        yield from drop_ended(database, cutoff, dropped)


def note(database: Database, dropped: Dropped, now: datetime) -> None:
    """Takes down what a sweep dropped, for whoever asks later."""
    with database.write() as connection:
        meta.put(connection, _LAST, json.dumps({"at": now.isoformat(), **dropped.counts()}))


def last_dropped(connection: Connection) -> tuple[datetime, Dropped] | None:
    """When something was dropped last, and what."""
    held = meta.get(connection, _LAST)
    if held is None:
        return None
    counts = json.loads(held)
    return datetime.fromisoformat(counts.pop("at")), Dropped(**counts)


def drop_transitions(database: Database, cutoff: datetime, dropped: Dropped) -> Iterator[None]:
    """The oldest transitions, with their events and deliveries, up to the first that was learned after `cutoff` (by
    the marketplace's clock) or whose delivery is not done.

    Of what lives the last step of each aspect stays as a row, without its event: it says how things stand, and since
    when. So does what an open notice or a younger delivery refers to.
    """
    behind = 0
    while True:
        with database.write() as connection:
            old = _old(connection, behind, cutoff)
            if old:
                dropped.transitions += _drop(connection, old[0], old[-1], cutoff)
        yield
        if len(old) < ROWS:
            return
        behind = old[-1]


def _old(connection: Connection, behind: int, cutoff: datetime) -> list[int]:
    query = (
        select(_transitions.c.sequence, _transitions.c.observed_at, _transitions.c.ahead_seconds)
        .where(_transitions.c.sequence > behind)
        .order_by(_transitions.c.sequence)
        .limit(ROWS)
    )
    unfinished = select(func.min(_deliveries.c.sequence)).where(_deliveries.c.state.in_(("pending", "running")))
    first = connection.execute(unfinished).scalar()
    if first is not None:
        query = query.where(_transitions.c.sequence < first)
    rows = connection.execute(query).all()
    learned = ((row.sequence, shifted(row.observed_at, timedelta(seconds=row.ahead_seconds))) for row in rows)
    return [sequence for sequence, at in takewhile(lambda one: one[1] < cutoff, learned)]


def _drop(connection: Connection, first: int, last: int, cutoff: datetime) -> int:
    its = _deliveries.c.sequence.between(first, last)
    connection.execute(delete(_attempts).where(_attempts.c.delivery.in_(select(_deliveries.c.id).where(its))))
    connection.execute(delete(_deliveries).where(its))
    connection.execute(delete(_events).where(_events.c.sequence.between(first, last)))
    here = _transitions.c.sequence.between(first, last)
    query = select(_transitions.c.sequence, _transitions.c.position).where(here, ~_stays())
    going = dict(connection.execute(query).all())
    connection.execute(delete(_notices).where(_notices.c.sequence.in_(going)))
    connection.execute(delete(_transitions).where(_transitions.c.sequence.in_(going)))
    # The marketplace may date a step as it likes; what lies in the future must not hide what is still to come.
    happened = [min(position, cutoff) for position in going.values()]
    reach.shorten(connection, last, max(happened, default=None))
    return len(going)


def _stays() -> ColumnElement[bool]:
    """That a transition stays though it is old, once the deliveries that go with it are gone."""
    this, later = _transitions, _transitions.alias("later")
    followed = exists().where(
        later.c.subject == this.c.subject,
        later.c.kind == this.c.kind,
        later.c.aspect == this.c.aspect,
        later.c.provenance != _REHEARSED,
        tuple_(later.c.position, later.c.sequence) > tuple_(this.c.position, this.c.sequence),
    )
    lives = or_(
        this.c.kind.not_in(("bid", "instance", "cluster")),  # a condition of the watch itself has no end
        *(exists().where(table.c.fid == this.c.subject, table.c.live) for table in (_bids, _instances, _clusters)),
    )
    of_open_notice = exists().where(_notices.c.sequence == this.c.sequence, _notices.c.ended_at.is_(None))
    of_delivery = exists().where(_deliveries.c.notice == this.c.sequence)
    return or_(and_(lives, this.c.provenance != _REHEARSED, ~followed), of_open_notice, of_delivery)


def drop_ended(database: Database, cutoff: datetime, dropped: Dropped) -> Iterator[None]:
    """Bids that ended before `cutoff` and of which no transition is kept, with their instances and notices.

    An instance stays while its bid does: one that a bid names and nobody knows would be news. Clusters stay, for the
    marketplace goes on listing those that have ended.
    """
    with database.read() as connection:
        doomed = list(connection.execute(select(_bids.c.fid).where(_is_over(cutoff))).scalars())
    yield
    for start in range(0, len(doomed), ROWS):
        some = doomed[start : start + ROWS]
        with database.write() as connection:
            # Asked once more: something may have been learned of them meanwhile.
            fids = list(
                connection.execute(select(_bids.c.fid).where(_bids.c.fid.in_(some), _is_over(cutoff))).scalars()
            )
            its = select(_instances.c.fid).where(_instances.c.bid.in_(fids))
            connection.execute(delete(_notices).where(or_(_notices.c.subject.in_(fids), _notices.c.subject.in_(its))))
            dropped.things += connection.execute(delete(_instances).where(_instances.c.bid.in_(fids))).rowcount
            dropped.things += connection.execute(delete(_bids).where(_bids.c.fid.in_(fids))).rowcount
        yield


def _is_over(cutoff: datetime) -> ColumnElement[bool]:
    kept = exists().where(_transitions.c.bid == _bids.c.fid)
    young = exists().where(_instances.c.bid == _bids.c.fid, or_(_instances.c.live, _instances.c.since >= cutoff))
    # Of one that is still to be asked about, more may come to be known.
    settled = _bids.c.history_due.is_(False)
    return and_(_bids.c.live.is_(False), _bids.c.since < cutoff, settled, ~kept, ~young)
