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

from mithrild.clock import Bearings, Clock
from mithrild.config import Config
from mithrild.errors import (
    ForeignAccount,
    KeyRefused,
    MarketplaceError,
    Paused,
    StoreError,
    Unreachable,
)
from mithrild.fleet.model import Project
from mithrild.fleet.pace import Intervals, interval, liveliest
from mithrild.fleet.routing import HookRule
from mithrild.fleet.schedule import next_poll
from mithrild.health import Health
from mithrild.logs import Trouble
from mithrild.marketplace.budget import RequestBudget, on_behalf_of
from mithrild.marketplace.client import Marketplace
from mithrild.store import inventory
from mithrild.store.database import Database
from mithrild.watcher.cadence import Beat, Cadence
from mithrild.watcher.conditions import Conditions
from mithrild.watcher.looking_back import LookingBack
from mithrild.watcher.poller import Poller, Tick
from mithrild.watcher.projects import find_projects
from mithrild.watcher.recorder import Recorder
from mithrild.watcher.rounds import Rounds
from mithrild.watcher.standing import Standing

KEY_AGAIN = 300.0  # seconds until a refused key is tried once more, on /me
DISK_AGAIN = 2.0  # seconds until the next poll after one that could not be kept
# A pause of the polls that is no gap: three of them, and never less than this many seconds.
GAP = 20.0


class Watch:
    """Beats: `poll` (bids and instances), `prices`, `clusters`, `inventory` (types, members), `history`, and `outage`,
    which is laid down by one."""

    def __init__(
        self,
        config: Callable[[], Config],
        marketplace: Marketplace,
        budget: RequestBudget,
        database: Database,
        cadence: Cadence,
        clock: Clock,
        *,
        bearings: Bearings,
        host: str,
        on_commit: Callable[[], None],
        on_foreign_account: Callable[[ForeignAccount], None],
    ) -> None:
        self._config, self._marketplace, self.budget = config, marketplace, budget
        self._database, self._cadence, self._clock = database, cadence, clock
        self._on_foreign_account = on_foreign_account
        self.health = Health()
        self.recorder = Recorder(database, self._rules, host, on_commit, bearings, pause=self._pause)
        self._disk = Trouble("record", clock)
        conditions = Conditions(database, config().api_url, self._rules, host, on_commit)
        self._standing = Standing(conditions, cadence, clock, self.health, self._disk)
        self.pollers: list[Poller] | None = None  # None until we know whose key this is
        self._took = 0.0  # seconds, the last poll
        self._good_key: SecretStr | None = None  # the last one that was this account's
        self._generation = 0  # counts the keys
        self.rounds = Rounds(config, marketplace, database, clock, self.health, self._standing, self._look_at_once)
        self.looking_back = LookingBack(
            marketplace,
            budget,
            database,
            self.recorder,
            cadence,
            clock,
            away=lambda: self.health.key != "ok" or self._standing.away or database.holds,
        )

    def begin(self) -> None:
        self._cadence.add(Beat("poll", self.poll))

    def new_key(self) -> None:
        """The configuration changed: whatever was refused is tried again, at once."""
        self._marketplace.use_key(self._config().api_key)
        self._generation += 1
        self._standing.failures = 0
        self.health.key = "unknown"
        self._look_at_once()

    def _look_at_once(self) -> None:
        self._cadence.look_at_once("poll")

    def _rules(self) -> Sequence[HookRule]:
        return [hook.rule() for hook in self._config().hooks]

    async def poll(self) -> float:
        """One tick of every project. Returns the seconds until the next."""
        with on_behalf_of("polls"):
            return await self._poll()

    async def _poll(self) -> float:
        spent, begun = self.budget.total["polls"], self._clock.monotonic()
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
            config = self._config()
            await self._standing.refused(error, missing=config.api_key is None, places=config.key_places)
            wait = KEY_AGAIN
        except MarketplaceError as error:
            failures.append(error)
        except StoreError as error:
            # The disk is no fault of the marketplace's, and no reason to look away from it.
            self._disk.failed(str(error))
            self.health.last_error = str(error)
            wait = DISK_AGAIN
        if wait is None:
            await self._judge(ticks, failures)
        self.health.polled(self._clock.monotonic())
        self.health.ahead = self._marketplace.skew
        asked = max([one.retry_after or 0.0 for one in failures if isinstance(one, Unreachable)], default=0.0)
        if wait is None and not ticks and failures and all(isinstance(one, Paused) for one in failures):
            wait = asked  # another beat may have had us look while a pause lasted: it ends when it would have anyway
        cost = self.budget.total["polls"] - spent
        self.health.interval = wait or self._interval(cost, asked if not ticks else 0.0)
        self._took = self._clock.monotonic() - begun
        return self.health.interval

    async def _judge(self, ticks: Sequence[Tick], failures: Sequence[MarketplaceError]) -> None:
        """What a poll was worth that could be kept."""
        if not ticks:
            if failures:
                await self._standing.failed(failures[0])
            return
        # A listing that stays broken, or a project, is no reason to look less often: the others still tell.
        paces = [tick.pace for tick in ticks]
        self.health.pace = liveliest([*paces, self.health.pace] if failures else paces)
        for tick in ticks:
            self.health.put_aside(tick.set_aside)
        await self._standing.answered([*map(str, failures), *(line for tick in ticks for line in tick.trouble)])

    def _interval(self, cost: int, retry_after: float) -> float:
        """Seconds until the next poll, after one that was kept or that failed."""
        poll, health = self._config().poll, self.health
        often = Intervals(*(each.total_seconds() for each in (poll.changing, poll.active, poll.idle)))

        def after(pause: float) -> float:
            return next_poll(
                pause,
                failures=self._standing.failures,
                draw=random.random(),  # noqa: S311  # jitter, not a secret
                retry_after=retry_after,
                cost=cost,
                cap_per_minute=self.budget.cap,
            )

        now = self.rounds.auctions.theirs(self._clock.now())
        if not self._standing.failures:
            health.usual = after(interval(health.pace, often, None, now))
        return after(interval(health.pace, often, health.rhythm, now))

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
        await self._standing.accepted()
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
