"""What is asked now and then, beside the polls: prices, clusters, and the inventory (types, members)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from mithrild.clock import Clock
from mithrild.config import Config
from mithrild.errors import MarketplaceError, MithrildError, StoreError, Unreachable
from mithrild.fleet.pace import prices_interval
from mithrild.fleet.schedule import LONGEST_OUTAGE_GAP, backoff
from mithrild.health import Health
from mithrild.logs import Trouble
from mithrild.marketplace.budget import on_behalf_of
from mithrild.marketplace.client import Marketplace
from mithrild.store import inventory
from mithrild.store.database import Database
from mithrild.watcher.auctions import Auctions
from mithrild.watcher.cadence import Beat
from mithrild.watcher.poller import Poller, Tick
from mithrild.watcher.standing import Standing

AGAIN = 60.0  # seconds at most until what failed is asked for once more: an hour without names is too long


class Rounds:
    """One beat each. While the marketplace as a whole is away the polls say so, and once; `is_back` is called by who
    finds that it no longer is."""

    def __init__(
        self,
        config: Callable[[], Config],
        marketplace: Marketplace,
        database: Database,
        clock: Clock,
        health: Health,
        standing: Standing,
        is_back: Callable[[], None],
    ) -> None:
        self._config, self._marketplace, self._database = config, marketplace, database
        self._clock, self._health, self._standing, self._is_back = clock, health, standing, is_back
        self.auctions = Auctions(database, clock, health)
        self._pollers: Sequence[Poller] = ()

    def beats(self, pollers: Sequence[Poller]) -> list[Beat]:
        self._pollers = pollers
        poll = self._config  # asked anew each time: a reload may change how often
        return [
            self._beat("inventory", self._keep_inventory, lambda: poll().poll.inventory.total_seconds()),
            self._beat("prices", self._keep_prices, self._until_prices),
            self._beat("clusters", self._keep_clusters, lambda: poll().poll.clusters.total_seconds()),
        ]

    def _until_prices(self) -> float:
        usual, health = self._config().poll.prices.total_seconds(), self._health
        return prices_interval(health.pace, usual, health.rhythm, self.auctions.theirs(self._clock.now()))

    def _beat(self, name: str, ask: Callable[[], Awaitable[None]], every: Callable[[], float]) -> Beat:
        trouble = Trouble(name, self._clock)
        failures = 0

        async def run() -> float:
            nonlocal failures
            if self._health.key != "ok":
                return min(every(), AGAIN)
            try:
                with on_behalf_of(name):
                    await ask()
            except (MarketplaceError, StoreError) as error:
                self._health.discarded += 1
                failures += 1
                # An outage may meet this beat before the polls; the second failure alone is this beat's own. Of the
                # disk the record itself speaks.
                if failures > 1 and not self._standing.away and not (isinstance(error, StoreError) and error.kind):
                    trouble.failed(str(error))
                draw = random.random()  # noqa: S311  # jitter, not a secret
                return backoff(failures, draw, first=min(every(), AGAIN), cap=LONGEST_OUTAGE_GAP)
            if failures and self._standing.away:
                self._is_back()
            failures = 0
            trouble.recovered()
            return every()

        return Beat(name, run)

    async def _keep_prices(self) -> None:
        asked_at = self._clock.now()
        listing = await self._marketplace.auctions()
        self._health.put_aside(list(listing.set_aside))
        auctions = [seen.value for seen in listing.items]
        now = self._clock.now()
        await asyncio.to_thread(inventory.keep_prices, self._database, auctions, now)
        self._health.market_at, self._health.ahead = now, self._marketplace.skew
        await self.auctions.saw(auctions, asked_at)

    async def _keep_clusters(self) -> None:
        """Of every project, also where one of them fails."""
        answers = await asyncio.gather(*(one.poll_clusters() for one in self._pollers), return_exceptions=True)
        failures: list[MithrildError] = []
        for answer in answers:
            if isinstance(answer, Tick):
                self._health.put_aside(answer.set_aside)
                failures += [MarketplaceError(line) for line in answer.trouble]
            elif isinstance(answer, MithrildError):
                failures.append(answer)
            else:
                raise answer
        if failures:
            raise failures[0]

    async def _keep_inventory(self) -> None:
        """Each for itself: a list that is closed to us must not hide the others for ever."""
        failures: list[MarketplaceError] = []
        for keep in (self._keep_projects, self._keep_types, self._keep_members):
            try:
                await keep()
            except MarketplaceError as error:
                failures.append(error)
                if isinstance(error, Unreachable) and self._standing.away:
                    break  # nobody answers the others either
        if failures:
            raise failures[0]

    async def _keep_projects(self) -> None:
        watched = {poller.project for poller in self._pollers}
        projects = [project for project in await self._marketplace.projects() if project.fid in watched]
        if len(projects) == len(watched):  # their names may have changed
            await asyncio.to_thread(inventory.keep_projects, self._database, projects)

    async def _keep_types(self) -> None:
        types = await self._marketplace.instance_types()
        await asyncio.to_thread(inventory.keep_types, self._database, types)

    async def _keep_members(self) -> None:
        members = await self._marketplace.teammates()
        await asyncio.to_thread(inventory.keep_members, self._database, members)
