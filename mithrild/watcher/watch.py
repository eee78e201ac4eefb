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
from mithrild.config import Config
from mithrild.errors import BrokenAnswer, KeyRefused, MarketplaceError, StoreError, Unreachable
from mithrild.fleet.model import Project
from mithrild.fleet.routing import HookRule
from mithrild.fleet.schedule import next_poll
from mithrild.health import Health
from mithrild.logs import Trouble
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace
from mithrild.store import inventory, read
from mithrild.store.database import Database
from mithrild.watcher.cadence import Beat, Cadence
from mithrild.watcher.conditions import Condition, Conditions
from mithrild.watcher.poller import Poller, Tick
from mithrild.watcher.recorder import Recorder

KEY_AGAIN = 300.0  # seconds until a refused key is tried once more, on /me
DISK_AGAIN = 2.0  # seconds until the next poll after one that could not be kept
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
        self._disk = Trouble("record", clock)
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
        failures: list[MarketplaceError] = []
        ticks: list[Tick] = []
        wait = None
        try:
            if self._pollers is None or self.health.key != "ok":
                await self._get_to_know()
            answers = await asyncio.gather(*(poller.tick() for poller in self._pollers or ()), return_exceptions=True)
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
        if ticks:
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
        return self.health.interval

    async def stop(self) -> None:
        for poller in self._pollers or ():
            await poller.stop()

    async def _get_to_know(self) -> None:
        """Whose key is this, and which projects are watched? The first time it lays down the other beats too."""
        account = await self._marketplace.me()
        try:
            await asyncio.to_thread(self._database.claim_for, self._config().api_url, account.organization)
        except StoreError as error:
            self._on_foreign_account(error)
            raise
        self.health.key, self.health.key_message = "ok", None
        self.health.user = account.email or account.user
        await self._state("accepted")
        if self._pollers is not None:
            return
        projects = await self._find_projects()
        await asyncio.to_thread(inventory.keep_projects, self._database, projects)
        self._pollers = [self._poller(project) for project in projects]
        logger.info("watching {}", ", ".join(f"{project.name} ({project.fid})" for project in projects))
        # These run beside the first look at bids, which waits for none of them.
        self._cadence.add(Beat("inventory", self._inventory))
        self._cadence.add(Beat("prices", self._prices))
        self._cadence.add(Beat("clusters", self._clusters))

    def _poller(self, project: Project) -> Poller:
        return Poller(
            project.fid,
            self._marketplace,
            self._database,
            self.recorder,
            self._clock,
            lambda: self._config().poll.instances,
        )

    async def _find_projects(self) -> list[Project]:
        """From the record if it holds all that are wanted: then nothing else must answer before the first poll."""
        wanted = self._config().projects
        held = await asyncio.to_thread(self._held_projects)
        if wanted and all(any(name in (one.fid, one.name) for one in held) for name in wanted):
            return _chosen(wanted, held)
        return _chosen(wanted, await self._marketplace.projects())

    def _held_projects(self) -> list[Project]:
        with self._database.read() as connection:
            return [Project(row["fid"], row["name"]) for row in read.projects(connection, watched=False)]

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
        watched = {poller.project for poller in self._pollers or ()}
        projects = [project for project in await self._marketplace.projects() if project.fid in watched]
        if len(projects) == len(watched):  # their names may have changed
            await asyncio.to_thread(inventory.keep_projects, self._database, projects)
        types = await self._marketplace.instance_types()
        await asyncio.to_thread(inventory.keep_types, self._database, types)
        members = await self._marketplace.teammates()
        await asyncio.to_thread(inventory.keep_members, self._database, members)


def _chosen(wanted: Sequence[str], there: Sequence[Project]) -> list[Project]:
    """The wanted projects, by name or fid; without any, the only one there is. Raises MarketplaceError."""
    choices = ", ".join(f"{project.name} ({project.fid})" for project in there)
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
