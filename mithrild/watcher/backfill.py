"""Asks the marketplace what nobody saw: after each change, and after each time in which nobody looked.

It runs beside the polls and gives way to them: no hook of what was just seen waits for a history. What is wanted stands
in the record (`store/wishes.py`); what is kept here may be lost at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from loguru import logger
from sqlalchemy import Connection

from mithrild.clock import Clock
from mithrild.errors import KeyRefused, MarketplaceError, NotFound, Unreachable
from mithrild.fleet import lifecycle
from mithrild.fleet.model import BidEvent, Instance
from mithrild.fleet.remembered import in_order
from mithrild.fleet.schedule import backoff
from mithrild.fleet.timeline import InstanceStory
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace
from mithrild.store import read, wishes
from mithrild.store.cursor import by_theirs
from mithrild.store.database import Database
from mithrild.store.history import Remembered, keep_ended
from mithrild.store.wishes import Gap
from mithrild.watcher.recorder import Recorder

# Above this share of the request budget it waits. The polls take 0.8 at most, and wait above 0.9 themselves.
SHARE = 0.85
SLICE = 20.0  # seconds after which it lets go, and goes on at the next beat
REST = 5.0  # seconds between two looks at what is wanted, in case nobody told of it
AGAIN = 30.0
# A question that came to nothing is put again after so many seconds, and then ever later.
SOON, LATER = 5.0, 300.0
# How far before the last whole look a gap is asked for: answers travel, and clocks are set.
MARGIN = timedelta(minutes=1)
# How much of a history that was asked for already is asked for again: it may be written late, and clocks are set.
OVERLAP = timedelta(minutes=15)

T = TypeVar("T")


@dataclass(slots=True)
class LookThrough:
    """A look back at a whole project that is under way, and the bids that it has not come to."""

    gap: Gap
    left: list[str]


@dataclass(frozen=True, slots=True)
class Wait:
    """A question that came to nothing: how often by now, when it is put again, and what its bid had gone through."""

    tries: int
    until: float
    newest: int


class Backfill:
    """One project's. `run` is the beat that works off what is wanted."""

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
        self._waits: dict[str, Wait] = {}
        self._through: LookThrough | None = None

    async def run(self) -> float:
        """Works until nothing is wanted, or its slice of time is over. Returns the seconds until the next time."""
        until = self._clock.monotonic() + SLICE
        try:
            while self._clock.monotonic() < until:
                if self._budget.spent() >= SHARE * self._budget.cap:
                    return 1.0
                if not await self._next():
                    return REST
        except (Unreachable, KeyRefused) as error:
            logger.debug("the history of {} has to wait: {}", self._project, error)
            return AGAIN
        return 0.0

    async def is_idle(self) -> bool:
        """Whether nothing is wanted any more."""
        due, gap = await self._read(lambda connection: self._wanted(connection))
        return not due and gap is None

    async def _next(self) -> bool:
        """One thing that is wanted, the changes first. False where there is nothing to do now."""
        due, gap = await self._read(lambda connection: self._wanted(connection))
        if (fid := next((fid for fid, newest in due.items() if not self._has_to_wait(fid, newest)), None)) is not None:
            await self._ask(fid)
        elif gap is None:
            return False
        elif self._through is None:
            self._through = await self._look_through(gap)
        elif (fid := next((fid for fid in self._through.left if not self._has_to_wait(fid)), None)) is not None:
            await self._ask(fid)
            self._through.left.remove(fid)
        elif self._through.left:
            return False
        else:
            through, self._through = self._through, None
            await asyncio.to_thread(self._close, through.gap)
        return True

    def _wanted(self, connection: Connection) -> tuple[dict[str, int], Gap | None]:
        return wishes.due(connection, self._project), wishes.gap(connection, self._project)

    def _has_to_wait(self, fid: str, newest: int | None = None) -> bool:
        """Whether a question came to nothing a moment ago, and the bid has gone through nothing since."""
        wait = self._waits.get(fid)
        return wait is not None and wait.until > self._clock.monotonic() and newest in (None, wait.newest)

    def _close(self, gap: Gap) -> None:
        with self._database.write() as connection:
            wishes.close_gap(connection, self._project, gap)

    async def _look_through(self, gap: Gap) -> LookThrough:
        """Every bid that lived in a gap: those placed in it, also if they ended in it, and all that are on record."""
        asked_at = self._clock.now()
        cursor = await self._read(lambda connection: read.project(connection, self._project))
        since = by_theirs(cursor, min(gap.since, cursor["swept_at"] or gap.since))
        ahead = self._marketplace.skew or timedelta()
        placed = await self._marketplace.bids_since(self._project, since - MARGIN)
        ended = [seen.value for seen in placed if seen.value.status in lifecycle.FINAL]
        await asyncio.to_thread(keep_ended, self._database, self._project, ended, until=asked_at, ahead=ahead)
        live = await self._read(lambda connection: read.live_bids(connection, self._project))
        self._asked = {fid: at for fid, at in self._asked.items() if fid in live}
        self._waits = {fid: wait for fid, wait in self._waits.items() if fid in live}
        return LookThrough(gap, live)

    async def _ask(self, fid: str) -> None:
        """One bid's history. A question that comes to nothing is put again later: it must not hold up all others."""
        asked = await self._read(lambda connection: wishes.newest(connection, fid))
        tries = self._waits[fid].tries + 1 if fid in self._waits else 1
        until = self._clock.monotonic() + backoff(tries, 1.0, first=SOON, cap=LATER)
        # Set before, and taken back after: however this ends, it is not put again at once.
        self._waits[fid] = Wait(tries, until, asked)
        try:
            settled = await self._remember(fid, asked)
        except (Unreachable, KeyRefused):
            raise
        except MarketplaceError as error:
            logger.warning("the history of bid {} cannot be had: {}", fid, error)
        else:
            if settled:
                del self._waits[fid]

    async def _remember(self, fid: str, asked: int) -> bool:
        """Asks for the history of a bid and commits what it tells. False if it goes on from what is known."""
        cursor = await self._read(lambda connection: read.project(connection, self._project))
        since = self._asked.get(fid)
        events: Sequence[BidEvent] = ()
        stories: Sequence[InstanceStory] = ()
        # What the marketplace does not know any more is no error: the polls find out what has become of it.
        with contextlib.suppress(NotFound):
            events, bad = await self._marketplace.bid_history(fid)
            stories, worse = await self._marketplace.status_history(self._project, bid=fid, since=since)
            for line in (*bad, *worse):
                logger.debug("{}: {}", fid, line)
        steps = {one.instance: in_order(one.steps) for one in stories}
        known = await self._read(lambda connection: read.known_instances(connection, steps))
        if since is not None and steps.keys() - known:
            # One that lived unseen at the last time has a story that begins before it.
            stories, _ = await self._marketplace.status_history(self._project, bid=fid)
            steps = {one.instance: in_order(one.steps) for one in stories}
        unseen: list[Instance] = []
        if steps.keys() - known:
            listing = await self._marketplace.instances(self._project, bids=[fid])
            if listing.broken is not None:
                raise MarketplaceError(listing.broken)
            unseen = [seen.value for seen in listing.items]
        told = Remembered(
            bid=fid,
            project=self._project,
            events=events,
            instance_steps=steps,
            unseen=unseen,
            ahead=self._marketplace.skew or timedelta(),
            asked=asked,
        )
        added = await self._recorder.remember(told, self._clock.now())
        if cursor["polled_at"] is not None:
            # What led away from the last look was left to the next one, so it has to be asked for once more.
            self._asked[fid] = by_theirs(cursor, cursor["polled_at"]) - OVERLAP
        return not added.wishes

    async def _read(self, question: Callable[[Connection], T]) -> T:
        def ask() -> T:
            with self._database.read() as connection:
                return question(connection)

        return await asyncio.to_thread(ask)
