"""The watch of one account: gets to know it, then polls its projects, its market and its inventory.

Everything here survives a marketplace that is away, at the start too: the projects that the record already
holds are served meanwhile, and the first answer sets the watch going.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from loguru import logger

from mithrild.clock import Clock
from mithrild.config import KEY_PLACES, Config
from mithrild.errors import KeyRefused, MarketplaceError, StoreError, Unreachable
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
from mithrild.watcher.conditions import Conditions
from mithrild.watcher.poller import Poller, Tick
from mithrild.watcher.recorder import Recorder

KEY_AGAIN = 300.0  # seconds until a refused key is tried once more, on /me
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
        on_foreign_account: Callable[[StoreError], None],
    ) -> None:
        self._config, self._marketplace, self._budget = config, marketplace, budget
        self._database, self._cadence, self._clock = database, cadence, clock
        self._on_foreign_account = on_foreign_account
        self.health = Health()
        self.recorder = Recorder(database, self._rules, host, on_commit)
        self._conditions = Conditions(database, config().api_url, self._rules, host, on_commit)
        self._trouble = Trouble("marketplace", clock)
        self._pollers: list[Poller] | None = None  # None until we know whose key this is
        self._failures = 0

    def begin(self) -> None:
        self._cadence.add(Beat("poll", self.poll))

    def new_key(self) -> None:
        """The configuration changed: whatever was refused is tried again, at once."""
        self._marketplace.use_key(self._config().api_key)
        self._failures = 0
        self.health.key = "unknown"
        self._cadence.look_at_once("poll")

    def _rules(self) -> Sequence[HookRule]:
        return [hook.rule() for hook in self._config().hooks]

    async def poll(self) -> float:
        """One tick of every project. Returns the seconds until the next."""
        spent = self._budget.total
        busy, retry_after = False, None
        try:
            if self._pollers is None or self.health.key in ("refused", "missing"):
                await self._get_to_know()
            ticks = [await poller.tick() for poller in self._pollers or ()]
            busy = any(tick.busy for tick in ticks)
            await self._went(ticks)
        except KeyRefused as error:
            return await self._refused(error)
        except (MarketplaceError, StoreError) as error:
            retry_after = error.retry_after if isinstance(error, Unreachable) else None
            await self._failed(error)
        poll = self._config().poll
        self.health.interval = next_poll(
            interval_active=poll.active.total_seconds(),
            interval_idle=poll.idle.total_seconds(),
            busy=busy,
            failures=self._failures,
            draw=random.random(),  # noqa: S311  # jitter, not a secret
            retry_after=retry_after,
            cost=self._budget.total - spent,
            cap_per_minute=self._budget.cap,
        )
        return self.health.interval

    async def _get_to_know(self) -> None:
        """Whose key is this, and which projects are watched? Lays down the other beats once that is known."""
        account = await self._marketplace.me()
        try:
            await asyncio.to_thread(self._database.claim_for, self._config().api_url, account.organization)
        except StoreError as error:
            self._on_foreign_account(error)
            raise
        self.health.key, self.health.key_message = "ok", None
        self.health.user = account.email or account.user
        await self._conditions.are("accepted", self._clock.now())
        if self._pollers is not None:
            return
        projects = self._chosen(await self._marketplace.projects())
        await asyncio.to_thread(inventory.keep_projects, self._database, projects)
        # Events tell types and prices by name, so these come first; a marketplace that lacks them is still watched.
        await self._aside(self._keep_inventory)
        await self._aside(self._keep_prices)
        self._pollers = [
            Poller(
                project.fid,
                self._marketplace,
                self._database,
                self.recorder,
                self._clock,
                lambda: self._config().poll.instances,
            )
            for project in projects
        ]
        logger.info("watching {}", ", ".join(f"{project.name} ({project.fid})" for project in projects))
        poll = self._config().poll
        self._cadence.add(Beat("clusters", self._clusters))
        self._cadence.add(Beat("prices", self._prices), delay=poll.prices.total_seconds())
        self._cadence.add(Beat("inventory", self._inventory), delay=poll.inventory.total_seconds())

    def _chosen(self, there: Sequence[Project]) -> list[Project]:
        """The configured projects, by name or fid; without any, the only one there is."""
        choices = ", ".join(f"{project.name} ({project.fid})" for project in there)
        wanted = self._config().projects
        if not wanted:
            if len(there) == 1:
                return list(there)
            raise MarketplaceError(
                f"no project is named; set MITHRIL_PROJECT, or projects in config.toml, to one of: {choices}"
            )
        chosen: dict[str, Project] = {}
        for name in wanted:
            found = [project for project in there if name in (project.fid, project.name)]
            if not found:
                raise MarketplaceError(f"this key sees no project {name!r}; it sees: {choices or 'none'}")
            chosen |= {project.fid: project for project in found}
        return list(chosen.values())

    async def _went(self, ticks: Sequence[Tick]) -> None:
        # A listing that stays broken is no reason to look less often: the other listings still tell of notices.
        self._failures = 0
        self.health.polls += 1
        for tick in ticks:
            self.health.put_aside(tick.set_aside)
        trouble = [line for tick in ticks for line in tick.trouble]
        if trouble:
            self.health.discarded += 1
            self.health.last_error = trouble[0]
            self._trouble.failed(f"{trouble[0]}; nothing is concluded from what is missing")
        else:
            self.health.last_error = None
            if self._trouble.recovered():
                self._cadence.look_at_once(*(name for name in ("prices", "clusters") if self._pollers))
        self.health.reachable, self.health.failing_since = True, None
        await self._conditions.are("reachable", self._clock.now())

    async def _failed(self, error: MarketplaceError | StoreError) -> None:
        now = self._clock.now()
        self._failures += 1
        self.health.polls += 1
        self.health.discarded += 1
        self.health.last_error = str(error)
        self._trouble.failed(str(error))
        if isinstance(error, StoreError):
            return
        self.health.reachable = not isinstance(error, Unreachable)
        self.health.failing_since = self.health.failing_since or now
        if isinstance(error, Unreachable) and now - self.health.failing_since >= UNREACHABLE_AFTER:
            await self._conditions.are("unreachable", now)

    async def _refused(self, error: KeyRefused) -> float:
        missing = self._config().api_key is None
        self.health.polls += 1
        self.health.discarded += 1
        self.health.key = "missing" if missing else "refused"
        self.health.key_message = str(error)
        self.health.last_error = "no API key" if missing else str(error)
        self._trouble.failed(
            f"there is no API key; it is looked for in {KEY_PLACES}"
            if missing
            else f"the key was refused ({error}); a key is looked for in {KEY_PLACES}"
        )
        if not missing:
            await self._conditions.are("rejected", self._clock.now())
        self.health.interval = KEY_AGAIN
        return KEY_AGAIN

    async def _prices(self) -> float:
        await self._aside(self._keep_prices)
        return self._config().poll.prices.total_seconds()

    async def _clusters(self) -> float:
        async def poll_all() -> None:
            for poller in self._pollers or ():
                tick = await poller.poll_clusters()
                self.health.put_aside(tick.set_aside)

        await self._aside(poll_all)
        return self._config().poll.clusters.total_seconds()

    async def _inventory(self) -> float:
        await self._aside(self._keep_inventory)
        return self._config().poll.inventory.total_seconds()

    async def _aside(self, ask: Callable[[], Awaitable[None]]) -> None:
        """What is nice to have: its failures are the poll's to tell, which meets the same marketplace."""
        if self.health.key != "ok":
            return
        try:
            await ask()
        except (MarketplaceError, StoreError) as error:
            logger.debug("{}", error)

    async def _keep_prices(self) -> None:
        listing = await self._marketplace.auctions()
        self.health.put_aside(list(listing.set_aside))
        auctions = [seen.value for seen in listing.items]
        await asyncio.to_thread(inventory.keep_prices, self._database, auctions, self._clock.now())

    async def _keep_inventory(self) -> None:
        types = await self._marketplace.instance_types()
        await asyncio.to_thread(inventory.keep_types, self._database, types)
        members = await self._marketplace.teammates()
        await asyncio.to_thread(inventory.keep_members, self._database, members)
