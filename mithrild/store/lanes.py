"""What a lane does with what comes while something is under way: for hooks that are not simply parallel."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, select, update

from mithrild.store.database import Database
from mithrild.store.due import is_rehearsed
from mithrild.store.outbox import Lane
from mithrild.store.tables import DeliveryRow, EventRow, table_of

_deliveries, _events = table_of(DeliveryRow), table_of(EventRow)


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
