"""The lanes of the outbox: in which of them something waits, when it comes due, and what is ended in one unrun."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, select, true, update

from mithrild.store import turns
from mithrild.store.database import Database
from mithrild.store.due import is_rehearsed
from mithrild.store.outbox import Lane
from mithrild.store.tables import DeliveryRow, EventRow, table_of

_deliveries, _events = table_of(DeliveryRow), table_of(EventRow)


def waiting_lanes(database: Database) -> list[Lane]:
    """The lanes in which something waits, due or not."""
    return _waiting(database, true())


def rehearsing_lanes(database: Database) -> list[Lane]:
    """Those in which something of a test or a drill waits."""
    return _waiting(database, is_rehearsed(_deliveries, True))


def _waiting(database: Database, which: ColumnElement[bool]) -> list[Lane]:
    with database.read() as connection:
        query = select(_deliveries.c.hook, _deliveries.c.action).where(_deliveries.c.state == "pending", which)
        return [(hook, action) for hook, action in connection.execute(query.distinct())]


def next_due(database: Database, after: datetime) -> dict[Lane, datetime]:
    """When the next waiting delivery of each lane comes due, where one has not come due yet."""
    lane = (_deliveries.c.hook, _deliveries.c.action)
    query = (
        select(*lane, func.min(_deliveries.c.next_at, type_=_deliveries.c.next_at.type))
        .where(_deliveries.c.state == "pending", _deliveries.c.next_at > after)
        .group_by(*lane)
    )
    with database.read() as connection:
        return {(hook, action): due for hook, action, due in connection.execute(query)}


def let_go(database: Database, now: datetime) -> None:
    """What waits for our clock to be known is due now."""
    held = (_deliveries.c.state == "pending", _deliveries.c.next_at.is_(None))

    def work(connection: Connection) -> None:
        connection.execute(update(_deliveries).where(*held).values(next_at=now, reason=None))

    database.keep(work)


def cancel(database: Database, lane: Lane, reason: str, now: datetime) -> int:
    """Ends what is queued in a lane, visibly."""
    hook, action = lane

    def work(connection: Connection) -> int:
        return connection.execute(
            update(_deliveries)
            .where(_deliveries.c.state == "pending", _deliveries.c.hook == hook, _deliveries.c.action == action)
            .values(state="cancelled", finished_at=now, next_at=None, reason=reason)
        ).rowcount

    return database.keep(work)


def overtake(database: Database, lane: Lane, now: datetime) -> dict[str, str]:
    """Ends, visibly, what is queued for a subject of which something newer is queued too (`mode = "restart"`).

    Returns the deliveries that run and are to make way, each with the reason.
    """
    mine, newer = _deliveries, _deliveries.alias("newer")
    latest = (
        select(_events.c.id)
        .select_from(newer.join(_events, _events.c.sequence == newer.c.sequence))
        .where(newer.c.hook == mine.c.hook, newer.c.action == mine.c.action, newer.c.subject == mine.c.subject)
        .where(newer.c.state == "pending", newer.c.sequence > mine.c.sequence)
        .order_by(newer.c.sequence.desc())
        .limit(1)
        .correlate(mine)
        .scalar_subquery()
    )
    of_lane = and_(mine.c.hook == lane[0], mine.c.action == lane[1])

    def work(connection: Connection) -> dict[str, str]:
        rows = connection.execute(
            select(mine.c.id, mine.c.state, latest.label("by")).where(
                of_lane, mine.c.state.in_(("pending", "running")), latest.is_not(None)
            )
        ).all()
        for id, state, by in rows:
            if state == "pending":
                ended = {"state": "superseded", "finished_at": now, "next_at": None, "reason": _overtaken(by)}
                connection.execute(update(mine).where(mine.c.id == id).values(ended))
        turns.pass_on(connection, now)
        return {id: _overtaken(by) for id, state, by in rows if state == "running"}

    return database.keep(work)


def drop_new(database: Database, lane: Lane, now: datetime, *, rehearsed: bool = False) -> int:
    """Puts aside what was never tried, since one is under way (`mode = "single"`). What a person asked for waits.
    Of what really happened, or of what is `rehearsed`."""
    new = (_deliveries.c.state == "pending", _deliveries.c.attempts == 0, _deliveries.c.by_hand.is_(False))
    values = {"state": "skipped", "finished_at": now, "next_at": None}

    def work(connection: Connection) -> int:
        return connection.execute(
            update(_deliveries)
            .where(_deliveries.c.hook == lane[0], _deliveries.c.action == lane[1], *new)
            .where(is_rehearsed(_deliveries, rehearsed))
            .values(values | {"reason": 'mode = "single": another was under way'})
        ).rowcount

    return database.keep(work)


def _overtaken(by: str) -> str:
    return f'mode = "restart": {by} came after it'
