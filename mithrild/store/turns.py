"""Hands the turn of a delivery that never ran to the next of its bid's notice, for hooks with `when = "first"`.

While the disk refuses, this waits for nothing and does nothing: what was skipped is not in memory.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from mithrild.fleet.routing import came_before
from mithrild.fleet.turns import Turn, passed_on
from mithrild.store.tables import AttemptRow, DeliveryRow, EventRow, NoticeRow, table_of

_deliveries, _attempts = table_of(DeliveryRow), table_of(AttemptRow)
_events, _notices = table_of(EventRow), table_of(NoticeRow)


def pass_on(connection: Connection, now: datetime) -> None:
    """Of what this transaction has superseded: to be called in it, with the same `now`."""
    tried = select(_attempts.c.number).where(_attempts.c.delivery == _deliveries.c.id).exists()
    of_event = _deliveries.join(_events, _events.c.sequence == _deliveries.c.sequence)
    unrun = (
        select(_deliveries.c.hook, _deliveries.c.action, _events.c.id)
        .select_from(of_event)
        .where(_deliveries.c.finished_at == now, _deliveries.c.state == "superseded", ~tried)
    )
    gone = [((hook, action), event) for hook, action, event in connection.execute(unrun)]
    skipped: list[Turn] = []
    for lane, before in gone:
        query = (
            select(_deliveries.c.id, _events.c.id.label("event"), _notices.c.ended_at)
            .select_from(of_event.join(_notices, _notices.c.sequence == _deliveries.c.notice))
            .where(_deliveries.c.hook == lane[0], _deliveries.c.action == lane[1], _deliveries.c.state == "skipped")
            .where(_deliveries.c.reason == came_before(before))
            .order_by(_deliveries.c.sequence)
        )
        skipped += [Turn(id, lane, event, before, over is None) for id, event, over in connection.execute(query)]
    for id, before in passed_on(gone, skipped).items():
        its_turn: dict[str, object] = {"state": "pending", "next_at": now, "finished_at": None, "reason": None}
        values = its_turn if before is None else {"reason": came_before(before)}
        connection.execute(update(_deliveries).where(_deliveries.c.id == id).values(values))
