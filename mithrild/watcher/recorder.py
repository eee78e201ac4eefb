"""Commits what was observed, and never lets an older answer overwrite a newer one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from loguru import logger

from mithrild.clock import NO_JUMP, Bearings
from mithrild.fleet import lifecycle
from mithrild.fleet.event import status_word
from mithrild.fleet.gaps import Gap
from mithrild.fleet.model import Bid, Cluster, Instance, Seen, Snapshot, Thing, Transition
from mithrild.fleet.routing import HookRule
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.store.gap import end_look
from mithrild.store.history import Learned, Remembered, write_history
from mithrild.store.record import Recorded, record

Committed = TypeVar("Committed")
_TABLES = {"bid": lifecycle.BID, "instance": lifecycle.INSTANCE, "cluster": lifecycle.CLUSTER}


# No request is under way for longer than this, so no answer can be older than what is forgotten after it.
REMEMBERED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Looked:
    """The newest look at a thing: when it was begun by our clock, the marketplace's minus ours, and our bearing."""

    ticket: int
    asked_at: datetime
    ahead: timedelta
    bearing: timedelta | None

    def begun(self, seen: Snapshot, *, lost: bool) -> datetime:
        """In terms of our clock as it goes by now. Where that was not set it is surer than what an answer says; `lost`:
        it may have been while this was seen."""
        held = self.bearing is not None and seen.bearing is not None and abs(seen.bearing - self.bearing) <= NO_JUMP
        return self.asked_at if held and not lost else self.asked_at + self.ahead - seen.ahead


class Recorder:
    """The one way from an observation into the record.

    Tickets are compared in memory: no answer outlives the process that asked for it, so none needs a row.
    `on_commit` is called, in the event loop, after each commit that added something. `pause` is how long nobody may
    look without its being a gap; a process begins with one, however short it was. A commit of what was
    polled puts the record in terms of our clock as it went then: so the `bearings` are taken.
    """

    def __init__(
        self,
        database: Database,
        rules: Callable[[], Sequence[HookRule]],
        host: str,
        on_commit: Callable[[], None],
        bearings: Bearings,
        *,
        pause: Callable[[], timedelta] = lambda: timedelta.max,
    ) -> None:
        self._database, self._rules, self._host, self._on_commit = database, rules, host, on_commit
        self._bearings, self._pause = bearings, pause
        self._looked: set[str] = set()  # the projects of which this process has seen all at least once
        self._newest: dict[str, Looked] = {}  # by fid
        self._pruned = 1000
        self._turn = asyncio.Lock()
        self.on_wish: Callable[[], None] = lambda: None  # something is to be looked back at

    async def record(self, seen: Snapshot, *, changed: bool = True) -> Recorded:
        """Commits a snapshot. `changed` is False for one that showed just what the record holds: then only the
        poll cursor moves. Raises StoreError if the disk refuses; then nothing of it was kept, and the next poll
        repairs it."""
        return await _to_the_end(self._record(seen, changed))

    async def remember(self, told: Remembered, now: datetime) -> Learned:
        """Commits what the marketplace remembers of a bid. Raises StoreError if the disk refuses."""
        return await _to_the_end(self._remember(told, now))

    async def end_look(
        self, project: str, begun: datetime, gap: Gap | None, open_bids: Mapping[str, str], now: datetime
    ) -> bool:
        """Commits that a project was looked through, and what that left open of a gap. Whether there was anything."""
        return await _to_the_end(self._end_look(project, begun, gap, open_bids, now))

    async def _end_look(
        self, project: str, begun: datetime, gap: Gap | None, open_bids: Mapping[str, str], now: datetime
    ) -> bool:
        async with self._turn:
            end = partial(end_look, host=self._host, now=now)
            told = await asyncio.to_thread(end, self._database, project, begun, gap, open_bids, self._rules())
        if told:
            self._on_commit()
        return told

    async def _remember(self, told: Remembered, now: datetime) -> Learned:
        async with self._turn:
            added = await asyncio.to_thread(
                write_history, self._database, told, self._rules(), host=self._host, now=now
            )
        names = await asyncio.to_thread(self._names, told) if added.steps else {}
        for _, step in added.steps:
            after = status_word(step.aspect, step.after)
            logger.info(
                "{} {}: {} (from the history: nobody saw it)", step.type, names.get(step.subject, step.subject), after
            )
        if added.steps:
            self._on_commit()
        return added

    def _names(self, told: Remembered) -> dict[str, str]:
        with self._database.read() as connection:
            fleet = read.one_bid(connection, told.bid, told.instance_steps)
        return {fid: one.value.name for group in (fleet.bids, fleet.instances) for fid, one in group.items()}

    async def _record(self, seen: Snapshot, changed: bool) -> Recorded:
        async with self._turn:
            seen = replace(
                seen,
                bids=self._newer(seen.bids),
                instances=self._newer(seen.instances),
                clusters=self._newer(seen.clusters),
            )
            pause = self._pause() if seen.project in self._looked else timedelta(0)
            # A poll under way while the clock was set may tell of it as it was, after another has told of it as it is.
            lost = not (self._bearings.hold() and self._bearings.hold(seen.bearing))
            added = await asyncio.to_thread(self._commit, seen, self._rules(), changed, pause, lost)
            if seen.bearing is not None:
                self._bearings.take(seen.bearing)
            if seen.complete:
                self._looked.add(seen.project)
            for group in (seen.bids, seen.instances, seen.clusters):
                for fid, item in group.items():
                    self._newest[fid] = Looked(item.ticket, seen.asked_at, seen.ahead, seen.bearing)
            horizon = seen.asked_at + seen.ahead - REMEMBERED
            if len(self._newest) > 2 * self._pruned:
                self._newest = {fid: one for fid, one in self._newest.items() if one.asked_at + one.ahead > horizon}
                self._pruned = max(len(self._newest), 1000)
        for _, step in added.steps:
            _tell(step, _name(step, seen))
        if added.steps or lost:
            self._on_commit()
        if added.wishes:
            self.on_wish()
        return added

    def _commit(
        self, seen: Snapshot, rules: Sequence[HookRule], changed: bool, pause: timedelta, lost: bool
    ) -> Recorded:
        def window(fid: str) -> datetime | None:
            return self._newest[fid].begun(seen, lost=lost) if fid in self._newest else None

        return record(
            self._database,
            seen,
            rules,
            host=self._host,
            window=window,
            changed=changed,
            pause=pause,
            lost=lost,
        )

    def _newer(self, items: Mapping[str, Seen[Thing]]) -> dict[str, Seen[Thing]]:
        return {
            fid: item
            for fid, item in items.items()
            if fid not in self._newest or item.ticket >= self._newest[fid].ticket
        }


async def _to_the_end(committing: Coroutine[None, None, Committed]) -> Committed:
    """A thread cannot be cancelled, so neither is what follows its commit: what is kept is told."""
    task = asyncio.ensure_future(committing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _name(step: Transition, seen: Snapshot) -> str:
    groups: tuple[Mapping[str, Seen[Bid] | Seen[Instance] | Seen[Cluster]], ...] = (
        seen.bids,
        seen.instances,
        seen.clusters,
    )
    return next((group[step.subject].value.name for group in groups if step.subject in group), step.subject)


def _tell(step: Transition, name: str) -> None:
    """One line a transition. First sights are no news."""
    if step.baseline:
        return
    before, after = (status_word(step.aspect, value) for value in (step.before, step.after))
    logger.info("{} {}: {}{}", step.type, name, f"{before} -> " if before else "", after)
    if step.aspect == "status" and step.kind in _TABLES and step.after != "gone":
        table = _TABLES[step.kind]
        if not lifecycle.expected(table, step.before, step.after):
            logger.debug("{}: the step from {} to {} is not in the tables", step.subject, step.before, step.after)
        if step.after not in table:
            logger.warning("{} is {}, a status that this version does not know", step.subject, step.after)
