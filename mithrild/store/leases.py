"""What a run of the daemon had claimed and did not see to its end: found, and given back, by the next one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, update

from mithrild.store.database import Database
from mithrild.store.tables import AttemptRow, DeliveryRow, NoticeRow, table_of

_deliveries, _attempts, _notices = table_of(DeliveryRow), table_of(AttemptRow), table_of(NoticeRow)


def unfinished_leases(database: Database) -> list[str]:
    """The deliveries that a run of the daemon had claimed and never settled."""
    with database.read() as connection:
        return list(connection.execute(select(_deliveries.c.id).where(_deliveries.c.state == "running")).scalars())


def unended(database: Database) -> list[str]:
    """The deliveries that are to be run, or were being run, as far as is known."""
    with database.read() as connection:
        query = select(_deliveries.c.id).where(_deliveries.c.state.in_(("pending", "running")))
        return list(connection.execute(query).scalars())


def void_leases(database: Database, now: datetime) -> None:
    """At start, by the holder of the lock: whoever had these is gone, and nobody knows how far they came."""

    def work(connection: Connection) -> None:
        lost = select(_deliveries.c.id).where(_deliveries.c.state == "running")
        connection.execute(
            update(_attempts)
            .where(_attempts.c.delivery.in_(lost), _attempts.c.ended_at.is_(None))
            .values(ended_at=now, outcome="interrupted", reason="the daemon ended while it ran")
        )
        connection.execute(
            update(_deliveries).where(_deliveries.c.state == "running").values(state="pending", lease=None, next_at=now)
        )
        # A notice may have ended while its delivery ran: then there is nothing left to repeat it for.
        over = _notices.c.ended_at.is_not(None) & (_notices.c.sequence == _deliveries.c.notice)
        ended_how = select(_notices.c.ended_how).where(over).correlate(_deliveries)
        connection.execute(
            update(_deliveries)
            .where(_deliveries.c.state == "pending", ~_deliveries.c.by_hand, ended_how.exists())
            .values(
                state="superseded",
                finished_at=now,
                next_at=None,
                reason="the notice is over: " + func.coalesce(ended_how.scalar_subquery(), ""),
            )
        )

    database.keep(work)
