"""What a hook does with what comes while something is under way, and with a target that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mithrild.config import Hook
from mithrild.store.database import Database
from tests.integration.store_builders import (
    PREEMPTING,
    RUNNING,
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
from tests.integration.webhook_server import Receiver, says

MACHINES = ("inst_1", "inst_2", "inst_3")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), *(an_instance(fid) for fid in MACHINES)))
        yield database


def a_hook(run: tuple[str, ...], mode: str, **rest: Any) -> Hook:
    return Hook.model_validate({"name": "hook", "on": ["*"], "run": run, "mode": mode, "max_age": "365d"} | rest)


def see(database: Database, seconds: float, action: str = "run", **statuses: str) -> None:
    seen = poll(seconds, *(an_instance(fid, status) for fid, status in statuses.items()), whole=frozenset())
    keep(database, seen, [a_rule("hook", "instance.*", actions=(action,))])


def words(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_queue_takes_one_after_the_other_in_the_order_of_the_events(database: Database, tmp_path: Path) -> None:
    run = a_script(tmp_path / "hook", f"echo +$MITHRILD_SUBJECT >> {tmp_path}/log", f"echo - >> {tmp_path}/log")
    for seconds, fid in enumerate(("inst_3", "inst_1", "inst_2"), start=10):
        see(database, seconds, **{fid: STARTING})

    async def main() -> None:
        async with dispatching(database, a_hook(run, "queue")):
            await until_it_says(database, "state", *[("done",)] * 3)

    asyncio.run(main())
    assert words(tmp_path / "log") == ["+inst_3", "-", "+inst_1", "-", "+inst_2", "-"]


def test_queue_waits_for_what_is_to_be_tried_again_and_a_notice_does_not(database: Database, tmp_path: Path) -> None:
    run = a_script(
        tmp_path / "hook", f"echo $MITHRILD_SUBJECT >> {tmp_path}/log", '[ "$MITHRILD_SUBJECT" != inst_1 ] || exit 75'
    )
    see(database, 10, inst_1=STARTING)
    see(database, 11, inst_2=STARTING)

    async def main() -> None:
        async with dispatching(database, a_hook(run, "queue")) as dispatcher:
            await until_it_says(
                database, "subject, state, attempts", ("inst_1", "pending", 1), ("inst_2", "pending", 0)
            )
            await asyncio.to_thread(see, database, 12, inst_3=PREEMPTING)
            dispatcher.wake()
            await until(lambda: ("inst_3", "done") in deliveries(database, "subject, state"))

    asyncio.run(main())
    assert words(tmp_path / "log") == ["inst_1", "inst_3"]


def test_restart_ends_what_runs_for_a_subject_when_something_newer_comes(database: Database, tmp_path: Path) -> None:
    log = f"echo $MITHRILD_SUBJECT-$MITHRILD_TO >> {tmp_path}/log"
    run = a_script(tmp_path / "hook", log, '[ "$MITHRILD_TO" = running ] || exec sleep 1000')
    see(database, 10, inst_1=STARTING, inst_2=STARTING)

    async def main() -> None:
        async with dispatching(database, a_hook(run, "restart")) as dispatcher:
            await until(lambda: len(words(tmp_path / "log")) == 2)
            await asyncio.to_thread(see, database, 12, inst_1=RUNNING)
            dispatcher.wake()
            await until_it_says(
                database,
                "subject, state",
                *[("inst_1", "superseded"), ("inst_2", "running"), ("inst_1", "done")],
            )

    asyncio.run(main())
    ((event,),) = sql(database, "SELECT id FROM events WHERE type = 'instance.running'")
    assert deliveries(database, "reason")[0] == (f'mode = "restart": {event} came after it',)


def test_restart_takes_of_all_that_is_queued_for_a_subject_the_newest(database: Database, tmp_path: Path) -> None:
    run = a_script(tmp_path / "hook", f"echo $MITHRILD_TO >> {tmp_path}/log")
    for seconds, status in ((10, STARTING), (11, RUNNING), (12, PREEMPTING)):
        see(database, seconds, inst_1=status)

    async def main() -> None:
        async with dispatching(database, a_hook(run, "restart")):
            await until_it_says(database, "state", ("superseded",), ("superseded",), ("done",))

    asyncio.run(main())
    assert words(tmp_path / "log") == ["preempting"]


def test_single_drops_what_comes_while_one_is_under_way(database: Database, tmp_path: Path) -> None:
    run = a_script(tmp_path / "hook", f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
    see(database, 10, inst_1=STARTING, inst_2=STARTING)

    async def main() -> None:
        async with dispatching(database, a_hook(run, "single")) as dispatcher:
            await until_it_says(database, "state", ("running",), ("skipped",))
            await asyncio.to_thread(see, database, 11, inst_3=STARTING)
            dispatcher.wake()
            await until_it_says(database, "state", ("running",), ("skipped",), ("skipped",))
            (tmp_path / "go").touch()
            await until_it_says(database, "state", ("done",), ("skipped",), ("skipped",))
            await asyncio.to_thread(see, database, 12, inst_3=RUNNING)
            dispatcher.wake()
            await until_it_says(database, "state", ("done",), ("skipped",), ("skipped",), ("done",))

    asyncio.run(main())
    assert deliveries(database, "reason")[1] == ('mode = "single": another was under way',)


def test_target_that_does_not_answer_is_left_alone_but_for_notices_and_a_look_now_and_then(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    clock = HandClock(60)
    for seconds in range(10, 16):
        fid = MACHINES[seconds % 3]
        see(database, seconds, "webhook", **{fid: STARTING if seconds < 13 else RUNNING})

    async def main() -> None:
        async with Receiver(*[says(503)] * 7, says(200)) as receiver:
            webhook = {"name": "hook", "on": ["*"], "webhook": receiver.url, "max_age": "365d", "max_parallel": 1}
            async with dispatching(database, Hook.model_validate(webhook), clock=clock) as dispatcher:

                async def tried(times: int) -> None:
                    await until(lambda: len(receiver.messages) >= times)
                    query = "SELECT 1 FROM attempts WHERE ended_at IS NULL"
                    await until(lambda: not sql(database, query))

                # Three machines' first news, and again each: five failures in a row.
                await tried(3)
                clock.time = HandClock(66).time
                dispatcher.wake()
                await tried(5)
                assert len(receiver.messages) == 5
                clock.time = HandClock(79).time
                await asyncio.to_thread(see, database, 70, "webhook", inst_1=PREEMPTING)
                dispatcher.wake()
                await tried(6)  # the notice, which fails too
                assert [tries for tries, notice in deliveries(database, "attempts, notice") if notice] == [1]
                assert len(receiver.messages) == 6
                sql(database, "UPDATE deliveries SET state = 'expired', next_at = NULL WHERE notice IS NOT NULL")
                clock.time = HandClock(79 + 30).time
                dispatcher.wake()
                await tried(7)  # one, to see whether it is back: it is not
                assert len(receiver.messages) == 7
                clock.time = HandClock(79 + 30 + 60).time
                dispatcher.wake()
                await until(lambda: {state for (state,) in deliveries(database, "state")} == {"done", "expired"})

    asyncio.run(main())
