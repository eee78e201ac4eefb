"""The upkeep of a real record by a clock that is turned by hand: what is due when, and what happens if it fails."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from loguru import logger

from mithrild.config import Backup, Config, Keep, load
from mithrild.store import backup, growth
from mithrild.store.database import Database
from mithrild.store.inventory import keep_prices
from mithrild.watcher import upkeep as module
from mithrild.watcher.cadence import Cadence
from mithrild.watcher.upkeep import Upkeep
from tests.integration.store_builders import (
    STARTING,
    HandClock,
    a_bid,
    an_auction,
    an_instance,
    at,
    keep,
    opened,
    poll,
    sql,
    until,
)

DAY = 86400


class Rig:
    def __init__(self, folder: Path, database: Database) -> None:
        self.database, self.clock = database, HandClock()
        self.config: Config = replace(load(None, {"HOME": str(folder)}), state_dir=folder / "state")
        self.skew: timedelta | None = timedelta(0)
        self.upkeep = Upkeep(lambda: self.config, database, self.clock, lambda: self.skew)

    @property
    def folder(self) -> Path:
        return self.config.backup_folder

    async def look(self) -> float:
        """One beat, and the end of the backup that it may have begun."""
        wait = await self.upkeep.run()
        await until(lambda: self.upkeep.backups.stage is None)
        return wait

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]))
    yield lines
    logger.remove(sink)


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    with opened(folder / "state") as database:
        keep(database, poll(-60 * DAY, a_bid(), an_instance()))
        made = Rig(folder, database)
        try:
            yield made
        finally:
            await made.upkeep.stop()


def run(folder: Path, test: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        async with rig(folder) as one:
            await test(one)

    asyncio.run(main())


def test_a_backup_is_made_each_day_and_seven_are_kept(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        assert await rig.look() == 1.0
        assert rig.names() == ["mithrild-20261123T120000Z.db"]
        assert rig.upkeep.backups.next_at == at(DAY)
        assert await rig.look() == module.REST
        rig.clock.turn_to(DAY - 1)
        assert await rig.look() == 1.0
        assert len(rig.names()) == 1
        for day in range(1, 9):
            rig.clock.turn_to(day * DAY)
            await rig.look()
        assert rig.names() == [f"mithrild-202611{day}T120000Z.db" for day in range(25, 31)] + [
            "mithrild-20261201T120000Z.db"
        ]
        assert [one.path.name for one in rig.upkeep.backups.held] == rig.names()

    run(tmp_path, test)


def test_a_start_soon_after_the_last_backup_makes_none(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.look()
        again = Upkeep(lambda: rig.config, rig.database, rig.clock, lambda: rig.skew)
        rig.clock.turn_to(3600)
        await rig.upkeep.stop()
        await again.run()
        assert (again.backups.run, again.backups.next_at) == (0, at(DAY))
        await again.stop()

    run(tmp_path, test)


def test_what_there_is_can_be_told_before_anything_is_done(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.look()
        again = Upkeep(lambda: rig.config, rig.database, rig.clock, lambda: rig.skew)
        rig.clock.turn_to(2 * DAY)
        again.begin(Cadence(rig.clock))
        await until(lambda: again.backups.held)
        assert [one.path.name for one in again.backups.held] == rig.names()
        assert (again.backups.run, again.backups.next_at) == (0, at(DAY))
        await again.stop()

    run(tmp_path, test)


def test_one_is_made_when_it_is_asked_for_and_only_one_at_a_time(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.config = replace(rig.config, backup=Backup(every=None))
        await rig.look()
        assert (rig.upkeep.backups.next_at, rig.upkeep.backups.held) == (None, ())
        assert rig.upkeep.back_up() == rig.upkeep.back_up() == 1
        await until(lambda: rig.upkeep.backups.stage is None)
        assert rig.upkeep.back_up() == 2  # in the same second, and so under the name of the next
        await until(lambda: rig.upkeep.backups.stage is None)
        assert rig.names() == ["mithrild-20261123T120000Z.db", "mithrild-20261123T120001Z.db"]
        made = rig.upkeep.backups.made
        assert made is not None
        assert made.path.name == rig.names()[1]

    run(tmp_path, test)


def test_new_settings_are_taken_without_a_restart(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.look()
        elsewhere = tmp_path / "elsewhere"
        settings = Backup(every=timedelta(minutes=1), keep=2, folder=str(elsewhere))
        rig.config = replace(rig.config, backup=settings)
        for minutes in range(4):
            rig.clock.turn_to(60 * minutes)
            await rig.look()
        assert rig.names() == ["mithrild-20261123T120200Z.db", "mithrild-20261123T120300Z.db"]
        assert rig.folder == elsewhere
        assert elsewhere.stat().st_mode & 0o777 == 0o700

    run(tmp_path, test)


def test_a_failure_is_told_once_and_tried_again_ever_more_seldom(tmp_path: Path, logged: list[str]) -> None:
    async def test(rig: Rig) -> None:
        rig.folder.mkdir(mode=0o777)
        rig.folder.chmod(0o777)
        await rig.look()
        state = rig.upkeep.backups
        assert "others may write to the folder" in (state.error or "")
        assert (state.failed_at, state.next_at) == (at(0), at(600))
        rig.clock.turn_to(599)
        await rig.look()
        assert rig.upkeep.backups.run == 1
        rig.clock.turn_to(600)
        await rig.look()
        assert (rig.upkeep.backups.run, rig.upkeep.backups.next_at) == (2, at(1800))
        rig.folder.chmod(0o700)
        rig.clock.turn_to(1800)
        await rig.look()
        assert rig.upkeep.backups.error is None
        assert rig.upkeep.backups.next_at == at(1800 + DAY)

    run(tmp_path, test)
    said = [line for line in logged if line.startswith("backup: ")]
    assert len(said) == 2
    assert "could not be made" in said[0]
    assert "recovered" in said[1]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.folder.write_text("")
        await rig.look()
        assert "backups cannot be used" in (rig.upkeep.backups.error or "")

    run(tmp_path, test)


def test_a_folder_in_which_another_daemon_keeps_its_backups_is_left_to_it(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.folder.mkdir(mode=0o700)
        (rig.folder / "mithrild-20200101T000000Z.db").write_text("the other's")
        descriptor = os.open(rig.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            rig.upkeep.back_up()
            await until(lambda: rig.upkeep.backups.stage is None)
            assert "another daemon keeps its backups" in (rig.upkeep.backups.error or "")
            assert rig.names() == ["mithrild-20200101T000000Z.db"]
        finally:
            os.close(descriptor)
        rig.upkeep.back_up()
        await until(lambda: rig.upkeep.backups.stage is None)
        assert rig.upkeep.backups.error is None

    run(tmp_path, test)


def test_a_stop_does_not_wait_for_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "PAGES", 1)

    async def test(rig: Rig) -> None:
        rig.upkeep.back_up()
        await until(lambda: rig.upkeep.backups.stage == "copying")
        await rig.upkeep.stop()
        assert rig.upkeep.backups.stage is None
        assert rig.names() == []

    run(tmp_path, test)


def prices(rig: Rig) -> int:
    return int(sql(rig.database, "SELECT count(*) FROM prices")[0][0])


def samples_of_old(rig: Rig) -> None:
    for number in range(9):
        keep_prices(rig.database, [an_auction(cents=500 + number)], at(number - 10 * DAY))


def test_nothing_is_dropped_until_the_marketplace_has_confirmed_the_clock(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        samples_of_old(rig)
        for skew in (None, timedelta(days=3000)):
            rig.skew = skew
            await rig.look()
            assert prices(rig) == 9
            assert rig.upkeep.waits
        rig.skew = timedelta(minutes=10)
        await rig.look()
        assert rig.upkeep.waits is None
        assert prices(rig) == 2

    run(tmp_path, test)


def test_the_record_is_swept_every_hour_and_at_once_after_new_settings(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.look()
        samples_of_old(rig)
        rig.clock.turn_to(3599)
        await rig.look()
        assert prices(rig) == 9
        rig.clock.turn_to(3600)
        await rig.look()
        assert prices(rig) == 2
        keep(rig.database, poll(-30 * DAY, an_instance(status=STARTING), whole=frozenset()))
        assert sql(rig.database, "SELECT count(*) FROM events") == [(1,)]
        rig.config = replace(rig.config, keep=Keep(transitions=timedelta(days=7)))
        await rig.look()
        assert sql(rig.database, "SELECT count(*) FROM events") == [(0,)]

    run(tmp_path, test)


def test_a_long_sweep_lets_go_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 0.0)

    async def test(rig: Rig) -> None:
        samples_of_old(rig)
        await rig.look()
        beats = 1
        while await rig.look() == 1.0:
            beats += 1
        assert beats > 5
        assert prices(rig) == 2

    run(tmp_path, test)


def test_growth_is_measured_and_measured_anew_after_an_hour(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        assert rig.upkeep.growth is None
        await rig.look()
        first = rig.upkeep.growth
        assert first is not None
        count = sql(rig.database, "SELECT count(*) FROM transitions")[0][0]
        assert (first.transitions, first.measured_at, first.estimated) == (count, at(0), False)
        pages = sql(rig.database, "SELECT sum(pgsize) FROM dbstat WHERE aggregate = 1 AND name IN"
            " (SELECT name FROM sqlite_master WHERE tbl_name IN ('transitions', 'events', 'notices'))")  # fmt: skip
        assert first.bytes["transitions"] == pages[0][0]
        assert sum(first.bytes.values()) + first.free_bytes == sql(rig.database, "PRAGMA page_count")[0][0] * 4096
        keep(rig.database, poll(60, an_instance(status=STARTING), whole=frozenset()))
        for seconds, news in ((3599, 0), (3600, 1)):
            rig.clock.turn_to(seconds)
            await rig.look()
            measured = rig.upkeep.growth
            assert measured is not None
            assert measured.transitions == count + news

    run(tmp_path, test)


def test_growth_is_estimated_where_sqlite_cannot_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(rig: Rig) -> None:
        for number in range(400):
            status = STARTING if number % 2 else "STATUS_RUNNING"
            keep(rig.database, poll(60 + number, an_instance(status=status), whole=frozenset()))
        told = growth.measure(rig.database, at(0))
        monkeypatch.setattr(growth, "DBSTAT", "no_such_table")
        weighed = growth.measure(rig.database, at(0))
        assert (told.estimated, weighed.estimated) == (False, True)
        assert (weighed.transitions, weighed.free_bytes) == (told.transitions, told.free_bytes)
        assert weighed.bytes["transitions"] == pytest.approx(told.bytes["transitions"], rel=0.5)

    run(tmp_path, test)


def test_a_record_that_cannot_be_read_is_told_and_looked_at_again(tmp_path: Path, logged: list[str]) -> None:
    async def test(rig: Rig) -> None:
        samples_of_old(rig)
        sql(rig.database, "ALTER TABLE prices RENAME TO elsewhere")
        for _ in range(3):
            assert await rig.look() <= module.REST
        sql(rig.database, "ALTER TABLE elsewhere RENAME TO prices")
        await rig.look()
        assert prices(rig) == 2

    run(tmp_path, test)
    said = [line for line in logged if line.startswith("retention: ")]
    assert len(said) == 2
    assert "no such table: prices" in said[0]
    assert "recovered" in said[1]
