"""Deliveries by real commands: each is seen to an end that is recorded, and none holds up another hook."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from mithrild.config import Hook
from mithrild.hooks import dispatcher as module
from mithrild.hooks import looks
from mithrild.hooks import run as running
from mithrild.store.database import Database
from mithrild.store.outbox import Claim
from tests.integration.store_builders import (
    PREEMPTING,
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
    until_it_says,
)

MACHINES = ("inst_1", "inst_2", "inst_3", "inst_4", "inst_5")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), *(an_instance(fid) for fid in MACHINES)))
        yield database


def a_hook(run: tuple[str, ...], name: str = "hook", **rest: Any) -> Hook:
    return Hook(name=name, on=("*",), run=run, **rest)


def see(database: Database, *machines: str, status: str = STARTING, seconds: float = 10, hook: str = "hook") -> None:
    """These machines take a step, of which the hook is to be told."""
    seen = poll(seconds, *(an_instance(fid, status) for fid in machines), whole=frozenset())
    keep(database, seen, [a_rule(hook)])


def states(database: Database) -> set[str]:
    return {state for (state,) in deliveries(database, "state")}


def starts(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize(
    ("line", "state", "code", "number", "reason"),
    [
        ("exit 0", "done", 0, None, None),
        ("exit 3", "failed", 3, None, "exit code 3"),
        ("kill -9 $$", "failed", None, 9, "ended by signal 9"),
    ],
)
def test_end_of_a_command_is_recorded(
    database: Database, tmp_path: Path, line: str, state: str, code: int | None, number: int | None, reason: str | None
) -> None:
    hook = a_hook(a_script(tmp_path / "hook", f"cat > {tmp_path}/stdin", "echo said; echo loudly >&2", line))
    see(database, "inst_1")

    async def main() -> None:
        async with dispatching(database, hook):
            await until(lambda: not states(database) & {"pending", "running"})

    asyncio.run(main())
    assert deliveries(database, "state, reason, attempts, lease") == [(state, reason, 1, None)]
    assert sql(database, "SELECT exit_code, signal, output FROM attempts") == [(code, number, "said\nloudly\n")]
    ((body,),) = sql(database, "SELECT body FROM events")
    assert (tmp_path / "stdin").read_text() == body + "\n"


@pytest.mark.parametrize(
    ("run", "timeout", "reason"),
    [
        (("/nowhere/hook",), timedelta(seconds=60), "cannot start /nowhere/hook: no such file"),
        (("/bin/sleep", "1000"), timedelta(seconds=1), "took longer than 1s: ended"),
    ],
)
def test_command_that_never_starts_or_never_ends_has_failed(
    database: Database, run: tuple[str, ...], timeout: timedelta, reason: str
) -> None:
    see(database, "inst_1")

    async def main() -> None:
        async with dispatching(database, a_hook(run, timeout=timeout)):
            await until(lambda: states(database) == {"failed"})

    asyncio.run(main())
    assert deliveries(database, "reason") == [(reason,)]


def test_no_more_than_max_parallel_run_at_once(database: Database, tmp_path: Path) -> None:
    run = a_script(
        tmp_path / "hook",
        f"echo + >> {tmp_path}/log",
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done",
        f"echo - >> {tmp_path}/log",
    )
    see(database, *MACHINES)

    async def main() -> None:
        quick = a_hook(("/bin/true",), "quick")
        async with dispatching(database, a_hook(run, max_parallel=2), quick) as dispatcher:
            await until(lambda: len(starts(tmp_path / "log")) == 2)
            await asyncio.to_thread(see, database, "inst_1", status=PREEMPTING, hook="quick")
            dispatcher.wake()
            # Another hook's turn came: so this one's did too, and was not taken.
            await until(lambda: ("quick", "done") in deliveries(database, "hook, state"))
            held = [state for hook, state in deliveries(database, "hook, state") if hook == "hook"]
            assert sorted(held) == ["pending"] * 3 + ["running"] * 2
            (tmp_path / "go").touch()
            await until(lambda: states(database) == {"done"})

    asyncio.run(main())
    running = peak = 0
    for (sign,) in starts(tmp_path / "log"):
        running += 1 if sign == "+" else -1
        peak = max(peak, running)
    assert (running, peak) == (0, 2)


def test_place_that_is_free_again_is_given_out_at_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "IDLE", 10_000.0)
    monkeypatch.setattr(module, "PASS", 0.0)
    for seconds in range(10, 20):
        see(database, *MACHINES, status=STARTING if seconds % 2 else PREEMPTING, seconds=seconds)
    run = a_script(tmp_path / "hook", f"echo ran >> {tmp_path}/log")

    async def main() -> None:
        async with dispatching(database, a_hook(run, max_parallel=2)):
            await until(lambda: not states(database) & {"pending", "running"})

    asyncio.run(main())
    assert len(starts(tmp_path / "log")) == deliveries(database, "state").count(("done",)) > 0


def test_hook_that_hangs_holds_up_nobody_but_itself(database: Database, tmp_path: Path) -> None:
    hanging = a_hook(a_script(tmp_path / "hang", "exec sleep 1000"), "hanging", max_parallel=1)
    quick = a_hook(a_script(tmp_path / "quick", f"echo $MITHRILD_SUBJECT >> {tmp_path}/log"), "quick")
    for hook in ("hanging", "quick"):
        see(database, *MACHINES[:2], hook=hook, status=STARTING if hook == "hanging" else PREEMPTING)

    async def main() -> None:
        async with dispatching(database, hanging, quick):
            await until(lambda: len(starts(tmp_path / "log")) == 2)
            await until(lambda: ("quick", "done") in deliveries(database, "hook, state"))
            assert deliveries(database, "hook, state").count(("hanging", "running")) == 1

    asyncio.run(main())


def test_commit_is_acted_on_when_it_is_told_of(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "IDLE", 10_000.0)
    run = a_script(tmp_path / "hook", f"echo $MITHRILD_TO >> {tmp_path}/log")

    async def main() -> None:
        async with dispatching(database, a_hook(run)) as dispatcher:
            await asyncio.to_thread(see, database, "inst_1", status=STARTING, seconds=10)
            dispatcher.wake()
            await until_it_says(database, "state", ("done",))
            await asyncio.to_thread(see, database, "inst_1", status=PREEMPTING, seconds=20)
            dispatcher.wake()
            await until_it_says(database, "state", ("done",), ("done",))

    asyncio.run(main())
    assert starts(tmp_path / "log") == [["starting"], ["preempting"]]


class TickingClock(HandClock):
    """Two seconds go by between any two looks at it."""

    def now(self) -> datetime:
        self.time += timedelta(seconds=2)
        return self.time


def test_what_falls_due_between_two_looks_is_not_slept_through(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "IDLE", 10_000.0)
    see(database, "inst_1", seconds=10)
    run = a_script(tmp_path / "hook", f"echo ran >> {tmp_path}/log")
    for start in (6.5, 7.5):  # due at 11: between the first and the second look, or the second and the third

        async def main(start: float = start) -> None:
            async with dispatching(database, a_hook(run), clock=TickingClock(start)):
                await until(lambda: states(database) == {"done"})

        asyncio.run(main())
        sql(database, "UPDATE deliveries SET state = 'pending', next_at = created_at")
    assert starts(tmp_path / "log") == [["ran"]] * 2


@pytest.mark.parametrize("refused", ["INSERT ON attempts", "UPDATE OF ended_at ON attempts"])
def test_disk_that_refuses_is_waited_for_and_nothing_is_done_twice(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    monkeypatch.setattr(module, "STORE_AGAIN", 0.05)
    errors: list[str] = []
    sink = logger.add(lambda message: errors.append(str(message)), level="WARNING", format="{message}")
    run = a_script(tmp_path / "hook", f"echo ran >> {tmp_path}/log")
    see(database, "inst_1")
    sql(database, f"CREATE TRIGGER full BEFORE {refused} BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    ran_before = [["ran"]] if refused.startswith("UPDATE") else []

    async def main() -> None:
        async with dispatching(database, a_hook(run)):
            await until(lambda: errors)
            assert starts(tmp_path / "log") == ran_before
            sql(database, "DROP TRIGGER full")
            await until(lambda: states(database) == {"done"})

    asyncio.run(main())
    logger.remove(sink)
    assert "disk is full" in errors[0]
    assert starts(tmp_path / "log") == [["ran"]]
    assert deliveries(database, "attempts") == [(1,)]


def test_fault_of_ours_fails_one_delivery_and_holds_up_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(claim: Claim, event: dict[str, Any], now: datetime) -> dict[str, str]:
        if event["subject"] == "inst_1":
            raise KeyError("no such thing")
        return {}

    monkeypatch.setattr(running, "hook_environment", broken)
    see(database, *MACHINES[:2])

    async def main() -> None:
        async with dispatching(database, a_hook(("/bin/true",), max_parallel=1)):
            await until_it_says(database, "subject, state", ("inst_1", "failed"), ("inst_2", "done"))

    asyncio.run(main())
    assert deliveries(database, "reason") == [("not foreseen: KeyError: 'no such thing'",), (None,)]


def test_deliveries_of_a_hook_or_an_action_that_is_not_there_are_cancelled(database: Database, tmp_path: Path) -> None:
    see(database, "inst_1", hook="removed")
    see(database, "inst_2", seconds=20)
    keep(database, poll(30, an_instance("inst_3", STARTING), whole=frozenset()), [a_rule("hook", actions=("webhook",))])

    async def main() -> None:
        async with dispatching(database, a_hook(a_script(tmp_path / "hook", "exit 0"))):
            await until(lambda: "pending" not in states(database) | {"running"} & states(database))
            await until(lambda: "running" not in states(database))

    asyncio.run(main())
    assert deliveries(database, "hook, state, reason") == [
        ("removed", "cancelled", "the hook is no longer configured"),
        ("hook", "done", None),
        ("hook", "cancelled", "the hook has no webhook any more"),
    ]
