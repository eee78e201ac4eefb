"""The scheduler wakes, and never drops a wish to look at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from mithrild.clock import SystemClock
from mithrild.watcher import cadence as cadences
from mithrild.watcher.cadence import Beat, Cadence
from tests.integration.jumping_clock import JumpingClock

CAP = 20.0


class Counter:
    """A beat that counts its runs, and can be held up in the middle of one."""

    def __init__(self, delay: float) -> None:
        self.runs, self.delay = 0, delay
        self.ran = asyncio.Condition()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def run(self) -> float:
        async with self.ran:
            self.runs += 1
            self.ran.notify_all()
        await self.go_on.wait()
        return self.delay

    async def reach(self, runs: int) -> None:
        async with asyncio.timeout(CAP), self.ran:
            await self.ran.wait_for(lambda: self.runs >= runs)


def with_beat(delay: float, story: Callable[[Cadence, Counter, JumpingClock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = JumpingClock()
        patch.setattr("apscheduler.schedulers.base.datetime", clock.as_datetime())
        cadence, counter = Cadence(clock), Counter(delay)
        cadence.add(Beat("count", counter.run))
        cadence.start()
        try:
            await story(cadence, counter, clock)
        finally:
            await cadence.stop()

    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(run())


def test_a_beat_goes_on_as_often_as_it_says() -> None:
    async def story(cadence: Cadence, counter: Counter, clock: JumpingClock) -> None:
        await counter.reach(5)

    with_beat(0.01, story)


def test_look_at_once_wakes_a_beat_that_waits() -> None:
    async def story(cadence: Cadence, counter: Counter, clock: JumpingClock) -> None:
        await counter.reach(1)
        for runs in range(2, 8):
            cadence.look_at_once("count")
            await counter.reach(runs)

    with_beat(3600.0, story)


def test_a_run_that_began_before_the_wish_does_not_satisfy_it() -> None:
    async def story(cadence: Cadence, counter: Counter, clock: JumpingClock) -> None:
        await counter.reach(1)
        counter.go_on.clear()
        cadence.look_at_once("count")
        await counter.reach(2)
        cadence.look_at_once("count")
        cadence.look_at_once("count")
        counter.go_on.set()
        await counter.reach(3)

    with_beat(3600.0, story)


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    async def story(cadence: Cadence, counter: Counter, clock: JumpingClock) -> None:
        await counter.reach(2)
        clock.offset = -timedelta(hours=4)
        await counter.reach(counter.runs + 3)

    with_beat(0.05, story)


def test_a_machine_that_slept_looks_once_at_once() -> None:
    async def story(cadence: Cadence, counter: Counter, clock: JumpingClock) -> None:
        await counter.reach(1)
        clock.offset = timedelta(hours=8)
        await counter.reach(2)

    with_beat(3600.0, story)


def test_a_fault_of_ours_does_not_end_the_beat() -> None:
    async def run() -> None:
        runs = 0

        async def fail() -> float:
            nonlocal runs
            runs += 1
            raise ZeroDivisionError

        cadence = Cadence(SystemClock())
        cadence.add(Beat("fail", fail))
        cadence.start()
        try:
            async with asyncio.timeout(CAP):
                while runs < 2:
                    await asyncio.sleep(0.005)
                    cadence.look_at_once("fail")
        finally:
            await cadence.stop()

    asyncio.run(run())


def test_an_attempt_that_hangs_is_given_up_and_made_again() -> None:
    async def story(cadence: Cadence, counter: Counter, clock: JumpingClock) -> None:
        counter.go_on.clear()
        await counter.reach(1)
        await counter.reach(2)

    limit, cadences.RUN_LIMIT = cadences.RUN_LIMIT, 0.05
    try:
        with_beat(0.01, story)
    finally:
        cadences.RUN_LIMIT = limit
