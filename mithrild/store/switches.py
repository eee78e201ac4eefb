"""The actions that are switched off because their target wants no more of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from mithrild.store.database import Database
from mithrild.store.outbox import Lane
from mithrild.store.tables import DisabledActionRow, table_of

_disabled = table_of(DisabledActionRow)


@dataclass(frozen=True, slots=True)
class Off:
    """Since when, why, and the mark of the definition that was switched off: a changed one is another action."""

    at: datetime
    reason: str
    mark: str


def switch_off(connection: Connection, lane: Lane, off: Off) -> None:
    row = {"hook": lane[0], "action": lane[1], "at": off.at, "reason": off.reason, "mark": off.mark}
    statement = upsert(_disabled).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=["hook", "action"], set_=row))


def switch_on(database: Database, lane: Lane) -> bool:
    """Whether it was off."""
    with database.write() as connection:
        its_own = (_disabled.c.hook == lane[0], _disabled.c.action == lane[1])
        return bool(connection.execute(delete(_disabled).where(*its_own)).rowcount)


def switched_off(database: Database) -> dict[Lane, Off]:
    with database.read() as connection:
        rows = connection.execute(select(_disabled)).mappings()
        return {(row["hook"], row["action"]): Off(row["at"], row["reason"], row["mark"]) for row in rows}
