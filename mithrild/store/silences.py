"""Silences, as rows."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

from sqlalchemy import Connection, RowMapping, insert, select, update

from mithrild.fleet.stillness import Silence
from mithrild.store.database import Database
from mithrild.store.tables import BidRow, DeliveryRow, SilenceRow, TransitionRow, table_of

_silences, _deliveries = table_of(SilenceRow), table_of(DeliveryRow)
_transitions, _bids = table_of(TransitionRow), table_of(BidRow)


def standing(connection: Connection, now: datetime) -> list[Silence]:
    """The silences that hold at this moment, the oldest first."""
    query = select(_silences).where(_silences.c.begun_at <= now, _silences.c.until > now).order_by(_silences.c.id)
    return [Silence(**row) for row in connection.execute(query).mappings()]


def listing(connection: Connection, limit: int) -> list[Silence]:
    """Every silence, ended ones too, the newest first."""
    query = select(_silences).order_by(_silences.c.id.desc()).limit(limit)
    return [Silence(**row) for row in connection.execute(query).mappings()]


def begin(database: Database, pattern: str, hook: str | None, until: datetime, now: datetime) -> tuple[Silence, int]:
    """Begins one, and puts aside what waits for another try. How many deliveries that were is told too."""
    with database.write() as connection:
        values = {"pattern": pattern, "hook": hook, "begun_at": now, "until": until}
        (key,) = connection.execute(insert(_silences).values(values)).inserted_primary_key or (0,)
        silence = Silence(id=key, pattern=pattern, hook=hook, begun_at=now, until=until)
        held = [row["id"] for row in _waiting(connection) if silence.holds(row["hook"], row["bid"], row["name"], now)]
        for delivery in held:
            values = {"state": "skipped", "finished_at": now, "next_at": None, "reason": silence.reason}
            connection.execute(update(_deliveries).where(_deliveries.c.id == delivery).values(values))
    return silence, len(held)


def _waiting(connection: Connection) -> list[RowMapping]:
    """What waits for its turn and is not asked for by a person, with the bid that it is about."""
    query = (
        select(_deliveries.c.id, _deliveries.c.hook, _transitions.c.bid, _bids.c.name)
        .select_from(
            _deliveries.join(_transitions, _transitions.c.sequence == _deliveries.c.sequence).join(
                _bids, _bids.c.fid == _transitions.c.bid, isouter=True
            )
        )
        .where(_deliveries.c.state == "pending", _deliveries.c.by_hand.is_(False), _deliveries.c.rehearsal.is_(None))
    )
    return list(connection.execute(query).mappings())


def end(database: Database, which: str, now: datetime) -> list[Silence]:
    """Ends the silence of this number, or those whose pattern this is, or a pattern of theirs. Those that it ended."""
    with database.write() as connection:
        held = standing(connection, now)
        number = int(which) if which.isascii() and which.isdigit() and len(which) < 10 else None
        chosen = [one for one in held if one.id == number] or [
            one for one in held if one.pattern == which or fnmatchcase(one.pattern, which)
        ]
        for one in chosen:
            connection.execute(update(_silences).where(_silences.c.id == one.id).values(until=now))
    return chosen
