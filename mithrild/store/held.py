"""The record goes on in memory while the disk refuses.

A copy of all rows that a commit needs is taken from the file, which can still be read. Polls are recorded in the copy,
deliveries claimed and settled in it, by the same code as ever: so nothing is told twice, and each try runs once. As
soon as the disk takes it, what changed is laid over the file in one transaction.

Only what cannot wait is held, and none of that deletes a row. If the process ends first, what was held is lost: the
next one looks again, and what the file says is pending runs once more, under its old id.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    case,
    create_engine,
    event,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.pool import StaticPool

from mithrild.errors import StoreError
from mithrild.store.tables import AttemptRow, DeliveryRow, EventRow, PriceRow, TransitionRow, table_of

_deliveries, _attempts, _events = table_of(DeliveryRow), table_of(AttemptRow), table_of(EventRow)
_transitions, _prices = table_of(TransitionRow), table_of(PriceRow)
_TABLES = _transitions.metadata.sorted_tables  # those that others refer to first
_KEPT = MetaData(schema="kept")  # the file, as the copy sees it
_kept = {table.name: table.to_metadata(_KEPT, schema="kept") for table in _TABLES}
_changed = Table("changed", MetaData(), Column("name", String), Column("row", Integer), prefixes=["TEMP"])


class Held:
    """The copy, and what changed in it. Raises DatabaseError (of SQLAlchemy) if the file cannot even be read.

    `refused` is why the last try to write failed, `since` when the first did.
    """

    def __init__(self, path: Path, refused: StoreError, since: datetime) -> None:
        self.refused, self.since = refused, since
        self.lock = threading.RLock()
        self.closed = False
        self._connection: Connection | None = None
        self._raw = sqlite3.connect(":memory:", uri=True, isolation_level=None, check_same_thread=False)
        self._engine = create_engine("sqlite://", creator=lambda: self._raw, poolclass=StaticPool)
        event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        try:
            self._raw.execute("ATTACH ? AS kept", (f"{path.as_uri()}?mode=ro",))
            with self.transaction() as connection:
                _transitions.metadata.create_all(connection)
                _fill(connection)
                _note_changes(connection)
            self._raw.execute("DETACH kept")
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One at a time; inside another of the same thread, a part of that one."""
        with self.lock:
            if self._connection is not None:
                yield self._connection
                return
            with self._engine.begin() as self._connection:
                try:
                    yield self._connection
                finally:
                    self._connection = None

    def counts(self) -> tuple[int, int, int]:
        """How many new transitions, changed deliveries, and ended tries are held."""
        ended = _attempts.c.ended_at.is_not(None)
        with self.transaction() as connection:

            def count(table: Table, *only: ColumnElement[bool]) -> int:
                rows = select(func.count()).select_from(table).where(_has_changed(table), *only)
                return connection.execute(rows).scalar_one()

            return count(_transitions), count(_deliveries), count(_attempts, ended)

    def lay_over(self, file: Connection) -> None:
        """Writes what changed, inside a transaction of the file's."""
        with self.transaction() as connection:
            for table in _TABLES:
                rows = connection.execute(select(table).where(_has_changed(table))).mappings().all()
                if rows:
                    statement = upsert(table)
                    key = [column.name for column in table.primary_key]
                    rest = {column.name: statement.excluded[column.name] for column in table.columns}
                    file.execute(
                        statement.on_conflict_do_update(index_elements=key, set_=rest), [dict(row) for row in rows]
                    )

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self._engine.dispose()
            self._raw.close()


def _fill(connection: Connection) -> None:
    # The bulk of a long record is the past of its deliveries, the bodies of its events, and prices: no commit reads it.
    past = _kept[_deliveries.name]
    unended = past.c.state.in_(("pending", "running"))
    only = {
        _deliveries: unended,
        _attempts: _kept[_attempts.name].c.delivery.in_(select(past.c.id).where(unended)),
        _prices: literal_column("false"),
    }
    events = _kept[_events.name]
    body = case((events.c.sequence.in_(select(past.c.sequence).where(unended)), events.c.body), else_="")
    for table in _TABLES:
        kept = _kept[table.name]
        columns = [body if column is events.c.body else column for column in kept.columns]
        rows = select(*columns).where(only.get(table, literal_column("true")))
        connection.execute(insert(table).from_select(kept.columns.keys(), rows))
    # A hook may be told of an event that is lost with this process, and its number must not be given to another. So a
    # range is left out, by chance: the next process may have the same to do.
    gap = 10_000 + secrets.randbelow(90_000)
    highest = "SELECT 'transitions', ? + coalesce(max(seq), 0) FROM kept.sqlite_sequence WHERE name = 'transitions'"
    connection.exec_driver_sql("DELETE FROM main.sqlite_sequence WHERE name = 'transitions'")
    connection.exec_driver_sql(f"INSERT INTO main.sqlite_sequence (name, seq) {highest}", (gap,))


def _note_changes(connection: Connection) -> None:
    """From here on, which row of which table was added or changed is known."""
    _changed.create(connection)
    connection.exec_driver_sql("CREATE UNIQUE INDEX temp.changed_rows ON changed (name, row)")
    for table in (table.name for table in _TABLES):
        for verb in ("INSERT", "UPDATE"):
            connection.exec_driver_sql(
                f"CREATE TEMP TRIGGER {table}_{verb} AFTER {verb} ON main.{table} BEGIN"  # noqa: S608  # our names
                f" INSERT INTO changed SELECT '{table}', NEW.rowid WHERE NOT EXISTS"
                f" (SELECT 1 FROM changed WHERE name = '{table}' AND row = NEW.rowid); END"
            )
        connection.exec_driver_sql(
            f"CREATE TEMP TRIGGER {table}_DELETE BEFORE DELETE ON main.{table}"
            " BEGIN SELECT RAISE(ABORT, 'what is held in memory deletes nothing'); END"
        )


def _has_changed(table: Table) -> ColumnElement[bool]:
    rows = select(_changed.c.row).where(_changed.c.name == table.name)
    return literal_column(f"{table.name}.rowid").in_(rows)
