"""What is asked of the marketplace to look back, and its answers in the terms of the record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from loguru import logger

from mithrild.errors import MarketplaceError
from mithrild.fleet import lifecycle
from mithrild.fleet.model import Bid, BidEvent, Instance
from mithrild.fleet.remembered import in_order
from mithrild.fleet.timeline import InstanceStory, Told
from mithrild.marketplace.client import Marketplace
from mithrild.store import read
from mithrild.store.database import Database

Stories = Mapping[str | None, Sequence[InstanceStory]]  # by bid; None: of instances whose bid was not told


def newest_line(stories: Stories) -> datetime | None:
    """None where there is none."""
    return max((step.at for told in stories.values() for story in told for step in story.steps), default=None)


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of one bid. `unseen`: its instances, where the record does not hold all of them. `whole`: the
    stories begin where the instances did."""

    events: Sequence[BidEvent] = ()
    steps: Mapping[str, Sequence[Told]] | None = None
    unseen: Sequence[Instance] = ()
    whole: bool = True


class Questions:
    """Of one project. Every one may raise MarketplaceError."""

    def __init__(self, project: str, marketplace: Marketplace, database: Database) -> None:
        self._project, self._marketplace, self._database = project, marketplace, database

    async def ended(self, since: datetime) -> list[Bid]:
        """The bids that were placed after a moment of the marketplace's clock and have ended by now."""
        placed = await self._marketplace.bids_since(self._project, since)
        return [seen.value for seen in placed if seen.value.status in lifecycle.FINAL]

    async def stories(self, since: datetime, *, pages: int) -> Stories | None:
        """What all instances of the project went through since a moment. None where that takes more pages."""
        told = await self._marketplace.status_history(self._project, since=since, pages=pages)
        if told is None:
            return None
        stories, notes = told
        for line in notes:
            logger.debug("{}: {}", self._project, line)
        found: dict[str | None, list[InstanceStory]] = {}
        for story in stories:
            found.setdefault(story.bid, []).append(story)
        return found

    async def history(self, bid: str, *, since: datetime | None, stories: Sequence[InstanceStory] | None) -> History:
        """The history of a bid and its instances, these since a moment. `stories` are theirs, where they were asked for
        already. NotFound where the marketplace does not know the bid any more."""
        events, notes = await self._marketplace.bid_history(bid)
        for line in notes:
            logger.debug("{}: {}", bid, line)
        if stories is None:
            stories = await self._stories_of(bid, since)
        steps = {one.instance: in_order(one.steps) for one in stories}
        unknown = steps.keys() - await asyncio.to_thread(self._known, list(steps))
        if not unknown:
            return History(events, steps, whole=since is None)
        listing = await self._marketplace.instances(self._project, bids=[bid])
        if listing.broken is not None:
            raise MarketplaceError(listing.broken)
        born = {seen.value.fid: seen.value.created_at for seen in listing.items}
        if since is not None and any(fid not in born or born[fid] <= since for fid in unknown):
            # One that lived unseen before that has a story that begins before it.
            steps = {one.instance: in_order(one.steps) for one in await self._stories_of(bid, None)}
            since = None
        return History(events, steps, [seen.value for seen in listing.items], whole=since is None)

    async def _stories_of(self, bid: str, since: datetime | None) -> Sequence[InstanceStory]:
        told = await self._marketplace.status_history(self._project, bid=bid, since=since)
        stories, notes = told or ((), ())
        for line in notes:
            logger.debug("{}: {}", bid, line)
        return stories

    def _known(self, instances: Sequence[str]) -> set[str]:
        with self._database.read() as connection:
            return read.known_instances(connection, instances)
