"""How far back the record reaches, once retention has dropped something.

Two things must not be mistaken then: a cursor from before what is kept (its reader missed something), and a step that
the marketplace still tells and that the record no longer holds (it was told once, under an id of its own).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mithrild.store import meta

_THROUGH, _BEFORE = "dropped_through", "dropped_before"


@dataclass(frozen=True, slots=True)
class Reach:
    """`through`: the highest sequence whose event was dropped, 0 for none. `before`: what happened up to this moment,
    by the marketplace's clock, is not told again; None where nothing was dropped."""

    through: int = 0
    before: datetime | None = None


def reach(connection: Connection) -> Reach:
    through, before = meta.get(connection, _THROUGH), meta.get(connection, _BEFORE)
    return Reach(int(through or 0), datetime.fromisoformat(before) if before else None)


def shorten(connection: Connection, through: int, before: datetime | None) -> None:
    """Takes down what this transaction drops. Neither mark ever moves back."""
    held = reach(connection)
    meta.put(connection, _THROUGH, str(max(held.through, through)))
    if before is not None:
        meta.put(connection, _BEFORE, max(held.before or before, before).isoformat())
