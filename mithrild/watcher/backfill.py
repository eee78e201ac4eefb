"""Asks the marketplace what nobody saw: after each change, and after each time in which nobody looked.

It runs beside the polls and gives way to them: no hook of what was just seen waits for a history. What it cannot ask
now stays in its queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from loguru import logger

from mithrild.clock import Clock
from mithrild.errors import KeyRefused, MarketplaceError, NotFound, Unreachable
from mithrild.fleet import lifecycle
from mithrild.fleet.history import BID_WORDS, reopened
from mithrild.fleet.model import Bid, BidEvent, Instance
from mithrild.fleet.notices import clear
from mithrild.fleet.timeline import Told
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.store.history import Remembered
from mithrild.watcher.recorder import Recorder

# Above this share of the request budget it waits. The polls take 0.8 at most, and wait above 0.9 themselves.
SHARE = 0.85
SLICE = 20.0  # seconds after which it lets go, and goes on at the next beat
REST = 5.0  # seconds between two looks into an empty queue, in case a wish was overheard
AGAIN = 30.0
# How far before the last whole look a gap is asked for: answers travel, and clocks are set.
MARGIN = timedelta(minutes=1)
# How much of a history that was asked for already is asked for again: it may be written late, and clocks are set.
OVERLAP = timedelta(minutes=15)


class Backfill:
    """One project's. `want` is cheap; `run` is the beat that works the queue off."""

    def __init__(
        self,
        project: str,
        marketplace: Marketplace,
        budget: RequestBudget,
        database: Database,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._project, self._marketplace, self._budget = project, marketplace, budget
        self._database, self._recorder, self._clock = database, recorder, clock
        self._asked: dict[str, datetime] = {}  # bid -> what is known up to then need not be asked for again
        self._wanted: dict[str, Bid | None] = {}  # the most wanted first; with its value what has ended unseen
        self._gap: datetime | None = None  # since when nobody has looked at the whole project

    def want(self, bids: Iterable[str]) -> None:
        """These bids have just changed: before all that is only looked through."""
        self._wanted = {**{fid: self._wanted.get(fid) for fid in bids}, **self._wanted}

    def want_since(self, moment: datetime) -> None:
        """Nobody looked from this moment on, until just now."""
        self._gap = min(self._gap or moment, moment)

    @property
    def idle(self) -> bool:
        return not self._wanted and self._gap is None

    async def run(self) -> float:
        """Works until the queue is empty, or its slice of time is over. Returns the seconds until the next time."""
        until = self._clock.monotonic() + SLICE
        try:
            while not self.idle and self._clock.monotonic() < until:
                if self._budget.spent() >= SHARE * self._budget.cap:
                    return 1.0
                await self._next()
        except MarketplaceError as error:
            logger.debug("the history of {} has to wait: {}", self._project, error)
            return AGAIN
        return REST if self.idle else 0.0

    async def _next(self) -> None:
        if self._wanted:
            fid = next(iter(self._wanted))
            # Taken out first: who wants it again meanwhile has it asked again.
            ended = self._wanted.pop(fid)
            answered = False
            try:
                await self._ask(fid, ended)
                answered = True
            except MarketplaceError as error:
                if isinstance(error, Unreachable | KeyRefused):
                    raise
                # About this one alone: it must not hold up all behind it. The next change of it asks again.
                logger.warning("the history of bid {} cannot be had: {}", fid, error)
                answered = True
            finally:
                if not answered:  # nor if the disk refused it, or the beat was given up
                    self._wanted.setdefault(fid, ended)
        elif self._gap is not None:
            gap, self._gap = self._gap, None
            looked = False
            try:
                await self._look_through(gap)
                looked = True
            finally:
                if not looked:
                    self.want_since(gap)

    async def _look_through(self, gap: datetime) -> None:
        """Every bid that lived in a gap: those placed in it, also if they ended in it, and all that are on record."""
        # The gap is by our clock. The marketplace's may have been behind when it began: too much costs a page more.
        since = gap - MARGIN + min(clear(self._marketplace.skew), timedelta())
        placed = await self._marketplace.bids_since(self._project, since)
        live = await asyncio.to_thread(self._live)
        ended = [seen.value for seen in placed if seen.value.status in lifecycle.FINAL and seen.value.fid not in live]
        self._wanted |= {bid.fid: bid for bid in ended}
        self._asked = {fid: at for fid, at in self._asked.items() if fid in live}
        self._wanted |= {fid: None for fid in live if fid not in self._wanted}

    async def _ask(self, fid: str, ended: Bid | None = None) -> None:
        try:
            events, bad = await self._marketplace.bid_history(fid)
        except NotFound:
            return  # the polls find out what has become of it
        since = self._asked.get(fid)
        looked_at = await asyncio.to_thread(self._looked_at)
        stories, worse = await self._marketplace.status_history(self._project, bid=fid, since=since)
        for line in (*bad, *worse):
            logger.debug("{}: {}", fid, line)
        steps = {one.instance: _in_order(one.steps) for one in stories}
        known = await asyncio.to_thread(self._known, fid, steps)
        if since is not None and steps.keys() - known:
            # One that lived unseen at the last time has a story that begins before it.
            stories, _ = await self._marketplace.status_history(self._project, bid=fid)
            steps = {one.instance: _in_order(one.steps) for one in stories}
            known = await asyncio.to_thread(self._known, fid, steps)
        unseen: list[Bid | Instance] = [] if ended is None else [ended]
        if steps.keys() - known:
            listing = await self._marketplace.instances(self._project, bids=[fid])
            if listing.broken is not None:
                raise MarketplaceError(listing.broken)
            unseen += [
                seen.value
                for seen in listing.items
                if seen.value.fid not in known and seen.value.status in lifecycle.FINAL
            ]
        told = Remembered(
            bid=fid,
            project=self._project,
            bid_steps=reopened(_statuses(events), list(steps.values())),
            instance_steps=steps,
            limit_steps=_limits(events),
            unseen=unseen,
            ahead=clear(self._marketplace.skew),
        )
        await self._recorder.remember(told, self._clock.now())
        if looked_at is not None:
            # What led away from the last look was left to the next one, so it has to be asked for once more.
            self._asked[fid] = looked_at - OVERLAP + min(clear(self._marketplace.skew), timedelta())

    def _looked_at(self) -> datetime | None:
        with self._database.read() as connection:
            polled: datetime | None = read.project(connection, self._project)["polled_at"]
            return polled

    def _live(self) -> list[str]:
        with self._database.read() as connection:
            return list(read.fleet(connection, self._project).bids)

    def _known(self, bid: str, instances: Iterable[str]) -> set[str]:
        with self._database.read() as connection:
            return set(read.fleet(connection, self._project, also={bid, *instances}).instances)


def _statuses(events: Sequence[BidEvent]) -> list[Told]:
    steps = []
    for event in events:
        aspect, after = BID_WORDS.get(event.word, (None, None))
        if aspect == "status" and after is not None:
            steps.append(Told(after, event.at))
    return _in_order(steps)


def _limits(events: Sequence[BidEvent]) -> list[Told]:
    """The limit price when the bid was placed, and after each change. Nothing where the first is not told."""
    priced = [event for event in events if event.limit_price is not None]
    steps = _in_order([Told(event.limit_price or "", event.at) for event in priced])
    return steps if any(event.word == "Placed" for event in priced) else []


def _in_order(steps: Sequence[Told]) -> list[Told]:
    """The oldest first; steps of one moment in the order in which they were told."""
    told = list(steps)
    if told and told[0].at > told[-1].at:
        told.reverse()
    return sorted(told, key=lambda one: one.at)
