"""What a refusal means, the reserve, and starts on disks with little room: on file systems of their own."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from mithrild.errors import StoreError
from mithrild.store import database as module
from mithrild.store.database import Database
from mithrild.store.disk import diagnose
from mithrild.store.reserve import SIZE, Reserve
from tests.integration.disk_rig import fill, small_disk, whole
from tests.integration.store_builders import (
    PREEMPTING,
    STARTING,
    HandClock,
    a_bid,
    a_rule,
    an_instance,
    keep,
    opened,
    poll,
    sql,
)

MACHINES = tuple(f"inst_{number}" for number in range(1, 30))


def error(name: str) -> sqlite3.OperationalError:
    made = sqlite3.OperationalError("words of SQLite")
    made.sqlite_errorname = name
    return made


def see(database: Database, seconds: float = 0, status: str = STARTING) -> None:
    machines = [an_instance(fid, status) for fid in MACHINES]
    keep(database, poll(seconds, a_bid(), *machines), [a_rule()])


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("SQLITE_FULL", "full", "the disk is full: free some space on /"),
        ("SQLITE_READONLY", "read-only", "words of SQLite: is / mounted for reading alone?"),
        ("SQLITE_READONLY_DIRECTORY", "read-only", "words of SQLite: is / mounted for reading alone?"),
        ("SQLITE_READONLY_DBMOVED", "broken", "words of SQLite: was the file moved away? start the daemon again"),
        (
            "SQLITE_BUSY",
            "locked",
            "words of SQLite by another program: end it, or have it commit (fuser -v FILE names it)",
        ),
        (
            "SQLITE_BUSY_SNAPSHOT",
            "locked",
            "words of SQLite by another program: end it, or have it commit (fuser -v FILE names it)",
        ),
        ("SQLITE_IOERR_WRITE", "broken", "words of SQLite: dmesg may say more"),
        ("SQLITE_CORRUPT", "broken", "words of SQLite: stop the daemon, and move the file away to start a new record"),
        ("SQLITE_CONSTRAINT_UNIQUE", None, "words of SQLite"),
        ("SQLITE_ERROR", None, "words of SQLite"),
        (None, None, "words of SQLite"),
    ],
)
def test_what_sqlite_says_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, kind: str | None, words: str
) -> None:
    monkeypatch.setattr("mithrild.store.disk._mount", lambda path: "/")
    file = tmp_path / "mithrild.db"
    file.touch()
    assert diagnose(error(name or ""), file) == (kind, words.replace("FILE", str(file)))
    assert os.listdir(tmp_path) == ["mithrild.db"]


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, "full", "the disk is full: free some space on "),
        (errno.EDQUOT, "full", "the disk quota is used up: free some space on "),
        (errno.EFBIG, "full", "a file may grow no further: raise the limit (ulimit -f, "),
        (errno.EROFS, "read-only", "Read-only file system: is / mounted"),
        (errno.EACCES, "read-only", "Permission denied: may "),
        (errno.EIO, "broken", "Input/output error: may "),
    ],
)
@pytest.mark.parametrize("name", ["SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_CANTOPEN"])
def test_what_sqlite_does_not_say_is_found_by_trying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, kind: str, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    file = tmp_path / "mithrild.db"
    file.touch()
    monkeypatch.setattr(os, "pwrite", refuse)
    monkeypatch.setattr("mithrild.store.disk._mount", lambda path: "/")
    found, said = diagnose(error(name), file)
    assert found == kind
    assert said.startswith(words)
    assert os.listdir(tmp_path) == ["mithrild.db"]


def test_the_reserve_is_really_there_and_nobody_elses(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    assert reserve.make()
    assert reserve.allocated == SIZE
    found = (tmp_path / "reserve").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_size) == (0o600, SIZE)
    assert not reserve.make()
    assert reserve.give_up()
    assert not reserve.give_up()
    assert os.listdir(tmp_path) == []


def test_a_sparse_file_is_no_reserve(tmp_path: Path) -> None:
    with (tmp_path / "reserve").open("wb") as file:
        file.truncate(SIZE)
    reserve = Reserve(tmp_path / "reserve")
    assert reserve.make()
    assert reserve.allocated == SIZE


def test_a_limit_or_a_link_in_the_way_leaves_no_reserve_and_no_trace(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, hard))
    try:
        assert not Reserve(tmp_path / "reserve").make()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []
    (tmp_path / "target").touch()
    (tmp_path / "reserve").symlink_to(tmp_path / "target")
    assert not Reserve(tmp_path / "reserve").make()
    assert (tmp_path / "target").stat().st_size == 0


def test_a_reserve_is_made_only_where_it_leaves_room_for_another(tmp_path: Path) -> None:
    size = 1024 * 1024
    with small_disk(tmp_path / "disk", 3) as disk:
        reserve = Reserve(disk / "reserve", size)
        filling = fill(disk)
        assert not reserve.make()
        os.truncate(filling, size + size // 2)  # as much is free as it would take, and half again
        assert not reserve.make()
        os.truncate(filling, size // 2)
        assert reserve.make()


def test_a_disk_filled_to_the_brim_gets_the_reserve_for_news_and_makes_it_anew_later(tmp_path: Path) -> None:
    clock = HandClock()
    with small_disk(tmp_path / "disk", 48) as disk, opened(disk, clock) as database:
        database.mend()
        assert database.disk.reserve == SIZE
        see(database)
        filling = fill(disk)
        see(database, 10)
        assert os.statvfs(disk).f_bavail == 0
        see(database, 20, PREEMPTING)
        assert database.disk.trouble is None
        assert database.disk.reserve == 0
        assert whole(database)
        assert sql(database, "SELECT count(*) FROM notices") == [(len(MACHINES),)]
        clock.turn_to(module.RESERVE_EVERY)
        database.mend()
        assert database.disk.reserve == 0
        filling.unlink()
        database.mend()  # not at each look
        assert database.disk.reserve == 0
        clock.turn_to(2 * module.RESERVE_EVERY)
        database.mend()
        assert database.disk.reserve == SIZE


def test_a_start_on_a_full_disk_takes_the_reserve(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 48) as disk:
        with opened(disk) as database:
            database.mend()
            see(database)
        filling = fill(disk)
        with opened(disk) as database:
            assert database.disk.reserve == 0
            see(database, 10, PREEMPTING)
            assert database.disk.trouble is None
        # And without one it says so, and leaves all as it is.
        filling.unlink()
        fill(disk)
        with pytest.raises(StoreError, match=r"the disk is full: free some space on ") as refused:
            Database(disk / "mithrild.db")
        assert refused.value.kind == "full"
        assert "\n" not in str(refused.value)


def test_a_disk_that_is_mounted_for_reading_alone_is_refused_in_one_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        with opened(disk) as database:
            see(database)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(
            StoreError, match=r"cannot write .*: Read-only file system; state_dir names the folder"
        ) as refused:
            Database(disk / "mithrild.db")
        assert refused.value.kind == "read-only"


def test_there_is_no_reserve_of_a_disk_too_small_and_that_is_said(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk, opened(disk) as database:
        database.mend()
        assert database.disk.reserve == 0
