"""When things are done again. APScheduler only wakes; the delays come from `fleet.schedule`.

Each beat runs, says how long to wait, and is laid down again as one dated job. "Look at once" raises a
flag: a run that is already under way began before the wish, so it does not satisfy it, and the beat runs
again as soon as that one ends.

The scheduler sleeps by the wall clock. A clock that is set back would silence it for as long as it jumped,
so a watch compares the wall clock with the monotonic one every second, and wakes every beat after a jump,
and after the machine has slept (then the monotonic clock stood still).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from loguru import logger

from mithrild.clock import NO_JUMP, Clock, bearing

WATCH_EVERY = 1.0
RUN_LIMIT = 300.0  # an attempt that takes longer is given up; the budget may slow a large fleet for minutes


class Beat:
    """Something done again and again. `run` does it once and returns the seconds until the next time."""

    def __init__(self, name: str, run: Callable[[], Awaitable[float]]) -> None:
        self.name = name
        self.run = run
        self.wanted = False
        self.begun_at: float | None = None  # monotonic, while it runs


class Cadence:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: dict[str, Beat] = {}
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        )
        self._jump_watch: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    def add(self, beat: Beat, *, delay: float = 0.0) -> None:
        self._beats[beat.name] = beat
        self._lay_down(beat, delay)

    def start(self) -> None:
        self._scheduler.start()
        self._jump_watch = asyncio.create_task(self._watch_for_jumps())

    async def stop(self) -> None:
        """No new runs; those under way are cancelled. A commit that has begun in its thread still ends."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        tasks = [*self._running, *([self._jump_watch] if self._jump_watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def look_at_once(self, *names: str) -> None:
        """Runs these beats (all: none named) as soon as can be, once more if they are under way. A beat that
        is not laid down yet will look soon enough by itself."""
        for beat in list(self._beats.values()):
            if names and beat.name not in names:
                continue
            beat.wanted = True
            if beat.begun_at is None:
                self._lay_down(beat, 0.0)

    def _lay_down(self, beat: Beat, delay: float) -> None:
        when = self._clock.now() + timedelta(seconds=delay)
        self._scheduler.add_job(
            self._wake, DateTrigger(when), args=[beat], id=beat.name, name=beat.name, replace_existing=True
        )

    async def _wake(self, beat: Beat) -> None:
        """The scheduler's job ends here. Were it the run itself, a job laid down at its end would meet
        `max_instances` (the run still counts then) and be dropped without a word."""
        task = asyncio.create_task(self._beat(beat))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _beat(self, beat: Beat) -> None:
        if beat.begun_at is not None:
            beat.wanted = True
            return
        beat.wanted = False
        beat.begun_at = self._clock.monotonic()
        delay = RUN_LIMIT
        try:
            async with asyncio.timeout(RUN_LIMIT):
                delay = await beat.run()
        except TimeoutError:
            logger.error("{} took longer than {:.0f} s and was given up", beat.name, RUN_LIMIT)
            delay = 1.0
        except asyncio.CancelledError:
            raise
        except Exception:
            # A fault of ours must not end the watch: it is shown whole, and the beat goes on.
            logger.exception("{} failed in a way that was not foreseen; please report this", beat.name)
            delay = 30.0
        finally:
            beat.begun_at = None
        self._lay_down(beat, 0.0 if beat.wanted else delay)

    async def _watch_for_jumps(self) -> None:
        before = bearing(self._clock)
        while True:
            await self._clock.sleep(WATCH_EVERY)
            now = bearing(self._clock)
            if abs(now - before) > NO_JUMP:
                logger.info("the clock jumped by {:+.0f} s: looking at once", (now - before).total_seconds())
                self.look_at_once()
            before = now
