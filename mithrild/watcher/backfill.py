"""Asks the marketplace what nobody saw: after each change, after each time in which nobody looked, and now and then.

It runs beside the polls and gives way to them: no hook of what was just seen waits for a history. What is wanted stands
in the record (`store/wishes.py`); what is kept here may be lost at any moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from loguru import logger
from sqlalchemy import Connection, RowMapping

from mithrild.clock import Clock, bearing
from mithrild.errors import KeyRefused, MarketplaceError, NotFound, Unreachable
from mithrild.fleet.gaps import Gap
from mithrild.fleet.schedule import WINDOW, backoff
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace
from mithrild.store import read, wishes
from mithrild.store.cursor import by_theirs, shifted
from mithrild.store.database import Database
from mithrild.store.history import Learned, Remembered, keep_ended
from mithrild.watcher.look_through import THE_PROJECT, LookThrough, in_turn
from mithrild.watcher.questions import History, Questions, Stories, newest_line
from mithrild.watcher.recorder import Recorder
from mithrild.watcher.wait import Answered, Wait

# Above this share of the request budget it waits. The polls take 0.8 at most, and wait above 0.9 themselves.
SHARE = 0.85
# What nothing gives rise to takes this share at most: a look through the whole project, every five minutes at most.
ROUTINE_SHARE, ROUTINE = 0.05, 300.0
SWEEP = 60.0  # seconds between two looks for bids that were placed and have ended since
SLICE = 20.0  # seconds after which it lets go, and goes on at the next beat
REST = 5.0  # seconds between two looks at what is wanted, in case nobody told of it
AGAIN = 30.0
# A question that came to nothing is put again after so many seconds, and then ever later; and so often, before its
# bid is held up as one of which the marketplace remembers nothing.
SOON, LATER, TRIES = 5.0, 300.0, 6
# How much of a history that was asked for already is asked for again: it may be written late, and clocks are set.
OVERLAP = timedelta(minutes=15)
FEW_PAGES = 3  # of the statuses of a project are asked for, also where asking bid by bid would take fewer

NAME = "history"  # in whose name the budget has what is asked here

T = TypeVar("T")


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
        self._questions = Questions(project, marketplace, database)
        self._asked: dict[str, datetime] = {}  # bid -> what is known up to then need not be asked for again
        self._ahead: float | None = None  # what the clocks differed by, in seconds, when that was known
        self._told_to: datetime | None = None  # the newest line when those of all were told at once, the last time
        self._waits: dict[str, Wait] = {}
        self._through: LookThrough | None = None
        self._swept: float | None = None  # monotonic, as the next is
        self._routine_at = clock.monotonic() + ROUTINE

    async def run(self) -> float:
        """Works until nothing is wanted, or its slice of time is over. Returns the seconds until the next time."""
        until = self._clock.monotonic() + SLICE
        try:
            while self._clock.monotonic() < until:
                if self._budget.spent() >= SHARE * self._budget.cap:
                    return 1.0
                if not await self._next():
                    return REST
        except MarketplaceError as error:
            # What speaks of one bid is met where it is asked; this is away, a refused key, or a sweep that broke off.
            logger.debug("the history of {} has to wait: {}", self._project, error)
            return AGAIN
        return 0.0

    async def _next(self) -> bool:
        """One thing that is wanted. False where there is nothing to do now."""
        due, gap = await self._read(self._wanted)
        if gap is not None and self._through is not None and self._through.gap != gap:
            self._through = None  # another gap was found meanwhile: one look is for both
        changed = (fid for fid, newest in due.items() if not self._has_to_wait(fid, newest))
        if self._through is None and (gap is not None or self._routine_at <= self._clock.monotonic()):
            if self._has_to_wait(THE_PROJECT):
                return False
            await self._begin(gap)
        elif (fid := next(changed, None)) is not None:
            await self._ask(fid)
        elif self._through is not None:
            return await self._go_on(self._through)
        elif self._swept is not None and self._swept + SWEEP > self._clock.monotonic():
            return False
        else:
            cursor = await self._read(lambda connection: read.project(connection, self._project))
            await self._sweep(self._since(cursor))
        return True

    def _wanted(self, connection: Connection) -> tuple[dict[str, int], Gap | None]:
        return wishes.due(connection, self._project), wishes.gap(connection, self._project)

    async def _begin(self, gap: Gap | None) -> None:
        """Begins a look through: bids that lived and ended unseen are found, and what all instances went through since
        the last one is asked for at once, unless asking bid by bid takes fewer requests."""
        begun, spent = self._clock.now(), self._budget.total[NAME]
        cursor = await self._read(lambda connection: read.project(connection, self._project))
        if cursor["baseline_at"] is None:
            self._routine_at = self._clock.monotonic() + ROUTINE
            return
        since = self._since(cursor)
        if gap is not None:
            since = min(since, gap.since - OVERLAP)
        asked = await self._read(read.last_sequence)
        open_bids: dict[str, str] = {}
        tries = self._note_try(THE_PROJECT, 0)
        try:
            await self._sweep(since)
        except (Unreachable, KeyRefused):
            raise
        except MarketplaceError as error:
            logger.warning("the bids that ended unseen cannot be looked for: {}", error)
            if tries < TRIES:
                return
            open_bids[THE_PROJECT] = f"bids may have been placed and have ended: {error}"
        self._waits.pop(THE_PROJECT, None)
        live = await self._read(lambda connection: read.live_bids(connection, self._project))
        if self._told_to is not None:
            # The answers may all tell a wrong time of that clock, but not the lines: a long silence has none.
            since = min(since, shifted(self._told_to, -OVERLAP))
        stories = await self._stories(since, pages=max(len(live), FEW_PAGES))
        self._told_to = None if stories is None else newest_line(stories) or self._told_to
        self._asked = {fid: at for fid, at in self._asked.items() if fid in live}
        due = await self._read(lambda connection: wishes.due(connection, self._project))
        left = in_turn(live, due, stories)
        self._waits = {fid: wait for fid, wait in self._waits.items() if fid in left}
        self._through = LookThrough(begun, since, asked, gap, stories, left, open=open_bids, spent=spent)

    def _since(self, cursor: RowMapping) -> datetime:
        """From when on what nobody saw is asked for, by the marketplace's clock."""
        return by_theirs(cursor, cursor["looked_back_at"] or cursor["baseline_at"] or self._clock.now()) - OVERLAP

    async def _stories(self, since: datetime, *, pages: int) -> Stories | None:
        try:
            return await self._questions.stories(since, pages=pages)
        except (Unreachable, KeyRefused):
            raise
        except MarketplaceError as error:
            logger.debug("the statuses of {} are asked for bid by bid: {}", self._project, error)
            return None

    async def _go_on(self, through: LookThrough) -> bool:
        if (fid := next((fid for fid in through.left if not self._has_to_wait(fid)), None)) is not None:
            await self._ask(fid)
            return True
        if through.left:
            return False
        self._through = None
        gap = through.gap
        if await self._recorder.end_look(self._project, through.begun, gap, through.open, self._clock.now()):
            assert gap is not None
            logger.warning(
                "nobody watched {} from {:%Y-%m-%d %H:%M:%S} to {:%Y-%m-%d %H:%M:%S} UTC, and the marketplace does not "
                "remember what became of {} bids",
                self._project,
                gap.since,
                gap.until,
                len(through.open),
            )
        cost = self._budget.total[NAME] - through.spent
        self._routine_at = self._clock.monotonic() + max(ROUTINE, WINDOW * cost / (ROUTINE_SHARE * self._budget.cap))
        return True

    async def _sweep(self, since: datetime) -> None:
        """Bids that were placed and have ended since the last look through: one page, as a rule."""
        ended = await self._questions.ended(since)
        ahead = self._marketplace.skew or timedelta()
        await asyncio.to_thread(keep_ended, self._database, self._project, ended, ahead=ahead)
        self._swept = self._clock.monotonic()

    async def _ask(self, fid: str) -> None:
        """One bid's history. A question that comes to nothing is put again later: it must not hold up all others."""
        through = self._through
        asked = await self._read(lambda connection: wishes.newest(connection, fid))
        cursor = await self._read(lambda connection: read.project(connection, self._project))
        if cursor["ahead_seconds"] != self._ahead:
            # What no time could be told of may be any step, and its line is to be heard once more.
            self._asked.clear()
            self._ahead = cursor["ahead_seconds"]
        before = self._waits.get(fid)
        tries = self._note_try(fid, asked)
        since = self._asked.get(fid)
        stories = None if through is None else through.stories_of(fid, asked)
        if through is not None and stories is not None:
            since = through.since
        elif through is not None and fid in through.doubted:
            since = None
        try:
            history = await self._questions.history(fid, since=since, stories=stories)
        except (Unreachable, KeyRefused):
            raise
        except NotFound as error:
            if tries < TRIES:
                logger.debug("the marketplace does not tell the history of bid {}: {}", fid, error)
                return
            history = History(whole=since is None)
        except MarketplaceError as error:
            logger.warning("the history of bid {} cannot be had: {}", fid, error)
            if through is not None and tries >= TRIES:
                through.done(fid, f"its history cannot be had ({error})")
            return
        stood = None
        if history.events:
            line = max(event.at for event in history.events)
            told = Answered(self._clock.now(), bearing(self._clock), line)
            if before is not None and before.has_stood(asked, told, cursor["polled_at"]):
                stood = shifted(cursor["polled_at"], timedelta(seconds=cursor["ahead_seconds"]))
            self._waits[fid] = replace(self._waits[fid], told=told)
        learned = await self._keep(fid, history, through, asked, tries, stood=stood)
        lines = [step.at for steps in (history.steps or {}).values() for step in steps]
        if stories is not None and self._told_to is not None:
            lines.append(self._told_to)
        # What led away from the last look was left to the next one, so it has to be asked for once more. How far the
        # lines go is told by themselves: what an answer says of the marketplace's clock may be wrong.
        if lines and cursor["polled_at"] is not None and not learned.more:
            self._asked[fid] = shifted(min(max(lines), by_theirs(cursor, cursor["polled_at"])), -OVERLAP)

    async def _keep(
        self, fid: str, history: History, through: LookThrough | None, asked: int, tries: int, *, stood: datetime | None
    ) -> Learned:
        told = Remembered(
            bid=fid,
            project=self._project,
            events=history.events,
            instance_steps=history.steps or {},
            unseen=history.unseen,
            ahead=self._marketplace.skew or timedelta(),
            asked=asked,
            whole=history.whole,
            stood=stood,
            gap=through.gap if through is not None and fid in through.left else None,
        )
        learned = await self._recorder.remember(told, self._clock.now())
        if through is not None and learned.open is not None and tries < TRIES:
            through.doubted.add(fid)  # what an answer lacks may stand in the next one
            return learned
        if through is not None:
            through.done(fid, learned.open)
        if not learned.more:
            self._waits.pop(fid, None)
        return learned

    def _note_try(self, fid: str, newest: int) -> int:
        """How often this was asked, this time included. However it ends, it is not asked again at once."""
        tries = self._waits[fid].tries + 1 if fid in self._waits else 1
        until = self._clock.monotonic() + backoff(tries, 1.0, first=SOON, cap=LATER)
        self._waits[fid] = Wait(tries, until, newest)
        return tries

    def _has_to_wait(self, fid: str, newest: int | None = None) -> bool:
        """Whether a question came to nothing a moment ago, and the bid has gone through nothing since."""
        wait = self._waits.get(fid)
        return wait is not None and wait.until > self._clock.monotonic() and newest in (None, wait.newest)

    async def _read(self, question: Callable[[Connection], T]) -> T:
        def ask() -> T:
            with self._database.read() as connection:
                return question(connection)

        return await asyncio.to_thread(ask)
