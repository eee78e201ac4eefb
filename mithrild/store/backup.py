"""A backup: copied by SQLite's backup API, made compact, verified, and only then given its name.

    copy      page by page from one snapshot; neither readers nor the writer wait for it
    compact   VACUUM INTO a second file
    verify    integrity, references, schema, and as many rows as there were
    publish   flushed to the disk, then renamed

Until the rename no file bears the name of a backup. What a kill leaves behind is cleared away by the next run.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mithrild.errors import MithrildError, StoreError
from mithrild.fleet import backups
from mithrild.store.engine import SCHEMA
from mithrild.store.identity import COPIED_AT

PAGES = 256  # in one step of the copy; between two the disk is left to others
PAUSE = 0.001  # seconds
ROOM = 64 << 20  # bytes that must stay free beside both files: the record itself has to grow meanwhile
OPERATIONS = 100_000  # of SQLite's machine between two looks at whether to go on: some ten milliseconds

Counts = dict[str, int]
Told = Callable[[str, float | None], None]


class Cancelled(MithrildError):
    """The daemon stops; the backup is made another time."""


@dataclass(frozen=True, slots=True)
class Backup:
    path: Path
    taken_at: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class BackupState:
    """How the backups stand. Runs are counted from the start of the daemon."""

    folder: Path
    every: timedelta | None
    keep: int
    held: tuple[Backup, ...] = ()  # the oldest first, as last looked at
    next_at: datetime | None = None
    run: int = 0  # the one under way, or the last
    stage: str | None = None  # of the one under way
    share: float | None = None  # how much of that stage is done, where it can be told
    made: Backup | None = None  # by the last run; None if it failed
    error: str | None = None  # why the last one failed
    failed_at: datetime | None = None


def make(record: Path, folder: Path, at: datetime, *, told: Told, cancelled: Callable[[], bool]) -> Backup:
    """Makes one backup of the record in a folder that is there. `told` hears the stage, and how much of it is done.

    Raises StoreError if it cannot be made, or is not good; Cancelled if so asked. Then nothing of it is left.
    """
    clear_half_made(folder)
    name = backups.name_of(at)
    copied, compacted = folder / f"{name}.copy", folder / f"{name}.partial"
    try:
        with _explained(folder):
            counts = copy(record, copied, at, told=told, cancelled=cancelled)
            compact(copied, compacted, told=told, cancelled=cancelled)
            copied.unlink()
            verify(compacted, counts, told=told, cancelled=cancelled)
            return publish(compacted, folder / name, at)
    except StoreError:
        if cancelled():  # SQLite has more than one way to say that it was interrupted
            raise Cancelled("the daemon is stopping") from None
        raise
    finally:
        clear_half_made(folder)


def copy(record: Path, target: Path, at: datetime, *, told: Told, cancelled: Callable[[], bool]) -> Counts:
    """Copies one moment of the record, marked as a copy. Returns how many rows each table had at that moment."""
    with closing(_connect(f"{record.as_uri()}?mode=ro", cancelled)) as source:
        # One snapshot for all: without it each commit of a poll would make the copy begin anew.
        source.execute("BEGIN")
        counts = count_rows(source)
        size = source.execute("PRAGMA page_size").fetchone()[0] * source.execute("PRAGMA page_count").fetchone()[0]
        _make_room(target.parent, 2 * size)
        _create(target)

        def step(_status: int, left: int, total: int) -> None:
            if cancelled():
                raise Cancelled("the daemon is stopping")
            told("copying", 1 - left / max(total, 1))
            time.sleep(PAUSE)

        with closing(_connect(target.as_uri(), cancelled)) as made:
            made.execute("PRAGMA synchronous=OFF")  # it is gone again before anybody needs it
            source.backup(made, pages=PAGES, progress=step)
            made.execute("PRAGMA journal_mode=DELETE")
            made.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (COPIED_AT, at.isoformat()))
    return counts


def compact(copied: Path, target: Path, *, told: Told, cancelled: Callable[[], bool]) -> None:
    told("compacting", None)
    _create(target)
    with closing(_connect(copied.as_uri(), cancelled)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))


def verify(made: Path, counts: Counts, *, told: Told, cancelled: Callable[[], bool]) -> None:
    """Raises StoreError unless the file is whole, refers to nothing that is not there, and lacks no row."""
    told("verifying", None)
    with closing(_connect(f"{made.as_uri()}?mode=ro", cancelled)) as connection:
        verdict = " ".join(str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0]).split())
        if verdict != "ok":
            raise StoreError(f"the copy is damaged ({verdict}), and so the record may be")
        if (dangling := connection.execute("PRAGMA foreign_key_check").fetchone()) is not None:
            raise StoreError(f"a row of {dangling[0]} in the copy refers to one of {dangling[2]} that is not there")
        (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if schema != SCHEMA:
            raise StoreError(f"the copy has the schema {schema}, not {SCHEMA}")
        found = count_rows(connection)
    short = [table for table, count in counts.items() if found.get(table, 0) < count]
    if short:
        raise StoreError(f"the copy lacks rows of {', '.join(short)}")


def publish(made: Path, target: Path, at: datetime) -> Backup:
    """From here on it is a backup. Its bytes are on the disk before its name is."""
    size = made.stat().st_size
    _flush(made, os.O_RDONLY)
    made.rename(target)
    _flush(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    return Backup(target, at, size)


def listing(folder: Path) -> list[Backup]:
    """The backups in a folder, the oldest first; none where there is no such folder. Raises StoreError."""
    with _explained(folder):
        if not folder.is_dir():
            return []
        held = backups.taken(os.listdir(folder))
        return [Backup(folder / name, at, (folder / name).stat().st_size) for name, at in held.items()]


def remove_surplus(folder: Path, keep: int, made: Backup) -> None:
    """Removes the oldest backups until `keep` are left. Raises StoreError."""
    with _explained(folder):
        for name in backups.surplus(backups.taken(os.listdir(folder)), keep, made.path.name):
            (folder / name).unlink(missing_ok=True)


def clear_half_made(folder: Path) -> None:
    with _explained(folder):
        for name in backups.half_made(os.listdir(folder)):
            (folder / name).unlink(missing_ok=True)


def count_rows(connection: sqlite3.Connection) -> Counts:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    # The names are of our own tables, and no statement takes a table as a parameter.
    return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in names}  # noqa: S608


def _connect(uri: str, cancelled: Callable[[], bool]) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.set_progress_handler(lambda: int(cancelled()), OPERATIONS)
    return connection


def _create(path: Path) -> None:
    """Nobody else may read it, before SQLite writes a byte."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _make_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted + ROOM:
        raise StoreError(f"it needs {(wanted + ROOM) >> 20} MiB, and {folder} has {free >> 20} MiB left")


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(f"{error} (in {folder})") from None
    except sqlite3.DatabaseError as error:
        raise StoreError(f"the record cannot be copied: {error}") from None
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from None
