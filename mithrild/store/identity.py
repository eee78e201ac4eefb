"""The name of a record: four random bytes in hex, made with it. It stands in every event id.

A backup says that it is a copy. Opened as the record it gets a name of its own, and goes on counting from far ahead:
what was told after it was made, under ids and numbers of the record that it was copied from, is in nobody's file any
more, and none of those ids may ever mean something else.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from mithrild.store import meta, read

STORE, COPIED_AT = "store", "copied_at"
LEAP = 1_000_000  # a restored record goes on at the next multiple of this


class Identity(NamedTuple):
    id: str
    restored_from: datetime | None = None  # when the copy was made that this opening has made the record


def identify(connection: Connection) -> Identity:
    """Reads the record's name, or gives it one."""
    held, copied_at = meta.get(connection, STORE), meta.get(connection, COPIED_AT)
    if held is not None and copied_at is None:
        return Identity(held)
    name = secrets.token_hex(4)
    meta.put(connection, STORE, name)
    if copied_at is None:
        return Identity(name)
    _leap(connection)
    meta.remove(connection, COPIED_AT)
    return Identity(name, datetime.fromisoformat(copied_at))


def _leap(connection: Connection) -> None:
    ahead = (read.last_sequence(connection) // LEAP + 1) * LEAP
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'transitions'")
    connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('transitions', ?)", (ahead,))
