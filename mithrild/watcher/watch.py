"""The watch of one account: gets to know it, then polls its projects, its market and its inventory.

Everything here survives a marketplace that is away, at the start too: the projects that the record already
holds are served meanwhile, and the first answer sets the watch going.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import timedelta

from loguru import logger
from pydantic import SecretStr

from mithrild.clock import Clock
from mithrild.config import Config
from mithrild.errors import (
    BrokenAnswer,
    ForeignAccount,
    KeyRefused,
    KeyUnusable,
    MarketplaceError,
    StoreError,
    Unreachable,
)
from mithrild.fleet.model import Project
from mithrild.fleet.routing import HookRule
from mithrild.fleet.schedule import next_poll
from mithrild.health import Health
from mithrild.logs import Trouble
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace
from mithrild.store import inventory
from mithrild.store.database import Database
from mithrild.watcher.cadence import Beat, Cadence
from mithrild.watcher.conditions import Condition, Conditions
from mithrild.watcher.looking_back import LookingBack
from mithrild.watcher.poller import Poller, Tick
from mithrild.watcher.projects import find_projects
from mithrild.watcher.recorder import Recorder
from mithrild.watcher.rounds import Rounds

KEY_AGAIN = 300.0  # seconds until a refused key is tried once more, on /me
DISK_AGAIN = 2.0  # seconds until the next poll after one that could not be kept
# A pause of the polls that is no gap: three of them, and never less than this many seconds.
GAP = 20.0
UNREACHABLE_AFTER = timedelta(minutes=2)


class Watch:
    """Beats: `poll` (bids and instances), `prices`, `clusters`, `inventory` (types, members)."""

    def __init__(
        self,
        config: Callable[[], Config],
        marketplace: Marketplace,
        budget: RequestBudget,
        database: Database,
        cadence: Cadence,
        clock: Clock,
        *,
        host: str,
        on_commit: Callable[[], None],
        on_foreign_account: Callable[[ForeignAccount], None],
    ) -> None:
        self._config, self._marketplace, self._budget = config, marketplace, budget
        self._database, self._cadence, self._clock = database, cadence, clock
        self._on_foreign_account = on_foreign_account
        self.health = Health()
        self.recorder = Recorder(database, self._rules, host, on_commit, pause=self._pause)
        self._conditions = Conditions(database, config().api_url, self._rules, host, on_commit)
        self._trouble = Trouble("marketplace", clock)
        self._disk = Trouble("record", clock)
        self.pollers: list[Poller] | None = None  # None until we know whose key this is
        self._failures = 0
        self._took = 0.0  # seconds, the last poll
        self._good_key: SecretStr | None = None  # the last one that was this account's
        self._generation = 0  # counts the keys
        self.rounds = Rounds(config, marketplace, database, clock, self.health, self._away)
        self.looking_back = LookingBack(
            marketplace,
            budget,
            database,
            self.recorder,
            cadence,
            clock,
            away=lambda: self.health.key != "ok" or self._away(),
        )

    def begin(self) -> None:
        self._cadence.add(Beat("poll", self.poll))

    def new_key(self) -> None:
        """The configuration changed: whatever was refused is tried again, at once."""
        self._marketplace.use_key(self._config().api_key)
        self._generation += 1
        self._failures = 0
        self.health.key = "unknown"
        self._cadence.look_at_once("poll")

    def _away(self) -> bool:
        return self._failures > 0 or not self.health.reachable

    def _rules(self) -> Sequence[HookRule]:
        return [hook.rule() for hook in self._config().hooks]

    async def poll(self) -> float:
        """One tick of every project. Returns the seconds until the next."""
        spent, begun = self._budget.total, self._clock.monotonic()
        failures: list[MarketplaceError] = []
        ticks: list[Tick] = []
        wait = None
        try:
            if self.pollers is None or self.health.key != "ok":
                await self._get_to_know()
            answers = await asyncio.gather(*(poller.tick() for poller in self.pollers or ()), return_exceptions=True)
            for answer in answers:
                if isinstance(answer, Tick):
                    ticks.append(answer)
                elif isinstance(answer, MarketplaceError):
                    failures.append(answer)
                else:
                    raise answer
            if any(isinstance(failure, KeyRefused) for failure in failures):
                # One project may be closed to us, or a gateway have hiccuped: /me says whether it is the key.
                await self._marketplace.me()
            self._disk.recovered()
        except KeyRefused as error:
            return await self._refused(error)
        except MarketplaceError as error:
            failures.append(error)
        except StoreError as error:
            # The disk is no fault of the marketplace's, and no reason to look away from it.
            self._disk.failed(str(error))
            self.health.last_error = str(error)
            wait = DISK_AGAIN
        self.health.polls += 1
        if wait is not None:
            pass  # what was seen is not kept: nothing can be said of it
        elif ticks:
            await self._went(ticks, failures)
        elif failures:
            await self._failed(failures[0])
        poll = self._config().poll
        retry_after = [one.retry_after for one in failures if isinstance(one, Unreachable)] if not ticks else []
        self.health.interval = wait or next_poll(
            interval_active=poll.active.total_seconds(),
            interval_idle=poll.idle.total_seconds(),
            busy=any(tick.busy for tick in ticks),
            failures=self._failures,
            draw=random.random(),  # noqa: S311  # jitter, not a secret
            retry_after=next((seconds for seconds in retry_after if seconds is not None), None),
            cost=self._budget.total - spent,
            cap_per_minute=self._budget.cap,
        )
        if not self._failures and wait is None:
            self.health.usual = self.health.interval
        self._took = self._clock.monotonic() - begun
        return self.health.interval

    async def stop(self) -> None:
        for poller in self.pollers or ():
            await poller.stop()

    async def _get_to_know(self) -> None:
        """Whose key is this, and which projects are watched? The first time it lays down the other beats too."""
        key, generation = self._config().api_key, self._generation
        try:
            account = await self._marketplace.me()
        except Unreachable:
            # After a reload the key is asked about once more. One that was good a moment ago need not wait for that.
            if self.pollers is None or key is None or key != self._good_key:
                raise
            return
        if generation != self._generation:
            return  # that was the key from before; the poll that is wanted now asks about the new one
        try:
            await asyncio.to_thread(self._database.claim_for, self._config().api_url, account.organization)
        except ForeignAccount as error:
            if self._good_key is None:
                self._on_foreign_account(error)
                raise
            logger.error("{}; the key from before is kept", error)
            self._marketplace.use_key(self._good_key)
            await self._marketplace.me()
        else:
            self._good_key = key
            self.health.user = account.email or account.user
        self.health.key, self.health.key_message = "ok", None
        await self._state("accepted")
        if self.pollers is not None:
            return
        try:
            projects = await find_projects(self._config().projects, self._database, self._marketplace)
        except KeyRefused as error:
            # /me has just taken this key: it is the list of projects that is closed to us.
            raise MarketplaceError(str(error)) from None
        await asyncio.to_thread(inventory.keep_projects, self._database, projects)
        self.pollers = [self._poller(project) for project in projects]
        logger.info("watching {}", ", ".join(f"{project.name} ({project.fid})" for project in projects))
        # These run beside the first look at bids, which waits for none of them.
        for beat in self.rounds.beats(self.pollers):
            self._cadence.add(beat)
        self.looking_back.begin([project.fid for project in projects])

    def _poller(self, project: Project) -> Poller:
        return Poller(
            project.fid,
            self._marketplace,
            self._database,
            self.recorder,
            self._clock,
            lambda: self._config().poll.instances,
        )

    def _pause(self) -> timedelta:
        return timedelta(seconds=max(3 * (self.health.usual + self._took), GAP))

    async def _went(self, ticks: Sequence[Tick], failures: Sequence[MarketplaceError]) -> None:
        # A listing that stays broken, or a project, is no reason to look less often: the others still tell.
        self._failures = 0
        for tick in ticks:
            self.health.put_aside(tick.set_aside)
        trouble = [str(failure) for failure in failures] + [line for tick in ticks for line in tick.trouble]
        if trouble:
            self.health.discarded += 1
            self.health.last_error = trouble[0]
            self._trouble.failed(f"{trouble[0]}; nothing is concluded from what is missing")
        else:
            self.health.last_error = None
            if self._trouble.recovered():
                self._cadence.look_at_once("prices", "clusters")
        self.health.reachable, self.health.failing_since = True, None
        await self._state("reachable")

    async def _failed(self, error: MarketplaceError) -> None:
        now = self._clock.now()
        self._failures += 1
        self.health.discarded += 1
        self.health.last_error = str(error)
        self._trouble.failed(str(error))
        if not isinstance(error, Unreachable | BrokenAnswer):
            return
        self.health.reachable = False
        self.health.failing_since = self.health.failing_since or now
        if now - self.health.failing_since >= UNREACHABLE_AFTER:
            await self._state("unreachable")

    async def _refused(self, error: KeyRefused) -> float:
        missing = self._config().api_key is None
        if not isinstance(error, KeyUnusable):
            self.health.reachable, self._failures = True, 0  # it answered
            await self._state("reachable")
        self.health.polls += 1
        self.health.discarded += 1
        self.health.failing_since = None
        self.health.key = "missing" if missing else "refused"
        self.health.key_message = str(error)
        self.health.last_error = "there is no API key" if missing else str(error)
        self._trouble.failed(
            f"there is no API key; it is looked for in {self._config().key_places}"
            if missing
            else f"the key was refused ({error}); a key is looked for in {self._config().key_places}"
        )
        if not missing:
            await self._state("rejected")
        self.health.interval = KEY_AGAIN
        return KEY_AGAIN

    async def _state(self, condition: Condition) -> None:
        try:
            await self._conditions.are(condition, self._clock.now())
        except StoreError as error:
            self._disk.failed(str(error))
