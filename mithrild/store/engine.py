"""Opening the database: its checks, its settings, its two engines.

One writer with `BEGIN IMMEDIATE`, readers beside it (WAL). `synchronous=FULL`: what was committed before
the plug was pulled is there afterwards. A database that is broken, newer than this program, or another
account's is left as it was found, and explained.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from mithrild.errors import StoreError
from mithrild.store.disk import KINDS, diagnose

SCHEMA = "0002"  # the newest migration; alembic is imported only when a database is behind it
BUSY_SECONDS = 10


def open_database(path: Path) -> tuple[Engine, Engine]:
    """(writer, reader) of the database at `path`, which is made or brought up to date first.

    Raises StoreError, and then the file is as it was.
    """
    _make_file(path)
    _remove_foreign_wal(path)
    revision = _inspect(path)
    if revision is not None and revision > SCHEMA:
        raise StoreError(
            f"{path} was written by a newer version (schema {revision}, this one knows {SCHEMA}): "
            "install that version again, or point state_dir at another folder"
        )
    if revision != SCHEMA:
        from mithrild.store.migrations.run import upgrade

        upgrade(path)
    path.chmod(0o600)
    writer = _engine(path, "BEGIN IMMEDIATE", read_only=False)
    return writer, _engine(path, "BEGIN", read_only=True)


def _make_file(path: Path) -> None:
    """The file exists, and only its owner reads it, before SQLite writes a byte (its WAL copies the mode)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and not path.is_file():  # to open a pipe would wait for ever
            raise StoreError(f"{path} is not a file; move it away, or point state_dir at another folder")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        kind = KINDS.get(error.errno or 0)
        raise StoreError(f"cannot write {path}: {error.strerror}; state_dir names the folder", kind) from None


def _remove_foreign_wal(path: Path) -> None:
    """A backup that was copied here may find the WAL of the record that stood here before, if that one was killed:
    SQLite would mix the two. A record of ours is in WAL mode from its first opening on, a backup is not."""
    try:
        with path.open("rb") as file:
            in_rollback_mode = file.read(20)[18:] == b"\x01\x01"  # of the header: who may write, who may read
        if in_rollback_mode:
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from None


def _inspect(path: Path) -> str | None:
    """The schema of the file, None when it is empty. Raises StoreError for a file that is broken or not ours."""
    advice = f"it was left as it is; move it away to start a new record: mv {path} {path}.broken"
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise StoreError(f"{path} is damaged ({' '.join(verdict.split())}); {advice}")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return None
            if "alembic_version" not in tables:
                raise StoreError(f"{path} is not a record of mithrild; {advice}")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if row is None else str(row[0])
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        # In use by somebody, or in the way of something: no sign that the record itself is bad.
        kind, words = diagnose(error, path)
        if kind is None or kind == "locked":
            said = f"cannot be opened now ({error}): is another program at work on it?"
        else:
            said = f"cannot be opened: {words}"
        raise StoreError(f"{path} {said}", kind) from None
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be read ({error}); {advice}") from None


def _engine(path: Path, begin: str, *, read_only: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # a folder may have a `?` in its name
        poolclass=QueuePool,
        pool_size=4 if read_only else 1,
        max_overflow=8 if read_only else 0,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late, and be deferred
        # To sort a long answer must not take room on a disk that is full.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def impatient(writer: Engine) -> Iterator[None]:
    """Meanwhile a lock of another program's is not waited for."""
    before = _run(writer, "PRAGMA busy_timeout")
    _run(writer, "PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        _run(writer, f"PRAGMA busy_timeout = {before}")


def _run(engine: Engine, pragma: str) -> Any:
    with closing(engine.raw_connection()) as pooled:
        return pooled.cursor().execute(pragma).fetchone()[0]
