"""Drills beside what really happens: neither takes a place, a turn or a try from the other."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.config import Hook
from mithrild.fleet import imagined
from mithrild.fleet.imagined import Cast
from mithrild.hooks.dispatcher import Dispatcher
from mithrild.store import rehearsals
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    PROJECT,
    HandClock,
    a_bid,
    a_script,
    an_instance,
    at,
    deliveries,
    dispatching,
    keep,
    opened,
    poll,
    until,
)


@pytest.mark.parametrize("mode", ["parallel", "queue", "single", "restart"])
def test_a_notice_in_earnest_does_not_wait_for_a_drill_that_hangs(tmp_path: Path, mode: str) -> None:
    run = a_script(
        tmp_path / "hook",
        f"cat > {tmp_path}/$MITHRILD_DELIVERY",
        f"grep -q simulated {tmp_path}/$MITHRILD_DELIVERY && exec sleep 1000",
        f"touch {tmp_path}/saved",
    )
    hook = Hook(name="save", on=("instance.preempting",), run=run, mode=mode, max_parallel=1)
    cast = Cast(PROJECT.fid, a_bid(), (an_instance(),))
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), an_instance()))
        scene = imagined.under_notice(cast, at(50), timedelta(minutes=5))
        rehearsals.play(database, "drill_1", scene, [hook.rule()], host=HOST, now=at(50))

        async def main() -> None:
            async with dispatching(database, hook) as dispatcher:
                await until(lambda: deliveries(database, "state") == [("running",)])
                seen = poll(55, a_bid(), an_instance(status=PREEMPTING), deadlines={"inst_1": at(355)})
                await asyncio.to_thread(keep, database, seen, [hook.rule()])
                dispatcher.wake()
                await until(lambda: (None, "done") in deliveries(database, "rehearsal, state"))
                assert deliveries(database, "rehearsal, state") == [("drill_1", "running"), (None, "done")]

        asyncio.run(main())
    assert (tmp_path / "saved").exists()


def test_what_a_dead_daemon_had_begun_of_a_drill_does_not_run_again(tmp_path: Path) -> None:
    hook = Hook(name="save", on=("*",), run=("/bin/true",))
    cast = Cast(PROJECT.fid, a_bid(), (an_instance(),))
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), an_instance()))
        scene = imagined.under_notice(cast, at(50), timedelta(minutes=5))
        rehearsals.play(database, "drill_1", scene, [hook.rule()], host=HOST, now=at(50))

        asyncio.run(Dispatcher(database, lambda: (hook,), HandClock(60), "run_2").recover())
        assert deliveries(database, "state, reason") == [("superseded", "the drill was interrupted")] * 2
