"""The end of a daemon, wished for or not: what was under way is handed back, and runs again under its id."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.config import Hook
from mithrild.hooks.dispatcher import Dispatcher
from mithrild.hooks.survivors import DELIVERY_MARK, survivors
from mithrild.store import outbox
from mithrild.store.database import Database
from tests.integration.store_builders import (
    CAP,
    STARTING,
    HandClock,
    a_bid,
    a_rule,
    a_script,
    an_instance,
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
    """One delivery is due."""
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(5, a_bid(), an_instance(status=STARTING)), [a_rule("hook", "instance.*")])
        yield database


def a_hook(folder: Path, *lines: str) -> Hook:
    """It logs its delivery and its attempt before it does anything else."""
    log = f'echo "$MITHRILD_DELIVERY $MITHRILD_ATTEMPT" >> {folder}/log'
    return Hook(name="hook", on=("*",), run=a_script(folder / "hook", log, *lines))


def log(folder: Path) -> list[str]:
    file = folder / "log"
    return file.read_text().splitlines() if file.exists() else []


def delivery(database: Database) -> str:
    ((id,),) = deliveries(database, "id")
    return str(id)


def processes(database: Database) -> list[Any]:
    return survivors(DELIVERY_MARK, [delivery(database)])


def test_stop_lets_what_runs_come_to_its_end(database: Database, tmp_path: Path) -> None:
    hook = a_hook(tmp_path, f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")

    async def main() -> None:
        async with dispatching(database, hook) as dispatcher:
            await until(lambda: log(tmp_path))
            stopping = asyncio.create_task(dispatcher.stop(timedelta(seconds=CAP)))
            (tmp_path / "go").touch()
            await stopping

    asyncio.run(main())
    assert deliveries(database, "state, attempts") == [("done", 1)]


def test_what_outlasts_the_grace_is_ended_handed_back_uncounted_and_repeated(
    database: Database, tmp_path: Path
) -> None:
    hook = a_hook(tmp_path, f"[ -e {tmp_path}/go ] && exit 0", "sleep 1000 & wait")

    async def main() -> None:
        async with dispatching(database, hook) as dispatcher:
            await until(lambda: len(processes(database)) == 2)
            await dispatcher.stop(timedelta(0))
        assert processes(database) == []
        assert deliveries(database, "state, attempts, lease") == [("pending", 0, None)]
        assert sql(database, "SELECT outcome, reason FROM attempts") == [
            ("interrupted", "the daemon is stopping: ended")
        ]
        (tmp_path / "go").touch()
        async with dispatching(database, hook, run="run_2"):
            await until(lambda: deliveries(database, "state, attempts") == [("done", 1)])

    asyncio.run(main())
    assert log(tmp_path) == [f"{delivery(database)} 1", f"{delivery(database)} 2"]


def test_what_is_claimed_while_a_stop_begins_is_not_started(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claiming, go_on, real = threading.Event(), threading.Event(), outbox.claim

    def slow_claim(*args: Any, **how: Any) -> list[outbox.Claim]:
        claiming.set()
        assert go_on.wait(CAP)
        return real(*args, **how)

    monkeypatch.setattr(outbox, "claim", slow_claim)

    async def main() -> None:
        async with dispatching(database, a_hook(tmp_path)) as dispatcher:
            await until(claiming.is_set)
            stopping = asyncio.create_task(dispatcher.stop(timedelta(seconds=CAP)))
            await asyncio.sleep(0)
            go_on.set()
            await stopping
            assert deliveries(database, "state, attempts, lease") == [("pending", 0, None)]

    asyncio.run(main())
    assert log(tmp_path) == []
    assert sql(database, "SELECT outcome, reason FROM attempts") == [
        ("interrupted", "not started: the daemon is stopping")
    ]


def test_stopped_dispatcher_starts_nothing_more(database: Database, tmp_path: Path) -> None:
    async def main() -> None:
        dispatcher = Dispatcher(database, lambda: [a_hook(tmp_path)], HandClock(60), "run_1")
        await dispatcher.stop(timedelta(0))
        await asyncio.wait_for(dispatcher.serve(), CAP)

    asyncio.run(main())
    assert log(tmp_path) == []
    assert deliveries(database, "state") == [("pending",)]


DAEMON = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from mithrild.clock import SystemClock
from mithrild.config import Hook
from mithrild.hooks.dispatcher import Dispatcher
from mithrild.store.database import Database

class Noon(SystemClock):
    def now(self):
        return datetime(2026, 11, 23, 12, 1, tzinfo=UTC)

hook = Hook(name="hook", on=("*",), run=(sys.argv[2],))
asyncio.run(Dispatcher(Database(Path(sys.argv[1])), lambda: [hook], Noon(), "run_of_the_killed").serve())
"""


def test_after_a_crash_what_survived_is_ended_and_its_delivery_repeated(database: Database, tmp_path: Path) -> None:
    hook = a_hook(tmp_path, f"[ -e {tmp_path}/go ] && exit 0", "trap '' TERM", "sleep 1000 & wait; wait; wait")
    arguments = [sys.executable, "-c", DAEMON, str(database.path), str(tmp_path / "hook")]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as daemon:
        asyncio.run(until(lambda: len(processes(database)) == 2 or daemon.poll() is not None))
        assert daemon.poll() is None
        os.kill(daemon.pid, signal.SIGKILL)
    assert daemon.returncode == -signal.SIGKILL
    assert len(processes(database)) == 2
    assert deliveries(database, "state, lease") == [("running", "run_of_the_killed")]

    async def main() -> None:
        dispatcher = Dispatcher(database, lambda: [hook], HandClock(60), "run_2")
        await dispatcher.recover()
        assert processes(database) == []
        assert deliveries(database, "state, lease, next_at") == [("pending", None, "2026-11-23T12:01:00.000000Z")]
        assert sql(database, "SELECT outcome FROM attempts") == [("interrupted",)]
        (tmp_path / "go").touch()
        async with dispatching(database, hook, run="run_2"):
            await until(lambda: deliveries(database, "state") == [("done",)])

    asyncio.run(main())
    assert log(tmp_path) == [f"{delivery(database)} 1", f"{delivery(database)} 2"]


def test_nothing_to_recover_changes_nothing(database: Database, tmp_path: Path) -> None:
    before = deliveries(database, "*")
    asyncio.run(Dispatcher(database, lambda: [a_hook(tmp_path)], HandClock(60), "run_1").recover())
    assert deliveries(database, "*") == before
