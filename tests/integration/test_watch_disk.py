"""The watch while the disk refuses: it goes on, asks for nothing that it could not keep, and comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from loguru import logger

from mithrild.watcher.disk import mind_the_disk
from tests.integration.account_rig import Rig, with_rig
from tests.integration.disk_rig import read_only
from tests.integration.store_builders import until


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    number = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(number)


def test_polls_go_on_and_what_they_saw_is_kept_later(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        with read_only(rig.database):
            await rig.visitor.place("placed-meanwhile")
            for _ in range(2):
                await rig.watch.poll()
            health = rig.watch.health
            assert (health.key, health.reachable, health.last_error, health.discarded) == ("ok", True, None, 0)
            assert rig.database.disk.transitions == 1
        rig.database.mend()
        await rig.watch.poll()
        assert rig.events() == ["bid.placed"]

    with_rig(tmp_path, story)


def test_a_first_look_is_taken_in_memory_too(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        with read_only(rig.database):
            await rig.watch.poll()
            await rig.visitor.place("news")
            await rig.watch.poll()
        rig.database.mend()
        assert rig.events() == ["bid.placed"]

    with_rig(tmp_path, story)


def test_nothing_is_asked_for_that_could_not_be_kept_and_the_record_alone_complains(
    tmp_path: Path, said: list[str]
) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        beats = {beat.name: beat for beat in rig.watch.rounds.beats(rig.watch.pollers or [])}
        with read_only(rig.database):
            await rig.visitor.place("placed-meanwhile")
            await rig.watch.poll()
            rig.asked()
            await rig.watch.looking_back.run()
            assert rig.asked() == []
            for _ in range(3):
                await beats["prices"].run()
                await beats["inventory"].run()
        assert [line.partition(":")[0] for line in said] == ["record"]
        rig.database.mend()
        await rig.watch.looking_back.run()
        assert rig.asked()

    with_rig(tmp_path, story)


def test_what_was_held_is_told_once_it_is_written(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        told: list[list[str]] = []
        minding = asyncio.create_task(mind_the_disk(rig.database, rig.clock, lambda: told.append(rig.events())))
        with read_only(rig.database):
            await rig.visitor.place("news")
            await rig.watch.poll()
            assert told == []
        await until(lambda: told)
        assert told == [["bid.placed"]]
        minding.cancel()
        with suppress(asyncio.CancelledError):
            await minding

    with_rig(tmp_path, story)
