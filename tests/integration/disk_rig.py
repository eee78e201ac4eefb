"""Disks that refuse, each in a way of its own, and what a record holds in words that two records can share."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mithrild.store.database import Database
from mithrild.store.engine import impatient
from tests.integration.store_builders import sql


def pragma(database: Database, words: str) -> Any:
    """On the connection that writes, which no other test needs to know."""
    with closing(database._writer.raw_connection()) as pooled:
        return pooled.cursor().execute(f"PRAGMA {words}").fetchone()


def pages(database: Database) -> int:
    return int(pragma(database, "page_count")[0])


@contextmanager
def full(database: Database, *, spare: int = 0) -> Iterator[None]:
    """The file may grow by `spare` pages, and no further."""
    (before,) = pragma(database, "max_page_count")
    pragma(database, f"max_page_count = {pages(database) + spare}")
    try:
        yield
    finally:
        pragma(database, f"max_page_count = {before}")


@contextmanager
def short_files(database: Database, *, spare: int = 0) -> Iterator[None]:
    """No file of this process may be longer than the log is now, and some bytes. Python ignores SIGXFSZ."""
    size = Path(f"{database.path}-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(database: Database) -> Iterator[None]:
    pragma(database, "query_only = ON")
    try:
        yield
    finally:
        pragma(database, "query_only = OFF")


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """By another program, for which nobody waits here."""
    with impatient(database._writer), closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


Way = Callable[[Database], AbstractContextManager[None]]
WAYS: dict[str, Way] = {"full": full, "short files": short_files, "read-only": read_only, "locked": locked}


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, in memory. Skips the test where mounting is not allowed."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    done = subprocess.run(mounting, capture_output=True, text=True)
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"no disk can be mounted: {done.stderr}")
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """To the brim, by one file."""
    path = folder / "filling"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with closing(os.fdopen(descriptor, "wb", buffering=0)) as file:
        for size in (1 << 20, 4096):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return path


def dump(database: Database) -> list[str]:
    """All that is written down."""
    with closing(sqlite3.connect(database.path)) as connection:
        return list(connection.iterdump())


def whole(database: Database) -> bool:
    return sql(database, "PRAGMA integrity_check") == [("ok",)] and not sql(database, "PRAGMA foreign_key_check")


def story(database: Database) -> dict[str, list[Any]]:
    """The record, with the rank of each transition instead of its number, and no word of which record it is."""
    rank = {
        number: place for place, (number,) in enumerate(sql(database, "SELECT sequence FROM transitions ORDER BY 1"))
    }

    def rows(table: str, columns: str, *, of: str = "sequence") -> list[Any]:
        found = sql(database, f"SELECT {of}, {columns} FROM {table}")
        return sorted(((rank.get(key, key), *rest) for key, *rest in found), key=repr)

    def body(text: str) -> dict[str, Any]:
        return {key: value for key, value in json.loads(text).items() if key not in ("id", "sequence")}

    events = sql(database, "SELECT sequence, type, time, body FROM events ORDER BY sequence")
    return {
        "transitions": rows("transitions", "subject, aspect, before, after, type, window_start, observed_at, position"),
        "events": [(rank[number], type, time, body(text)) for number, type, time, text in events],
        "notices": rows("notices", "subject, ordinal, deadline, estimated, ended_at, ended_how"),
        "deliveries": rows("deliveries", "hook, action, subject, state, attempts, next_at, finished_at, lease, reason"),
        "attempts": rows(
            "attempts JOIN deliveries ON id = delivery", "hook, number, started_at, ended_at, outcome, exit_code"
        ),
        "fleet": [sql(database, f"SELECT * FROM {table} ORDER BY fid") for table in ("bids", "instances", "projects")],
    }
