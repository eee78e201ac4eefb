"""Backups of a real record: what is in them, what never becomes one, and what a record is that was one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.errors import StoreError
from mithrild.store import backup, read
from mithrild.store.backup import Backup, Cancelled
from mithrild.store.database import Database
from mithrild.store.identity import LEAP
from tests.integration.store_builders import PREEMPTING, a_bid, a_rule, an_instance, at, keep, opened, poll, sql

NAME = "mithrild-20261123T120000Z.db"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(60, a_bid(status="Preempting"), an_instance(status=PREEMPTING)), [a_rule()])
        yield database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    return folder


def make(database: Database, folder: Path, seconds: float = 0) -> Backup:
    return backup.make(database.path, folder, at(seconds), told=lambda stage, share: None, cancelled=lambda: False)


def rows(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


def one_value(path: Path, query: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchone()[0]


def test_a_backup_holds_every_row_and_says_that_it_is_a_copy(database: Database, folder: Path) -> None:
    made = make(database, folder)
    assert made == Backup(folder / NAME, at(0), (folder / NAME).stat().st_size)
    held, copied = rows(database.path), rows(made.path)
    assert set(copied.pop("meta")) - set(held.pop("meta")) == {("copied_at", "2026-11-23T12:00:00+00:00")}
    assert copied == held
    assert held["events"]
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert os.listdir(folder) == [NAME]


def test_a_backup_is_compact_and_one_file(database: Database, folder: Path) -> None:
    sql(database, "CREATE TABLE ballast (text)")
    sql(database, "INSERT INTO ballast VALUES (zeroblob(3000000))")
    sql(database, "DROP TABLE ballast")
    made = make(database, folder)
    assert made.bytes < 1_000_000 < database.path.stat().st_size + database.wal_bytes()
    assert one_value(made.path, "PRAGMA freelist_count") == 0
    assert one_value(made.path, "PRAGMA journal_mode") == "delete"


def test_commits_go_on_while_it_is_made_and_it_shows_one_moment(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAGES", 2)
    before, stages = rows(database.path)["transitions"], []

    def told(stage: str, share: float | None) -> None:
        stages.append((stage, share))
        assert len(stages) < 500, "each commit makes it begin anew"
        keep(database, poll(100 + len(stages), a_bid(status="Open" if len(stages) % 2 else "Paused")))

    made = backup.make(database.path, folder, at(0), told=told, cancelled=lambda: False)
    assert rows(made.path)["transitions"] == before
    assert len(rows(database.path)["transitions"]) > len(before) + 5
    shares = [share for stage, share in stages if stage == "copying"]
    assert shares == sorted(shares, key=float)  # type: ignore[arg-type]  # a copy tells its share; it never begins anew
    assert shares[-1] == 1.0
    assert [stage for stage, _ in stages[len(shares) :]] == ["compacting", "verifying"]


@pytest.mark.parametrize("stage", ["copying", "compacting", "verifying"])
def test_one_that_is_given_up_leaves_nothing(
    database: Database, folder: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "OPERATIONS", 10)
    reached: list[str] = []
    with pytest.raises(Cancelled):
        backup.make(
            database.path, folder, at(0), told=lambda now, _: reached.append(now), cancelled=lambda: stage in reached
        )
    assert stage in reached
    assert os.listdir(folder) == []
    assert make(database, folder).bytes


def test_what_a_kill_left_behind_is_cleared_away_and_nothing_else(database: Database, folder: Path) -> None:
    ours = [f"{NAME}.copy", f"{NAME}.copy-journal", "mithrild-20200101T000000Z.db.partial"]
    others = ["notes.txt", "mithrild.db.partial", "mithrild-20200101T000000Z.db"]
    for name in (*ours, *others):
        (folder / name).write_text("here before")
    make(database, folder)
    assert sorted(os.listdir(folder)) == sorted([*others, NAME])


def refuse(database: Database, folder: Path, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        make(database, folder)
    assert [name for name in os.listdir(folder) if "mithrild" in name] == []


def test_a_row_that_refers_to_nothing_is_no_backup(database: Database, folder: Path) -> None:
    sql(database, "DELETE FROM transitions WHERE sequence = (SELECT max(sequence) FROM events)")
    refuse(database, folder, "a row of .* refers to one of transitions that is not there")


def test_a_damaged_record_is_no_backup(database: Database, folder: Path) -> None:
    root = sql(database, "SELECT rootpage FROM sqlite_master WHERE name = 'transitions_subject'")[0][0]
    sql(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    with database.path.open("r+b") as file:
        file.seek((root - 1) * 4096 + 2000)
        file.write(b"\xff" * 2000)
    refuse(database, folder, "malformed|damaged")


@pytest.mark.parametrize(
    ("counts", "change", "words"),
    [
        ({"bids": 2}, "SELECT 1", "lacks rows of bids"),
        ({"elsewhere": 1}, "SELECT 1", "lacks rows of elsewhere"),
        ({}, "UPDATE alembic_version SET version_num = '0001'", "has the schema 0001"),
    ],
)
def test_a_copy_that_lacks_something_is_no_backup(
    database: Database, folder: Path, counts: dict[str, int], change: str, words: str
) -> None:
    made = make(database, folder)
    with closing(sqlite3.connect(made.path, isolation_level=None)) as connection:
        connection.execute(change)
    with pytest.raises(StoreError, match=words):
        backup.verify(made.path, counts, told=lambda stage, share: None, cancelled=lambda: False)


def test_a_disk_without_room_is_left_alone(database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "ROOM", 1 << 60)
    refuse(database, folder, "it needs .* MiB, and .* has .* MiB left")


def test_a_folder_that_cannot_be_written_is_told(database: Database, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere: No such file or directory"):
        make(database, tmp_path / "nowhere")
    assert backup.listing(tmp_path / "nowhere") == []


def test_the_oldest_backups_go(database: Database, folder: Path) -> None:
    made = [make(database, folder, seconds) for seconds in (0, 1, 2)]
    (folder / "notes.txt").touch()
    backup.remove_surplus(folder, 2, made[-1])
    assert backup.listing(folder) == made[1:]
    assert (folder / "notes.txt").exists()


@pytest.mark.parametrize("name", ["a?b=c", "a#b", "a%20b", "a b:c@d", "a'b\"c"])
def test_folders_may_have_any_name(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / name / "state") as database:
        (tmp_path / name / "backups").mkdir()
        made = make(database, tmp_path / name / "backups")
        assert backup.listing(tmp_path / name / "backups") == [made]


# A backup that is made the record.


def restore(made: Backup, path: Path) -> Database:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(made.path, path)
    return Database(path)


def test_a_restored_record_has_a_name_of_its_own_and_the_backup_stays_one(
    database: Database, folder: Path, tmp_path: Path
) -> None:
    made = make(database, folder)
    path = tmp_path / "restored" / "mithrild.db"
    with closing(restore(made, path)) as restored:
        assert restored.id != database.id
        assert restored.restored_from == at(0)
        assert "copied_at" not in restored.account()
        name = restored.id
    with closing(Database(path)) as again:
        assert (again.id, again.restored_from) == (name, None)
    with closing(restore(made, tmp_path / "another" / "mithrild.db")) as another:
        assert another.id not in (name, database.id)


def test_no_id_and_no_number_that_was_given_out_after_the_backup_ever_means_something_else(
    database: Database, folder: Path, tmp_path: Path
) -> None:
    made = make(database, folder)
    keep(database, poll(120, a_bid(status="Open")), [a_rule()])
    lost = dict(sql(database, "SELECT sequence, id FROM events"))
    held = {
        sequence: id for sequence, id in lost.items() if sequence <= max(row[0] for row in rows(made.path)["events"])
    }
    with closing(restore(made, tmp_path / "restored" / "mithrild.db")) as restored:
        assert dict(sql(restored, "SELECT sequence, id FROM events")) == held
        keep(restored, poll(180, a_bid(status="Paused")), [a_rule()])
        after = dict(sql(restored, "SELECT sequence, id FROM events WHERE sequence > ?", max(held)))
        ids = [id for (id,) in sql(restored, "SELECT id FROM deliveries")]
        assert after
        assert min(after) == LEAP + 1
        assert not set(after.values()) & set(lost.values())
        assert not set(ids) & {id for (id,) in sql(database, "SELECT id FROM deliveries WHERE sequence > ?", max(held))}
        with restored.read() as connection:
            assert read.sequence_of_event(connection, held[max(held)]) == max(held)
            assert read.sequence_of_event(connection, lost[max(lost)]) is None
        keep(restored, poll(240, a_bid(status="Open")), [a_rule()])
    second = backup.make(tmp_path / "restored" / "mithrild.db", folder, at(500), told=lambda *_: None, cancelled=bool)
    with closing(restore(second, tmp_path / "twice" / "mithrild.db")) as twice, twice.read() as connection:
        assert read.last_sequence(connection) == 2 * LEAP


def test_a_backup_of_an_empty_record_does_not_begin_with_one(folder: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "empty") as empty:
        made = make(empty, folder)
    with opened(tmp_path / "empty") as empty:
        keep(empty, poll(0, a_bid()))
    with closing(restore(made, tmp_path / "restored" / "mithrild.db")) as restored:
        keep(restored, poll(0, a_bid()))
        assert sql(restored, "SELECT min(sequence) FROM transitions") == [(LEAP + 1,)]


def test_the_wal_of_a_killed_daemon_does_not_get_into_what_is_restored_over_it(
    database: Database, folder: Path, tmp_path: Path
) -> None:
    made = make(database, folder)
    state = tmp_path / "killed"
    killed = (
        "import os, sys; from pathlib import Path; from tests.integration.store_builders import *\n"
        f"with opened(Path({str(state)!r})) as database:\n"
        "    keep(database, poll(0, *(a_bid(f'bid_{number}') for number in range(500))))\n"
        "    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    assert (state / "mithrild.db-wal").stat().st_size
    with closing(restore(made, state / "mithrild.db")) as restored:
        assert sql(restored, "SELECT fid FROM bids") == [("bid_1",)]
        assert sql(restored, "PRAGMA integrity_check") == [("ok",)]


def test_a_record_that_was_killed_keeps_its_own_wal(tmp_path: Path) -> None:
    state = tmp_path / "killed"
    killed = (
        "import os; from pathlib import Path; from tests.integration.store_builders import *\n"
        f"with opened(Path({str(state)!r})) as database:\n"
        "    keep(database, poll(0, a_bid())); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    with closing(Database(state / "mithrild.db")) as database:
        assert sql(database, "SELECT fid FROM bids") == [("bid_1",)]


def test_times_of_backups_have_whole_seconds(database: Database, folder: Path) -> None:
    made = make(database, folder, 7)
    (held,) = backup.listing(folder)
    assert held == made
    assert made.taken_at - at(0) == timedelta(seconds=7)
