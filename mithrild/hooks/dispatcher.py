"""Takes deliveries from the outbox and sees each to an end that is recorded.

Each action of each hook is a lane with places of its own, so a slow target holds up nothing but its lane. A try is
claimed before its effect and settled after it; what a stop of the daemon cuts short is handed back, uncounted.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from loguru import logger

from mithrild.clock import NO_JUMP, Bearings, Clock, bearing
from mithrild.config import Hook
from mithrild.errors import StoreError
from mithrild.fleet.schedule import GATHERED
from mithrild.hooks.action import Job
from mithrild.hooks.actions import Actions
from mithrild.hooks.circuits import Circuits
from mithrild.hooks.ending import judge, label, scrubbed, summary, writes_of
from mithrild.hooks.looks import Looks
from mithrild.hooks.secrets import Secrets
from mithrild.hooks.settling import Settler
from mithrild.hooks.survivors import end_survivors
from mithrild.hooks.under_way import Try, UnderWay
from mithrild.logs import Trouble
from mithrild.store import lanes as queueing
from mithrild.store import leases, outbox, rehearsals, switches
from mithrild.store.database import Database
from mithrild.store.due import UNSURE
from mithrild.store.news import Press, Write
from mithrild.store.outbox import Claim, End, Lane, Outcome

PASS = 0.03  # seconds at least between two looks: of many tries that end together, the places are given out at once
STORE_AGAIN = 2.0  # seconds between tries to write down what is already done


class Dispatcher:
    """`run` is this process's name in the leases. `wake` is to be called after every commit; `on_commit` is called
    after ours, when they hold news. `keys` are what no hook's output may show beside the secrets of hooks. Without
    `bearings` our clock is trusted."""

    def __init__(
        self,
        database: Database,
        hooks: Callable[[], Sequence[Hook]],
        clock: Clock,
        run: str,
        *,
        env: Mapping[str, str] = os.environ,
        host: str = "",
        keys: Callable[[], Collection[str]] = tuple,
        bearings: Bearings | None = None,
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._database, self._hooks, self._clock, self._run = database, hooks, clock, run
        self._host, self._keys, self._on_commit = host or socket.gethostname(), keys, on_commit
        self._secrets = Secrets(env)
        self._actions = Actions(clock, database, self._secrets, env)
        self._learned: Sequence[Hook] | None = None
        self._disk = Trouble("outbox", clock)
        self._looks = Looks(clock)
        self._bearings, self._held = bearings, True  # whether anything may wait for our clock to be known
        self._rehearsing: set[Lane] = set()
        self._stopping = asyncio.Event()  # no new starts
        self._ending = False  # the grace is over: what still runs is ended
        self._under_way = UnderWay()
        self._circuits = Circuits(clock)
        self._settler = Settler(lambda ends: outbox.settle_all(database, ends, run=run))
        self._claiming = asyncio.Lock()  # held from a claim until each claim has its task

    def wake(self) -> None:
        self._looks.at_all()

    async def end_rehearsal(self, rehearsal: str, why: str) -> int:
        """Ends what runs for a test or drill of which nothing is queued any more. How many tries that is."""
        async with self._claiming:
            return self._under_way.end_rehearsal(rehearsal, why)

    async def recover(self) -> None:
        """At start, as the holder of the lock: ends what survived the last daemon, and voids its leases. Drills and
        tests that it had begun do not go on."""
        lost = await asyncio.to_thread(leases.unfinished_leases, self._database)
        # What is claimed while the disk refuses is still pending on record, and may have been under way all the same.
        ended = await end_survivors(await asyncio.to_thread(leases.unended, self._database))
        if ended:
            logger.warning("{} processes of hooks had survived the last daemon and were ended", sum(ended.values()))
        if lost:
            await asyncio.to_thread(leases.void_leases, self._database, self._clock.now())
            logger.info("{} deliveries were under way when the last daemon ended", len(lost))
        rehearsed = await asyncio.to_thread(rehearsals.end_all, self._database, self._clock.now())
        if rehearsed:
            logger.warning("{} deliveries of drills or tests were interrupted; they do not run again", rehearsed)

    async def serve(self) -> None:
        """Until `stop`. A record that cannot even be read is waited for: nothing is started that is not claimed."""
        while not self._stopping.is_set():
            begun = asyncio.get_running_loop().time()
            # One moment for both: what falls due between two would be seen by neither.
            now = self._clock.now()
            lanes = self._looks.take(now)
            try:
                if self._held and self._is_clock_known():
                    await self._let_go(now)
                    lanes = None
                async with self._claiming:
                    await self._start_due(now, lanes)
                due = await asyncio.to_thread(queueing.next_due, self._database, now)
                self._looks.plan(due, self._circuits.seconds_to_a_look())
                wait = self._looks.seconds()
                self._disk.recovered()
            except StoreError as error:
                self._disk.failed(str(error))
                self._looks.came_to_nothing()
                wait = STORE_AGAIN
            waiting = [asyncio.create_task(self._looks.wanted.wait()), asyncio.create_task(self._stopping.wait())]
            try:
                await asyncio.wait(waiting, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
            await asyncio.sleep(max(begun + PASS - asyncio.get_running_loop().time(), 0.0))

    async def stop(self, grace: timedelta) -> None:
        """No new starts; what runs gets `grace`, then TERM and KILL, and is handed back as interrupted."""
        self._stopping.set()
        async with self._claiming:
            running = self._under_way.tasks()
        if running:
            logger.info("waiting up to {:.0f} s for {} running hooks", grace.total_seconds(), len(running))
            await asyncio.wait(running, timeout=grace.total_seconds())
            self._ending = True
            self._under_way.stop()
            await asyncio.gather(*running, return_exceptions=True)
        await self._actions.aclose()

    async def _let_go(self, now: datetime) -> None:
        """What is held while this is under way is let go the next time."""
        self._held = False
        try:
            await asyncio.to_thread(queueing.let_go, self._database, now)
        except BaseException:
            self._held = True
            raise

    def _is_clock_known(self) -> bool:
        known = self._bearings is None or self._bearings.hold()
        self._held |= not known
        return known

    async def _start_due(self, now: datetime, looked_at: set[Lane] | None) -> None:
        """What is due in these lanes, None for all."""
        hooks = self._hooks()
        await self._learn(hooks)
        lanes = {(hook.name, action): hook for hook in hooks for action in hook.actions}
        if looked_at is None:
            looked_at = set(await asyncio.to_thread(queueing.waiting_lanes, self._database))
            looked_at -= await self._cancelled(looked_at, lanes, now)
            self._rehearsing = set(await asyncio.to_thread(queueing.rehearsing_lanes, self._database))
        looks = [self._look(hook, lane, now) for lane, hook in lanes.items() if lane in looked_at]
        # Side by side, since what each of them mostly does is wait its turn; and all to their end, whatever one meets.
        for outcome in await asyncio.gather(*looks, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _look(self, hook: Hook, lane: Lane, now: datetime) -> None:
        for rehearsed in (False, True) if lane in self._rehearsing else (False,):
            if not self._stopping.is_set():
                await self._start(hook, lane, now, rehearsed=rehearsed)

    async def _start(self, hook: Hook, lane: Lane, now: datetime, *, rehearsed: bool) -> None:
        """What really happened, or what is rehearsed: that has places of its own, and takes none from the other."""
        places = _rehearsing(lane) if rehearsed else lane
        if hook.mode == "restart":
            for id, why in (await asyncio.to_thread(queueing.overtake, self._database, lane, now)).items():
                self._under_way.overtake(places, id, why)
        then = bearing(self._clock) if self._is_clock_known() else None
        for claim in await self._claim(hook, lane, now, rehearsed=rehearsed):
            deliver, look = partial(self._deliver, hook, claim, then), partial(self._looks.at, lane)
            self._under_way.begin(places, claim.id, deliver, look, claim.rehearsal)
        if hook.mode == "single" and self._under_way.count(places):
            await asyncio.to_thread(queueing.drop_new, self._database, lane, now, rehearsed=rehearsed)

    async def _claim(self, hook: Hook, lane: Lane, now: datetime, *, rehearsed: bool) -> list[Claim]:
        """What may begin now: as many as there are places, as far as their target is not to be left alone."""
        under_way = self._under_way.count(_rehearsing(lane) if rehearsed else lane)
        free = hook.places(lane[1]) - under_way
        if free <= 0:
            return []
        take = partial(
            outbox.claim,
            self._database,
            lane,
            max_age=hook.oldest,
            run=self._run,
            now=now,
            rule=hook.rule(),
            gather=lane[1].startswith(GATHERED),
            in_line=hook.mode == "queue",
            rehearsed=rehearsed,
            sure=self._is_clock_known(),
        )
        admitted = self._circuits.admits(hook.target(lane[1]))
        if admitted == "all":
            return await asyncio.to_thread(take, free=free)
        claims = await asyncio.to_thread(take, free=free, urgent=True)
        if admitted == "one" and not claims and not under_way:
            claims = await asyncio.to_thread(take, free=1)
        return claims

    async def _learn(self, hooks: Sequence[Hook]) -> None:
        """What the hooks of a new configuration must not be heard saying."""
        if hooks is not self._learned:
            self._secrets.hide(self._keys())
            await asyncio.to_thread(self._secrets.learn, hooks)
            self._learned = hooks

    async def _cancelled(self, waiting: set[Lane], lanes: Mapping[Lane, Hook], now: datetime) -> set[Lane]:
        """Ends, visibly, what is queued for hooks and actions that are there no more, or are switched off."""
        ended = {lane: _why_not_there(lane, lanes) for lane in waiting - lanes.keys()}
        for lane, off in (await asyncio.to_thread(switches.switched_off, self._database)).items():
            hook = lanes.get(lane)
            if hook is not None and hook.mark(lane[1]) != off.mark:
                await asyncio.to_thread(switches.switch_on, self._database, lane)
                logger.info("hook {}: its {} was changed, and is on again", *lane)
            elif lane in waiting:
                ended[lane] = f"switched off since {off.at:%Y-%m-%d %H:%M} UTC: {off.reason}"
        for lane, why in ended.items():
            await asyncio.to_thread(queueing.cancel, self._database, lane, why, now)
        return set(ended)

    async def _deliver(self, hook: Hook, claim: Claim, then: timedelta | None, one: Try) -> None:
        if self._stopping.is_set():
            why = "not started: the daemon is stopping"
            now = self._clock.now()
            await self._settle(claim, Outcome("pending", "interrupted", why, next_at=now, counts=False))
            return
        try:
            await self._try(hook, claim, then, one)
        except Exception as error:
            # A fault of ours (or of the machine: no descriptor is left) must not leave the delivery claimed for
            # ever, and with it everything that waits behind it.
            reason = self._secrets.scrub(f"not foreseen: {type(error).__name__}: {error}")
            said = RuntimeError(reason).with_traceback(error.__traceback__)
            logger.opt(exception=said).error("{} failed; please report this", label(hook, claim))
            await self._settle(claim, Outcome(state="failed", outcome="failed", reason=reason))

    async def _try(self, hook: Hook, claim: Claim, then: timedelta | None, one: Try) -> None:
        """`then`: the bearing of our clock when this was claimed, None if that was not known."""
        job = Job(hook, claim, one.stop)
        event = f"{job.event['type']} ({job.event['id']})"
        logger.debug("{} starts for {}, try {}", label(hook, claim), event, claim.number)
        result = await self._actions.named(claim.action).deliver(job)
        now = self._clock.now()
        if self._circuits.note(hook.target(claim.action), result.ending):
            self.wake()  # other lanes may have the same target
        result = scrubbed(result, self._secrets)
        outcome = judge(hook, claim, result, now, one.overtaken)
        # The deadline of the claim may be by a clock that was set before it, or has been since.
        was_set = then is None or abs(bearing(self._clock) - then) > NO_JUMP
        if held := outcome.state == "expired" and was_set:
            outcome = replace(outcome, state="pending", reason=f"{result.reason}; {UNSURE}")
        log = logger.warning if outcome.state in ("failed", "dead", "expired") else logger.info
        log("{} for {}: {}{}", label(hook, claim), event, outcome.state, summary(outcome))
        press = Press(self._database, self._host, [one.rule() for one in self._hooks()], now)
        await self._settle(claim, outcome, writes_of(press, hook, claim, result, outcome))
        if held:
            self._held = True
            self.wake()

    async def _settle(self, claim: Claim, outcome: Outcome, also: Sequence[Write] = ()) -> None:
        """Its effect is done, so this is tried until the disk takes it: a repeat would be the greater harm."""
        end = End(claim, outcome, self._clock.now(), also)
        while True:
            try:
                await self._settler.settle(end)
                if also:
                    self._on_commit()
                    self.wake()
                return
            except StoreError as error:
                self._disk.failed(str(error))
                if self._ending:
                    return
                await self._clock.sleep(STORE_AGAIN)


def _rehearsing(lane: Lane) -> Lane:
    """Where the tries of tests and drills are counted: beside those of their lane."""
    return lane[0], f"{lane[1]} (rehearsed)"


def _why_not_there(lane: Lane, lanes: Collection[Lane]) -> str:
    if any(hook == lane[0] for hook, _ in lanes):
        return f"the hook has no {lane[1]} any more"
    return "the hook is no longer configured"
