"""While the disk refuses: nothing half written, nothing lost, nothing told twice; and it goes on by itself."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from loguru import logger
from sqlalchemy import text

from mithrild.errors import ForeignAccount, StoreError
from mithrild.fleet.model import BidEvent, Project, Transition
from mithrild.fleet.timeline import Told
from mithrild.store import engine, lanes, outbox, read
from mithrild.store.database import Database
from mithrild.store.disk import Disk
from mithrild.store.held import Held
from mithrild.store.history import Remembered, write_history
from mithrild.store.inventory import keep_prices, keep_projects
from mithrild.store.outbox import Claim, Outcome
from mithrild.store.record import record_condition
from tests.integration.disk_rig import WAYS, dump, full, locked, pages, read_only, short_files, story, whole
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    PROJECT,
    RUNNING,
    STARTING,
    a_bid,
    a_rule,
    an_auction,
    an_instance,
    at,
    deliveries,
    keep,
    opened,
    poll,
    settle_one,
    sql,
    until,
)

MACHINES = tuple(f"inst_{number}" for number in range(1, 9))
RULES = [a_rule("save"), a_rule("log")]
Work = Callable[[Database], object]


@contextmanager
def fresh(folder: Path) -> Iterator[Database]:
    """Eight machines run, two of which have just started: their deliveries wait."""
    with opened(folder) as database:
        keep(database, poll(0, a_bid(), *map(an_instance, MACHINES)))
        keep(database, poll(5, *(an_instance(fid, STARTING) for fid in MACHINES[:2]), whole=frozenset()), RULES)
        yield database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with fresh(tmp_path / "one") as database:
        yield database


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Database]:
    """The same, on a disk that is well."""
    with fresh(tmp_path / "two") as database:
        yield database


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    number = logger.add(lambda message: lines.append(message.record["message"]))
    yield lines
    logger.remove(number)


def notice(database: Database) -> None:
    keep(database, poll(10, a_bid(status="Preempting"), *(an_instance(fid, PREEMPTING) for fid in MACHINES)), RULES)


def calm(database: Database) -> None:
    """Nothing new: only the cursor moves."""
    keep(database, poll(10, a_bid(), *(an_instance(fid, STARTING) for fid in MACHINES[:2]), whole=frozenset()))


def condition(database: Database) -> None:
    away = Transition("marketplace", "here", "", None, "status", None, "away", "marketplace.unreachable", at(9), None)
    record_condition(database, away, RULES, host=HOST)


def claim(database: Database, hook: str = "save") -> list[Claim]:
    return outbox.claim(database, (hook, "run"), free=20, max_age=None, run="run", now=at(20))


def settle(database: Database, claims: list[Claim]) -> None:
    for one in claims:
        settle_one(database, one, Outcome("done", "done", output="x" * 9000), run="run", now=at(30))


def history(database: Database) -> None:
    placed = [BidEvent("Placed", at(1)), BidEvent("Allocated", at(3))]
    told = Remembered("bid_1", PROJECT.fid, placed, {"inst_1": [Told(STARTING, at(4))]})
    write_history(database, told, RULES, host=HOST, now=at(40))


HELD: dict[str, Work] = {
    "notice": notice,
    "calm": calm,
    "condition": condition,
    "claim": claim,
    "cancel": lambda database: lanes.cancel(database, ("save", "run"), "gone", at(20)),
    "projects": lambda database: keep_projects(database, [PROJECT, Project("proj_2", "second")]),
    "account": lambda database: database.claim_for("https://api.example.org", "org_1"),
}
REFUSED: dict[str, Work] = {
    "history": history,
    "prices": lambda database: keep_prices(database, [an_auction()], at(10)),
}


# A file of so many pages takes what fits into them: only a notice needs more.
CASES = [(way, work) for way in WAYS for work in (*HELD, *REFUSED) if way != "full" or work == "notice"]


@pytest.mark.parametrize(("way", "work"), [case for case in CASES if case[1] in HELD])
def test_what_cannot_wait_is_held_and_written_when_the_disk_takes_it(
    database: Database, twin: Database, way: str, work: str
) -> None:
    HELD[work](twin)
    before = dump(database)
    with WAYS[way](database):
        HELD[work](database)
        assert dump(database) == before
        assert database.disk.trouble == ("full" if way == "short files" else way)
        database.mend()
        assert dump(database) == before
    database.mend()
    assert database.disk.trouble is None
    assert whole(database)
    assert story(database) == story(twin)


@pytest.mark.parametrize(("way", "work"), [case for case in CASES if case[1] in REFUSED])
def test_what_can_wait_is_refused_whole(database: Database, twin: Database, way: str, work: str) -> None:
    before = dump(database)
    with WAYS[way](database):
        for _ in range(2):  # at once, and while something else is held
            with pytest.raises(StoreError, match="cannot write") as refused:
                REFUSED[work](database)
            assert refused.value.kind == ("full" if way == "short files" else way)
            assert "\n" not in str(refused.value)
            assert dump(database) == before
            calm(database)
    database.mend()
    for each in (database, twin):
        REFUSED[work](each)
    calm(twin)
    assert story(database) == story(twin)


@pytest.mark.parametrize("way", [full, short_files])
def test_a_disk_that_is_full_within_a_commit_keeps_all_of_it_or_nothing(
    database: Database, twin: Database, way: Callable[..., object]
) -> None:
    notice(twin)
    settle(twin, claim(twin))
    spare = 0
    while True:
        before = dump(database)
        with way(database, spare=spare):  # type: ignore[attr-defined]  # both are ways that take it
            held = database.disk.trouble is not None
            notice(database)
            if database.disk.trouble is None:
                break
            assert not held
            assert dump(database) == before
        # As if the process had ended here, and the next began.
        database._held = None
        assert dump(database) == before
        spare += 1 if way is full else 5000
    settle(database, claim(database))
    assert spare > 0
    assert whole(database)
    assert story(database) == story(twin)


def test_each_try_runs_once_and_its_end_is_held(database: Database) -> None:
    with short_files(database):
        claims = claim(database)
        assert len(claims) == 2
        assert claim(database) == []
        settle(database, claims[:1])
        assert {state for (state,) in deliveries(database, "state")} == {"pending"}
        disk = database.disk
        assert (disk.transitions, disk.deliveries, disk.results) == (0, 2, 1)
    database.mend()
    assert sorted(deliveries(database, "hook, state, lease")) == [
        ("log", "pending", None),
        ("log", "pending", None),
        ("save", "done", None),
        ("save", "running", "run"),
    ]


def test_a_notice_that_nobody_can_write_down_is_delivered_and_told_once(database: Database) -> None:
    with read_only(database):
        notice(database)
        told: list[Claim] = []
        while claims := claim(database):
            settle(database, claims)
            told += claims
            notice(database)  # the same again, as the next poll sees it
        assert [one.deadline is not None for one in told].count(True) == 9
    database.mend()
    kept = {body for (body,) in sql(database, "SELECT body FROM events")}
    assert {one.body for one in told} <= kept
    assert sql(database, "SELECT count(*) FROM events WHERE type = 'instance.preempting'") == [(8,)]


def test_a_notice_that_ends_meanwhile_takes_back_what_waits_for_it(database: Database) -> None:
    with full(database):
        notice(database)
        keep(database, poll(15, a_bid(), *(an_instance(fid, RUNNING) for fid in MACHINES)), RULES)
        assert all('"type":"instance.preempting"' not in one.body for one in claim(database, "log"))
    database.mend()
    assert ("superseded", "the notice is over: reprieved") in deliveries(database, "state, reason")


def test_a_number_that_a_hook_was_told_is_not_given_to_another_event(database: Database) -> None:
    (highest,) = sql(database, "SELECT max(sequence) FROM transitions")[0]
    with full(database):
        notice(database)
        told = [one.sequence for one in claim(database) if one.sequence > highest]
        assert told
    database._held = None  # as after a crash
    notice(database)
    (now,) = sql(database, "SELECT max(sequence) FROM transitions")[0]
    assert highest < now < min(told)


def test_readers_see_what_is_known_or_only_what_is_written(database: Database) -> None:
    with full(database):
        notice(database)
        with database.read() as connection:
            assert len(read.open_notices(connection)) == 9
            with database.read() as inner:  # as a helper of the caller's may
                assert inner is connection
            assert database.disk.transitions == 9
        with database.read_kept() as connection:
            assert read.open_notices(connection) == {}
    database.mend()
    with database.read_kept() as connection:
        assert len(read.open_notices(connection)) == 9


def test_a_cursor_alone_does_not_spend_the_reserve(database: Database) -> None:
    database.mend()
    with short_files(database):
        calm(database)
        assert database.disk.trouble == "full"
        assert database.disk.reserve > 0
        notice(database)
        assert database.disk.reserve == 0


def test_no_other_trouble_spends_the_reserve(database: Database) -> None:
    database.mend()
    for way in (read_only, locked):
        with way(database):
            notice(database)
            assert database.disk.reserve > 0


def test_it_is_said_once_when_it_begins_and_once_when_it_is_over(database: Database, said: list[str]) -> None:
    with read_only(database):
        for _ in range(3):
            calm(database)
            database.mend()
        notice(database)
    database.mend()
    database.mend()
    trouble = [line for line in said if line.startswith("record: ")]
    assert len(trouble) == 2
    assert trouble[0].endswith("; until then what happens is held in memory")
    assert re.fullmatch(
        r"record: recovered after \d+ s: 9 transitions and 0 ends of hooks that were held are written", trouble[1]
    )


def test_trouble_tells_since_when_and_how_much_is_held(database: Database) -> None:
    assert database.disk == Disk(reserve=database.disk.reserve)
    with full(database):
        notice(database)
        disk = database.disk
        since = disk.since
        assert (disk.trouble, disk.transitions, disk.deliveries, disk.results) == ("full", 9, 18, 0)
        assert "the disk is full: free some space on " in str(disk.message)
        database.mend()
        assert database.disk.since == since
    assert since is not None


def test_a_lock_that_is_not_waited_for_is_waited_for_again_later(database: Database) -> None:
    patience = "PRAGMA busy_timeout"
    before = engine._run(database._writer, patience)
    with locked(database):
        notice(database)
        database.mend()
    database.mend()
    assert engine._run(database._writer, patience) == before == engine.BUSY_SECONDS * 1000


def test_readers_are_not_held_up_while_another_program_has_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 600)
    with fresh(tmp_path) as database:
        with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = threading.Thread(target=notice, args=(database,))
            waiting.start()
            asyncio.run(until(lambda: database.writing_since is not None))
            with database.read() as connection:
                assert len(read.fleet(connection, PROJECT.fid).instances) == 8
            assert database.disk.trouble is None
            other.execute("ROLLBACK")
            waiting.join()
        assert sql(database, "SELECT count(*) FROM notices") == [(9,)]


def test_a_defect_is_not_held(database: Database) -> None:
    def work(connection: object) -> None:
        connection.execute(text("INSERT INTO events VALUES (99, 'evt', 'x', '2026', '{}')"))  # type: ignore[attr-defined]

    with pytest.raises(StoreError, match=r"FOREIGN KEY.*; nothing of it was kept"):
        database.keep(work)
    assert database.disk.trouble is None


def test_another_account_is_refused_also_while_the_disk_refuses(database: Database) -> None:
    database.claim_for("https://api.example.org", "org_1")
    with full(database):
        notice(database)
        with pytest.raises(ForeignAccount):
            database.claim_for("https://api.example.org", "org_2")


def test_what_is_held_deletes_nothing(database: Database) -> None:
    with full(database):
        notice(database)
        with pytest.raises(StoreError, match="what is held in memory deletes nothing"):
            database.keep(lambda connection: connection.execute(text("DELETE FROM bids")))
    database.mend()
    assert whole(database)


def test_a_file_that_another_program_has_changed_meanwhile_wins(database: Database, said: list[str]) -> None:
    with read_only(database):
        condition(database)
        sql(database, "DELETE FROM transitions WHERE sequence IN (SELECT max(sequence) FROM transitions)")
        sql(database, "INSERT INTO events SELECT sequence, 'evt_x', type, position, '{}' FROM transitions LIMIT 1")
        # Its own row of the same id makes that what is held does not fit.
        assert database._held is not None
        with database._held.transaction() as connection:
            connection.execute(text("UPDATE events SET id = 'evt_x' WHERE type = 'marketplace.unreachable'"))
    database.mend()
    assert database.disk.trouble is None
    assert any("UNIQUE" in line for line in said)
    assert "that were held do not fit it and are lost" in said[-1]
    condition(database)
    assert sql(database, "SELECT count(*) FROM events WHERE type = 'marketplace.unreachable'") == [(1,)]


def test_a_stop_tries_once_more_and_says_what_is_lost(tmp_path: Path, said: list[str]) -> None:
    with fresh(tmp_path / "one") as database:
        with full(database):
            notice(database)
        database.close()  # by then there is room
        assert not [line for line in said if "lost" in line]
    with fresh(tmp_path / "two") as database:
        with full(database):
            notice(database)
            settle(database, claim(database)[:1])
            database.close()
        assert "9 transitions and 1 ends of hooks are lost with this process: the next start looks again" in said[-1]


def test_a_file_that_cannot_even_be_read_leaves_nothing_to_go_on_from(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> Held:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("mithrild.store.database.Held", unreadable)
    with full(database), pytest.raises(StoreError, match="the disk is full") as refused:
        notice(database)
    assert refused.value.kind == "full"
    assert pages(database)
