"""Hooks while the disk refuses: each try once, its end held, and nothing of a lost one left at work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mithrild.config import Hook
from mithrild.hooks.dispatcher import Dispatcher
from mithrild.hooks.survivors import DELIVERY_MARK, survivors
from mithrild.store.database import Database
from tests.integration.disk_rig import read_only
from tests.integration.store_builders import (
    PREEMPTING,
    STARTING,
    HandClock,
    a_bid,
    a_rule,
    a_script,
    an_instance,
    at,
    deliveries,
    dispatching,
    keep,
    opened,
    poll,
    sql,
    until,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """One delivery waits."""
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), an_instance(), an_instance("inst_2")))
        keep(database, poll(5, an_instance(status=STARTING), whole=frozenset()), [a_rule("hook")])
        yield database


def a_hook(folder: Path, *lines: str) -> Hook:
    record = f'echo "$MITHRILD_DELIVERY $MITHRILD_ATTEMPT" >> {folder}/log'
    return Hook(name="hook", on=("*",), run=a_script(folder / "hook", record, *lines))


def starts(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_what_waits_runs_once_and_so_does_a_notice_that_nobody_can_write_down(
    database: Database, tmp_path: Path
) -> None:
    async def main() -> None:
        with read_only(database):
            async with dispatching(database, a_hook(tmp_path)) as dispatcher:
                await until(lambda: database.disk.results == 1)
                keep(database, poll(10, an_instance("inst_2", PREEMPTING), whole=frozenset()), [a_rule("hook")])
                dispatcher.wake()
                await until(lambda: database.disk.results == 2)
                for _ in range(3):
                    dispatcher.wake()
                    await asyncio.sleep(0)
                assert deliveries(database, "state") == [("pending",)]
        database.mend()
        async with dispatching(database, a_hook(tmp_path)) as dispatcher:
            dispatcher.wake()
        assert deliveries(database, "subject, state, attempts") == [("inst_1", "done", 1), ("inst_2", "done", 1)]

    asyncio.run(main())
    assert sorted(starts(tmp_path)) == sorted(f"{id} 1" for (id,) in deliveries(database, "id"))


def test_a_command_that_asks_for_it_is_tried_again_meanwhile(database: Database, tmp_path: Path) -> None:
    clock = HandClock(60)
    hook = a_hook(tmp_path, f"[ -e {tmp_path}/ready ] || exit 75")

    async def main() -> None:
        with read_only(database):
            async with dispatching(database, hook, clock=clock) as dispatcher:
                await until(lambda: database.disk.results == 1)
                (tmp_path / "ready").touch()
                clock.time = at(4000)
                dispatcher.wake()
                await until(lambda: database.disk.results == 2)
        database.mend()

    asyncio.run(main())
    assert [line.split()[1] for line in starts(tmp_path)] == ["1", "2"]
    assert deliveries(database, "state, attempts") == [("done", 2)]
    assert sql(database, "SELECT number, outcome FROM attempts ORDER BY number") == [(1, "retry"), (2, "done")]


def test_what_a_lost_daemon_had_begun_in_memory_is_ended_before_it_is_repeated(
    database: Database, tmp_path: Path
) -> None:
    ((id,),) = deliveries(database, "id")

    async def main() -> None:
        # On record nobody is at it: the daemon that was could not write that down.
        survivor = await asyncio.create_subprocess_exec("sleep", "1000", env={DELIVERY_MARK: id})
        await until(lambda: survivors(DELIVERY_MARK, [id]))
        await Dispatcher(database, lambda: [a_hook(tmp_path)], HandClock(60), "run_2").recover()
        assert await survivor.wait() < 0

    asyncio.run(main())
    assert deliveries(database, "state, attempts") == [("pending", 0)]
