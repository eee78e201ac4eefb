"""The open database: who may read, who may write, and whose record it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DatabaseError

from mithrild.errors import ForeignAccount, StoreError
from mithrild.store.engine import open_database
from mithrild.store.identity import identify
from mithrild.store.tables import Meta, table_of

_meta = table_of(Meta)


class Database:
    """One writer at a time (a lock here, `BEGIN IMMEDIATE` there); any number of readers beside it.

    `id` is the name of the record, which stands in every event id, so that a cursor of another record is recognised;
    `restored_from` is when the backup was made that this opening has turned into the record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer, self._reader = open_database(path)
        self._lock = threading.Lock()
        self.writing_since: float | None = None  # monotonic, while a write is under way: for the watchdog
        try:
            with self.write() as connection:
                self.id, self.restored_from = identify(connection)
        except StoreError:
            self.close()
            raise

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or not at all. Raises StoreError if the disk refuses."""
        with self._lock:
            self.writing_since = time.monotonic()
            try:
                with self._writer.begin() as connection:
                    yield connection
            except DatabaseError as error:
                raise StoreError(f"cannot write {self.path}: {error.orig}; nothing of it was kept") from error
            finally:
                self.writing_since = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view: all statements inside see the same moment. Raises StoreError if the disk refuses."""
        try:
            with self._reader.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise StoreError(f"cannot read {self.path}: {error.orig}") from error

    def claim_for(self, api_url: str, organization: str | None) -> None:
        """Ties the record to one account, or raises ForeignAccount if it is another's.

        Without an organization nobody has answered at that address yet: it is compared, and not written down.
        """
        mine = {"api_url": api_url.rstrip("/").removesuffix("/v2"), "organization": organization}
        with self.write() as connection:
            held = dict(connection.execute(select(_meta.c.key, _meta.c.value)).all())
            for key, value in mine.items():
                if value is None:
                    continue
                if key in held and held[key] != value:
                    raise ForeignAccount(
                        f"{self.path} is the record of another account ({key} {held[key]}, not {value}): "
                        "use its key again, or point state_dir at another folder"
                    )
                if key not in held and organization is not None:
                    connection.execute(insert(_meta).values(key=key, value=value))

    def account(self) -> dict[str, str]:
        with self.read() as connection:
            return dict(connection.execute(select(_meta.c.key, _meta.c.value)).all())

    def wal_bytes(self) -> int:
        """How long the file is that commits are written to first."""
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()
