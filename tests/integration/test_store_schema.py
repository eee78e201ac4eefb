"""The database file itself: its layout, its settings, who may read it, and what opening it costs."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlmodel import SQLModel

from mithrild.errors import StoreError
from mithrild.store import outbox
from mithrild.store.database import Database
from mithrild.store.inventory import keep_projects
from mithrild.store.outbox import Outcome
from mithrild.store.tables import DisabledActionRow, Meta, SilenceRow
from tests.integration.store_builders import (
    PROJECT,
    a_bid,
    a_rule,
    an_instance,
    at,
    keep,
    opened,
    poll,
    settle_one,
    sql,
)


def layout(path: Path) -> dict[str, Any]:
    """Columns, indexes and foreign keys of every table, as SQLite understands them."""
    with closing(sqlite3.connect(path)) as connection:

        def pragma(name: str, of: str) -> list[tuple[Any, ...]]:
            return connection.execute(f"SELECT * FROM pragma_{name}(?)", (of,)).fetchall()

        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: {
                "columns": {column[1]: column[2:] for column in pragma("table_xinfo", table)},
                "indexes": {
                    name if origin == "c" else columns: (unique, columns)
                    for _, name, unique, origin, _ in pragma("index_list", table)
                    for columns in [tuple(column[2] for column in pragma("index_info", name))]
                },
                "foreign keys": sorted(key[2:] for key in pragma("foreign_key_list", table)),
            }
            for table in tables
            if table not in ("alembic_version", "sqlite_sequence")
        }


def test_migrations_lead_to_the_layout_that_the_tables_declare(tmp_path: Path) -> None:
    Database(tmp_path / "migrated.db").close()
    engine = create_engine(f"sqlite:///{tmp_path}/declared.db")
    SQLModel.metadata.create_all(engine)
    engine.dispose()
    migrated, declared = layout(tmp_path / "migrated.db"), layout(tmp_path / "declared.db")
    assert str(Meta.__tablename__) in declared
    assert migrated.keys() == declared.keys()
    for table, parts in declared.items():
        assert migrated[table] == parts, table


def test_sequence_is_the_only_number_that_is_never_used_again(tmp_path: Path) -> None:
    Database(tmp_path / "record.db").close()
    with closing(sqlite3.connect(tmp_path / "record.db")) as connection:
        made = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    assert [name for name, statement in made.items() if "AUTOINCREMENT" in statement] == ["transitions"]


@pytest.mark.parametrize("which", ["write", "read"])
def test_settings_are_in_force_on_every_connection(tmp_path: Path, which: str) -> None:
    with opened(tmp_path) as database, getattr(database, which)() as connection:
        in_force = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "query_only")
        }
    full = 2
    assert in_force == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "query_only": int(which == "read"),
    }


def test_reader_cannot_write(tmp_path: Path) -> None:
    with (
        opened(tmp_path) as database,
        pytest.raises(StoreError, match="readonly"),
        database.read() as connection,
    ):
        connection.execute(text("DELETE FROM meta"))


def test_read_that_fails_says_so_in_one_line(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        sql(database, "DROP TABLE meta")
        with pytest.raises(StoreError, match=r"^cannot read .*mithrild\.db: no such table: meta$"):
            database.account()


def test_reader_sees_one_moment_while_a_writer_goes_on(tmp_path: Path) -> None:
    count = text("SELECT count(*) FROM bids")
    with opened(tmp_path) as database:
        with database.read() as connection:
            before = connection.execute(count).scalar()
            keep(database, poll(0, a_bid(), an_instance()))
            assert connection.execute(count).scalar() == before == 0
        with database.read() as connection:
            assert connection.execute(count).scalar() == 1


def test_dangling_reference_is_refused(tmp_path: Path) -> None:
    with (
        opened(tmp_path) as database,
        pytest.raises(StoreError, match="FOREIGN KEY"),
        database.write() as connection,
    ):
        connection.execute(text("INSERT INTO events VALUES (99, 'evt_x_99', 'bid.placed', '2026', '{}')"))


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_only_the_owner_can_read_the_files(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with closing(Database(tmp_path / "state" / "mithrild.db")) as database:
            keep_projects(database, [PROJECT])
            keep(database, poll(0, a_bid(), an_instance()))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()}
    finally:
        os.umask(before)
    assert modes == {"mithrild.db": 0o600, "mithrild.db-wal": 0o600, "mithrild.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / "mithrild.db").chmod(0o644)
    with opened(tmp_path):
        assert stat.S_IMODE((tmp_path / "mithrild.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["a?b=c", "a#b", "a%20b", "a b:c@d"])
def test_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "mithrild.db"
    with closing(Database(path)) as database:
        first = database.id
    with closing(Database(path)) as database:
        assert database.id == first
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_id_is_made_with_the_file_and_stays(tmp_path: Path) -> None:
    with opened(tmp_path / "one") as one, opened(tmp_path / "two") as two:
        assert one.id != two.id
        assert len(bytes.fromhex(one.id)) == 4
    with opened(tmp_path / "one") as again:
        assert again.id == one.id


def test_alembic_is_loaded_only_when_the_layout_is_behind(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from mithrild.store.database import Database;"
        f"Database(pathlib.Path({str(tmp_path / 'record.db')!r})).close(); print('alembic' in sys.modules)"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert outputs == ["True", "False"]


def test_record_of_the_first_layout_is_brought_up_to_date_and_loses_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(1, a_bid(status="Preempting"), an_instance(status="STATUS_PREEMPTING")), [a_rule()])
        (one, *_) = outbox.claim(database, ("all", "run"), free=1, max_age=None, run="run_1", now=at(2))
        settle_one(database, one, Outcome("done", "done", output="é"), run="run_1", now=at(3))
    go_back_to_the_first_layout(tmp_path / "mithrild.db")
    before = _all_rows(tmp_path / "mithrild.db")
    with closing(Database(tmp_path / "mithrild.db")):
        pass
    after = _all_rows(tmp_path / "mithrild.db")
    assert before["transitions"]
    assert before["events"]
    for table, rows in before.items():
        kept = [{name: row[name] for name in was} for row, was in zip(after[table], rows, strict=True)]
        assert table == "alembic_version" or kept == rows, table
    assert [attempt["output_bytes"] for attempt in after["attempts"]] == [2]


def go_back_to_the_first_layout(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for index in (
            "deliveries_ended",
            "deliveries_rehearsal",
            "bids_due",
            "attempts_output",
            "deliveries_hook",
            "transitions_observed",
        ):
            connection.execute(f"DROP INDEX {index}")
        for column in (
            "projects.ahead_seconds",
            "projects.gap_since",
            "projects.gap_until",
            "projects.looked_back_at",
            "bids.history_due",
            "transitions.ahead_seconds",
            "transitions.inferred",
            "deliveries.by_hand",
            "deliveries.progress",
            "deliveries.rehearsal",
            "attempts.output_bytes",
        ):
            table, _, name = column.partition(".")
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        for later in (SilenceRow, DisabledActionRow):
            connection.execute(f"DROP TABLE {later.__tablename__}")
        connection.execute("DROP INDEX deliveries_due")
        connection.execute("CREATE INDEX deliveries_due ON deliveries (hook, state, next_at)")
        connection.execute("DROP INDEX notices_open")
        connection.execute("CREATE INDEX notices_open ON notices (project, ended_at)")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")


def _all_rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables}
