"""What the marketplace still knows and the record does not: asked for when somebody wants to see it, and kept nowhere.

Most of it are bids that had ended before the daemon first looked. A row of theirs would be in the way: what ended in a
gap is told by the history (`backfill`), as news, and only as long as the record does not hold it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

from mithrild.clock import Clock
from mithrild.errors import KeyRefused, MarketplaceError, NotFound, RequestRefused, Unreachable
from mithrild.fleet import lifecycle
from mithrild.fleet.model import Bid, Instance, Listing, Seen
from mithrild.health import Health
from mithrild.marketplace.asking import PAGE
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace

# Seconds that one answer may take: a person waits for it.
PATIENCE = 4.0
# Seconds that a whole listing may take: ten thousand bids are a hundred pages, and the budget frees what was spent a
# minute ago.
LISTING = 80.0
# Above this share of the request budget a listing waits before its next page: a third of it is left for polls that grow
# more frequent. The first page waits no longer than any command's question: mostly it is the only one.
SHARE, FIRST_SHARE = 0.6, 0.9


class Archive:
    def __init__(self, marketplace: Marketplace, budget: RequestBudget, health: Health, clock: Clock) -> None:
        self._marketplace, self._budget, self._health, self._clock = marketplace, budget, health, clock

    async def ended(self, projects: Sequence[str], most: int | None) -> Listing[Bid]:
        """The bids that have ended, the newest first in each project, and at most so many of each. What keeps it from
        being all of them is told by `broken`."""
        found: dict[str, Seen[Bid]] = {}
        end = asyncio.get_running_loop().time() + LISTING
        waits_for, share = "the marketplace", FIRST_SHARE

        async def room() -> None:
            nonlocal waits_for, share
            waits_for = "the request budget"
            limit.reschedule(end)
            while self._budget.spent() >= share * self._budget.cap:
                await self._clock.sleep(0.5)
            share = SHARE
            waits_for = "the marketplace"
            limit.reschedule(min(end, asyncio.get_running_loop().time() + PATIENCE))

        try:
            self._raise_what_is_known()
            async with asyncio.timeout_at(end) as limit:
                for project in projects:
                    count, share = 0, FIRST_SHARE
                    pages = self._marketplace.ended_bids(project, at_a_time=min(most or PAGE, PAGE), room=room)
                    async with aclosing(pages):
                        async for page in pages:
                            self._health.put_aside(list(page.set_aside))
                            found |= {one.value.fid: one for one in page.items if one.value.status in lifecycle.FINAL}
                            count += len(page.items)
                            if most is not None and count >= most:
                                break
        except TimeoutError:
            return Listing(tuple(found.values()), broken=f"it takes too long to wait for {waits_for}")
        except MarketplaceError as error:
            return Listing(tuple(found.values()), broken=str(error))
        return Listing(tuple(found.values()))

    async def find(self, projects: Sequence[str], name_or_fid: str) -> list[Bid]:
        """Every bid of that name in these projects, else the one of that fid. Raises MarketplaceError."""
        async with self._patience():
            found: list[Seen[Bid]] = []
            for project in projects:
                with suppress(RequestRefused):  # what cannot be asked for is no name
                    found += await self._marketplace.bids_named(project, name_or_fid)
            if not found:
                with suppress(RequestRefused, NotFound):
                    found = [await self._marketplace.bid(name_or_fid)]
        return [one.value for one in found if one.value.project in projects]

    async def instances(self, bid: Bid) -> list[Instance]:
        """The instances of a bid, ended ones too. Raises MarketplaceError."""
        async with self._patience():
            listing = await self._marketplace.instances(bid.project, bids=[bid.fid])
        if listing.broken is not None:
            raise MarketplaceError(listing.broken)
        return [one.value for one in listing.items]

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        self._raise_what_is_known()
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except TimeoutError:
            raise Unreachable(f"the marketplace has not answered within {PATIENCE:.0f} s") from None

    def _raise_what_is_known(self) -> None:
        """What the polls have found out by now need not be found out again, while somebody waits."""
        if self._health.key in ("missing", "refused"):
            raise KeyRefused(self._health.key_message or "there is no API key")
        if not self._health.reachable:
            raise Unreachable(self._health.last_error or "the marketplace cannot be reached")
