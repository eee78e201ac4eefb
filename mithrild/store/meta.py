"""What the record says of itself, as text by key."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from mithrild.store.tables import Meta, table_of

_meta = table_of(Meta)


def get(connection: Connection, key: str) -> str | None:
    return connection.execute(select(_meta.c.value).where(_meta.c.key == key)).scalar()


def put(connection: Connection, key: str, value: str) -> None:
    statement = upsert(_meta).values(key=key, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))


def remove(connection: Connection, key: str) -> None:
    connection.execute(delete(_meta).where(_meta.c.key == key))
