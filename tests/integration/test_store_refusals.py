"""What is not ours, not whole or not of our time is refused in one line, and left exactly as it was."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mithrild.errors import StoreError
from mithrild.store import engine
from mithrild.store.database import Database
from tests.integration.store_builders import a_bid, an_instance, keep, opened, poll, sql


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def make_newer(path: Path) -> None:
    with opened(path.parent):
        pass
    change(path, "UPDATE alembic_version SET version_num = '9999'")


def make_damaged(path: Path) -> None:
    with opened(path.parent) as database:
        for n in range(20):
            keep(database, poll(n, *(a_bid(f"bid_{i}", limit_price_cents=n) for i in range(50)), an_instance()))
    content = bytearray(path.read_bytes())
    page = 4096
    assert len(content) > 8 * page
    for start in range(3 * page, len(content), 2 * page):
        content[start : start + 200] = b"\xa5" * 200
    path.write_bytes(content)


def make_cut_off(path: Path) -> None:
    make_damaged(path)
    path.write_bytes(path.read_bytes()[:5000])


def make_text(path: Path) -> None:
    path.write_text("# a note to myself, in the wrong place\n" * 200)


def make_foreign(path: Path) -> None:
    change(path, "CREATE TABLE recipes (name TEXT)")


def make_foreign_with_alembic(path: Path) -> None:
    change(path, "CREATE TABLE alembic_version (version_num TEXT)")
    change(path, "INSERT INTO alembic_version VALUES ('0000beef')")


def make_half_migrated(path: Path) -> None:
    """Its tables stand, but nothing says of which schema they are."""
    with opened(path.parent):
        pass
    change(path, "DELETE FROM alembic_version")


@pytest.mark.parametrize(
    ("make", "happened", "advice"),
    [
        (make_newer, "was written by a newer version (schema 9999", "install that version again"),
        (make_damaged, "", "move it away to start a new record: mv "),
        (make_cut_off, "", "move it away to start a new record: mv "),
        (make_text, "cannot be read (file is not a database)", "move it away to start a new record: mv "),
        (make_foreign, "is not a record of mithrild", "move it away to start a new record: mv "),
        (make_foreign_with_alembic, "could not be brought up to date", "it was left as it was"),
        (make_half_migrated, "could not be brought up to date", "it was left as it was"),
    ],
)
def test_file_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], happened: str, advice: str
) -> None:
    path = tmp_path / "mithrild.db"
    make(path)
    path.chmod(0o640)
    before, mode = path.read_bytes(), path.stat().st_mode
    for _ in range(2):  # a refusal changes nothing, so the next start says the same
        with pytest.raises(StoreError) as refused:
            Database(path)
        message = str(refused.value)
        assert str(path) in message
        assert happened in message
        assert advice in message
        assert "\n" not in message
    assert path.read_bytes() == before
    assert path.stat().st_mode == mode


def test_damage_is_told_apart_from_what_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "mithrild.db"
    make_damaged(path)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        Database(path)


@pytest.mark.parametrize(
    ("url", "organization", "named"),
    [
        ("http://127.0.0.1:8000", "org_1", "api_url https://api.example.org, not http://127.0.0.1:8000"),
        ("https://api.example.org", "org_2", "organization org_1, not org_2"),
    ],
)
def test_record_of_another_account_is_refused(tmp_path: Path, url: str, organization: str, named: str) -> None:
    with opened(tmp_path) as database:
        database.claim_for("https://api.example.org", "org_1")
        keep(database, poll(0, a_bid(), an_instance()))
    before = (tmp_path / "mithrild.db").read_bytes()
    with opened(tmp_path) as database:
        with pytest.raises(StoreError, match="state_dir") as refused:
            database.claim_for(url, organization)
        assert database.account() | {"store": ""} == {
            "store": "",
            "api_url": "https://api.example.org",
            "organization": "org_1",
        }
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "mithrild.db").read_bytes() == before


def test_refused_claim_leaves_no_half_of_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        sql(database, "INSERT INTO meta VALUES ('organization', 'org_1')")
        with pytest.raises(StoreError, match="another account"):
            database.claim_for("https://api.example.org", "org_2")
        assert "api_url" not in database.account()


def test_own_account_is_known_again_with_and_without_its_organization(tmp_path: Path) -> None:
    # Until somebody has answered at an address, it may still be a slip of the pen.
    with opened(tmp_path) as database:
        database.claim_for("https://api.example.com", None)
    for url in ("https://api.example.org", "https://api.example.org/v2", "https://api.example.org/"):
        for organization in ("org_1", None):
            with opened(tmp_path) as database:
                database.claim_for(url, organization)
                account = database.account()
                assert (account["api_url"], account["organization"]) == ("https://api.example.org", "org_1")
    with opened(tmp_path) as database, pytest.raises(StoreError, match="another account"):
        database.claim_for("https://api.example.com", None)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*/file/state/mithrild\.db: .*state_dir") as refused:
        Database(tmp_path / "file" / "state" / "mithrild.db")
    assert "\n" not in str(refused.value)


def test_pipe_in_the_place_of_the_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mithrild.db")
    with pytest.raises(StoreError, match=r"mithrild\.db is not a file; move it away"):
        Database(tmp_path / "mithrild.db")


def test_file_that_somebody_else_holds_is_not_called_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path):
        pass
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / "mithrild.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"cannot be opened now \(database is locked\)"):
            Database(tmp_path / "mithrild.db")


def test_file_that_somebody_else_is_writing_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path):
        pass
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / "mithrild.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"cannot write .*database is locked"):
            Database(tmp_path / "mithrild.db")
        other.execute("ROLLBACK")
    with opened(tmp_path) as database:
        assert database.id
