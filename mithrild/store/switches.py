"""News of the hooks themselves, and the actions that are switched off because their target wants no more of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from mithrild.fleet.event import HookNews, Surroundings
from mithrild.fleet.model import Fleet, Transition
from mithrild.fleet.routing import HookRule
from mithrild.store.database import Database
from mithrild.store.outbox import Claim, Lane
from mithrild.store.tables import DisabledActionRow, table_of
from mithrild.store.writing import write_events, write_transitions

_disabled = table_of(DisabledActionRow)
Word = Literal["dead", "disabled"]


@dataclass(frozen=True, slots=True)
class Off:
    """Since when, why, and the mark of the definition that was switched off: a changed one is another action."""

    at: datetime
    reason: str
    mark: str


def announcing(
    database: Database, host: str, claim: Claim, word: Word, reason: str, rules: Sequence[HookRule], now: datetime
) -> Callable[[Connection], None]:
    """What writes `hook.dead` or `hook.disabled` into the transaction that settles the delivery.

    News of a delivery that was itself news of a hook is not made: it would breed more of its kind for ever.
    """
    event = json.loads(claim.body)

    def announce(connection: Connection) -> None:
        if event["type"].startswith("hook."):
            return
        told = event["data"]
        step = Transition(
            kind="hook",
            subject=claim.hook,
            project=told["project"],
            bid=None,
            aspect="status",
            before=None,
            after=word,
            type=f"hook.{word}",
            observed_at=now,
            window_start=None,
            provenance="simulated" if told["provenance"] == "simulated" else "observed",
        )
        news = HookNews(claim.hook, claim.action, claim.id, reason, event)
        around = Surroundings(Fleet(), news=news)
        written = write_transitions(connection, [step])
        write_events(connection, database.id, host, written, around, rules, now, openings={})

    return announce


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
