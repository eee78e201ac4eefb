"""What a person asks for again: deliveries that came to nothing, and events as they were.

A delivery is (event, hook, action), and its id is made of these three: whatever is asked for again runs under the id
that it had, with the same bytes, so a receiver that has it already can tell. It is no longer judged by its age, its
deadline, a silence or the hour: somebody wants it now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from mithrild.store.database import Database
from mithrild.store.outbox import Lane
from mithrild.store.tables import DeliveryRow, EventRow, NoticeRow, TransitionRow, table_of
from mithrild.store.writing import delivery_id

_deliveries, _events = table_of(DeliveryRow), table_of(EventRow)
_transitions, _notices = table_of(TransitionRow), table_of(NoticeRow)


def retry(database: Database, ids: Sequence[str], now: datetime) -> list[str]:
    """Queues these deliveries again, but for those that are being run at this moment. Which they are. An action that
    has parts goes on with those that are not done."""
    with database.write() as connection:
        return [id for id in ids if _queue(connection, id, now)]


def replay(database: Database, sequence: int, lanes: Sequence[Lane], now: datetime) -> dict[str, bool]:
    """Queues the event of this sequence for these lanes, every part of it. By id of the delivery, whether it was
    queued: one that is being run at this moment is left alone."""
    queued: dict[str, bool] = {}
    with database.write() as connection:
        event = connection.execute(
            select(_events.c.id, _transitions.c.subject)
            .join(_transitions, _transitions.c.sequence == _events.c.sequence)
            .where(_events.c.sequence == sequence)
        ).one()
        notice = connection.execute(select(_notices.c.sequence).where(_notices.c.sequence == sequence)).scalar()
        for hook, action in lanes:
            id = delivery_id(event.id, hook, action)
            held = connection.execute(select(_deliveries.c.id).where(_deliveries.c.id == id)).first()
            if held is not None:
                queued[id] = _queue(connection, id, now, progress=None)
                continue
            row = {
                "id": id,
                "sequence": sequence,
                "hook": hook,
                "action": action,
                "subject": event.subject,
                "notice": notice,
                "state": "pending",
                "attempts": 0,
                "created_at": now,
                "next_at": now,
                "by_hand": True,
            }
            connection.execute(insert(_deliveries).values(row))
            queued[id] = True
    return queued


def _queue(connection: Connection, id: str, now: datetime, **more: object) -> bool:
    again: dict[str, object] = {
        **more,
        "state": "pending",
        "attempts": 0,
        "next_at": now,
        "finished_at": None,
        "reason": None,
        "by_hand": True,
    }
    idle = (_deliveries.c.id == id, _deliveries.c.state != "running")
    return bool(connection.execute(update(_deliveries).where(*idle).values(again)).rowcount)
