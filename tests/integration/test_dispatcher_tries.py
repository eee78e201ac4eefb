"""A delivery that is tried again: under one id, with growing gaps, and never without an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.clock import Bearings, bearing
from mithrild.config import Hook
from mithrild.hooks.survivors import DELIVERY_MARK, survivors
from mithrild.store.database import Database
from mithrild.store.due import UNSURE
from mithrild.store.record import record
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
    seen_at,
    sql,
    until,
    until_it_says,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), an_instance()))
        yield database


def a_hook(run: tuple[str, ...], **rest: Any) -> Hook:
    return Hook(name="hook", on=("*",), run=run, **rest)


def see(database: Database, status: str, seconds: float = 10) -> None:
    """The machine takes a step, of which the hook is to be told."""
    keep(database, poll(seconds, an_instance(status=status), whole=frozenset()), [a_rule("hook")])


def states(database: Database) -> set[str]:
    return {state for (state,) in deliveries(database, "state")}


def starts(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()]


def test_what_seems_too_old_waits_until_the_marketplace_has_told_its_time(database: Database, tmp_path: Path) -> None:
    see(database, STARTING, 10)
    run = a_script(tmp_path / "hook", "exit 0")
    clock = HandClock(4 * 3600 + 60)  # it was set four hours ahead since
    bearings = Bearings(clock)

    async def main() -> None:
        hook = a_hook(run, max_age=timedelta(minutes=10))
        async with dispatching(database, hook, clock=clock, bearings=bearings) as dispatcher:
            await until_it_says(database, "state, reason, attempts", ("pending", UNSURE, 0))
            sql(database, "UPDATE projects SET ahead_seconds = -14400")
            bearings.take(bearing(clock))
            dispatcher.wake()
            await until_it_says(database, "state, reason, attempts", ("done", None, 1))

    asyncio.run(main())


class SetClock(HandClock):
    """Turning it lets no time pass: somebody sets it."""

    def monotonic(self) -> float:
        return 0.0


def test_try_over_which_the_clock_was_set_does_not_end_its_notice(database: Database, tmp_path: Path) -> None:
    go_on, clock = tmp_path / "go-on", SetClock(60)
    run = a_script(
        tmp_path / "hook",
        '[ "$MITHRILD_ATTEMPT" = 1 ] || exit 0',
        f"until [ -e {go_on} ]; do sleep 0.02; done",
        "exit 75",
    )
    see(database, PREEMPTING)
    bearings = Bearings(clock)
    bearings.take(bearing(clock))
    asked = "asked to be tried again (exit code 75)"

    async def main() -> None:
        async with dispatching(database, a_hook(run), clock=clock, bearings=bearings) as dispatcher:
            await until_it_says(database, "state, attempts", ("running", 1))
            clock.turn_to(60 + 1200)
            go_on.touch()
            await until_it_says(database, "state, reason, next_at", ("pending", f"{asked}; {UNSURE}", None))
            look = replace(poll(1261, whole=frozenset(), complete=False), ahead=timedelta(seconds=-1200))
            record(database, look, (), host="here", window=lambda fid: None, changed=False, lost=True)
            bearings.take(bearing(clock))
            dispatcher.wake()
            await until_it_says(database, "state, attempts", ("done", 2))

    asyncio.run(main())


def test_verdict_by_a_clock_that_nobody_knew_is_given_anew(database: Database, tmp_path: Path) -> None:
    go_on, clock = tmp_path / "go-on", HandClock(60)
    run = a_script(tmp_path / "hook", f"until [ -e {go_on} ]; do sleep 0.02; done", "exit 75")
    see(database, PREEMPTING)
    bearings = Bearings(clock)

    async def main() -> None:
        async with dispatching(database, a_hook(run), clock=clock, bearings=bearings) as dispatcher:
            await until_it_says(database, "state, attempts", ("running", 1))
            clock.turn_to(660)  # ten minutes later
            go_on.touch()
            await until_it_says(database, "state, attempts, next_at", ("pending", 1, None))
            bearings.take(bearing(clock))
            dispatcher.wake()
            await until_it_says(database, "state, attempts", ("expired", 1))

    asyncio.run(main())


def test_exit_75_is_tried_again_under_the_same_id_until_it_is_done(database: Database, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = a_script(
        tmp_path / "hook",
        f'echo "$MITHRILD_DELIVERY $MITHRILD_ATTEMPT $MITHRILD_EVENT_ID" >> {log}',
        '[ "$MITHRILD_ATTEMPT" = 4 ] || exit 75',
    )
    see(database, STARTING)
    clock = HandClock(60)

    async def main() -> None:
        async with dispatching(database, a_hook(run), clock=clock) as dispatcher:
            for tries in (1, 2, 3):
                waiting = ("pending", tries, "asked to be tried again (exit code 75)")
                await until_it_says(database, "state, attempts, reason", waiting)
                ((due,),) = deliveries(database, "next_at")
                gap = (datetime.fromisoformat(due) - clock.now()).total_seconds()
                longest = 10 * 2 ** (tries - 1)
                assert longest / 2 <= gap <= longest
                clock.time = datetime.fromisoformat(due)
                dispatcher.wake()
            await until(lambda: states(database) == {"done"})

    asyncio.run(main())
    ((id, attempts, event),) = sql(
        database, "SELECT d.id, attempts, e.id FROM deliveries d JOIN events e USING (sequence)"
    )
    assert starts(log) == [[id, str(number), event] for number in (1, 2, 3, 4)]
    assert attempts == 4


def test_after_so_many_tries_a_delivery_is_dead(database: Database, tmp_path: Path) -> None:
    see(database, STARTING)
    clock = HandClock(60)

    async def main() -> None:
        async with dispatching(
            database, a_hook(a_script(tmp_path / "hook", "exit 75"), tries=3), clock=clock
        ) as dispatcher:
            for tries in (1, 2):
                await until_it_says(database, "state, attempts", ("pending", tries))
                clock.time += timedelta(hours=1)
                dispatcher.wake()
            await until(lambda: states(database) == {"dead"})

    asyncio.run(main())
    assert deliveries(database, "attempts, reason, next_at") == [
        (3, "asked to be tried again (exit code 75); that was try 3 of 3", None)
    ]


@pytest.mark.parametrize("told", ["hook.dead", "hook.*"])
def test_what_is_dead_is_told_to_hooks_that_ask_for_it_by_name(database: Database, tmp_path: Path, told: str) -> None:
    see(database, STARTING)
    dies = a_hook(a_script(tmp_path / "dies", "exit 75"), tries=1)
    everything = Hook(name="everything", on=("*",), run=a_script(tmp_path / "everything", "exit 0"))
    mourner = Hook(name="mourner", on=(told,), run=a_script(tmp_path / "mourner", f"cat > {tmp_path}/heard", "exit 75"))
    mourner = mourner.model_copy(update={"tries": 1})

    async def main() -> None:
        async with dispatching(database, dies, everything, mourner):
            # A hook on news of hooks that dies is news to nobody: it would hear of itself for ever.
            await until_it_says(database, "hook, state", ("hook", "dead"), ("mourner", "dead"))

    asyncio.run(main())
    event = json.loads((tmp_path / "heard").read_text())
    assert (event["type"], event["subject"], event["data"]["to"]) == ("hook.dead", "hook", "dead")
    ((id, of),) = sql(
        database, "SELECT d.id, e.id FROM deliveries d JOIN events e USING (sequence) WHERE hook = 'hook'"
    )
    assert event["data"]["hook"] == {
        "name": "hook",
        "action": "run",
        "delivery": id,
        "event": of,
        "event_type": "instance.starting",
        "reason": "asked to be tried again (exit code 75); that was try 1 of 1",
    }
    assert event["data"]["instance"]["fid"] == "inst_1"


def test_tries_of_a_notice_fit_before_its_deadline_however_few_tries_a_hook_has(
    database: Database, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    run = a_script(tmp_path / "hook", f'echo "$MITHRILD_REMAINING_SECONDS" >> {log}', "exit 75")
    see(database, PREEMPTING, seconds=59)
    deadline = seen_at(59 + 300)
    clock = HandClock(60)
    gaps = []

    async def main() -> None:
        async with dispatching(database, a_hook(run, tries=1), clock=clock) as dispatcher:
            tries = 0
            while True:
                tries += 1
                await until_it_says(database, "attempts", (tries,))
                await until(lambda: states(database) != {"running"})
                if states(database) != {"pending"}:
                    return
                ((due,),) = deliveries(database, "next_at")
                gaps.append((datetime.fromisoformat(due) - clock.now()).total_seconds())
                clock.time = datetime.fromisoformat(due)
                dispatcher.wake()

    asyncio.run(main())
    assert gaps[:5] == [2, 5, 10, 20, 40]
    assert len(gaps) >= 8
    assert clock.now() == deadline - timedelta(seconds=1)
    remaining = [int(line) for (line,) in starts(log)]
    assert remaining[0] == 300
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[-1] == 1
    assert deliveries(database, "state, reason") == [
        ("expired", "asked to be tried again (exit code 75); its deadline leaves no time for another try")
    ]


def test_nothing_of_a_try_is_at_work_when_the_next_begins(database: Database, tmp_path: Path) -> None:
    """A child that left the process group would go on beside the second try."""
    run = a_script(tmp_path / "hook", "setsid sleep 60 >/dev/null 2>&1 &", "exit 75")
    see(database, STARTING)

    async def main() -> None:
        async with dispatching(database, a_hook(run)):
            await until_it_says(database, "state, attempts", ("pending", 1))

    asyncio.run(main())
    assert survivors(DELIVERY_MARK, [id for (id,) in deliveries(database, "id")]) == []
