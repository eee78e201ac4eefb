"""One tick of one project: see, judge, ask for deadlines, commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from loguru import logger

from mithrild.clock import Clock, bearing
from mithrild.errors import MithrildError
from mithrild.fleet import lifecycle
from mithrild.fleet.diff import Changes, apply, diff
from mithrild.fleet.model import Fleet, Notice, Snapshot
from mithrild.fleet.notices import unconfirmed
from mithrild.fleet.pace import Pace, pace_of
from mithrild.marketplace.client import Marketplace
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.watcher.by_name import Trouble
from mithrild.watcher.deadlines import ask_deadlines
from mithrild.watcher.recorder import Recorder
from mithrild.watcher.sight import Sight, gaps_between

BEFORE_COMMIT = 2.0  # seconds that a commit waits for deadlines
AFTER_COMMIT = 10.0
ESTIMATE_AGAIN = 10.0  # seconds until an estimated deadline is asked for once more
TOLD_AGAIN = 60.0  # and one that was told: the marketplace may move it
# What the first sight overlooks would be taken for new later on, and hooks would run for old news. So one that
# contradicts itself is looked at again; but some contradictions stay, and must not hold it up for ever.
DOUBTFUL_LOOKS = 2


@dataclass(slots=True)
class Tick:
    """What came of one tick. `trouble` has one line for each thing that could not be asked."""

    complete: bool
    pace: Pace = "idle"
    trouble: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)


class Poller:
    def __init__(
        self,
        project: str,
        marketplace: Marketplace,
        database: Database,
        recorder: Recorder,
        clock: Clock,
        whole_every: Callable[[], timedelta],
    ) -> None:
        self.project = project
        self._marketplace, self._database, self._recorder, self._clock = marketplace, database, recorder, clock
        self._sight = Sight(project, marketplace, clock, whole_every)
        self._asked_at: dict[str, float] = {}  # instance -> monotonic time of the last question for its deadline
        self._confirming: asyncio.Task[None] | None = None
        self._doubted: Counter[str] = Counter()  # how often a first sight was not believed

    async def tick(self) -> Tick:
        """Raises MarketplaceError if nothing at all could be learned, StoreError if it could not be kept."""
        trouble, begun = Trouble(), self._clock.monotonic()
        seen = self._snapshot()
        known, notices, unseen = await asyncio.to_thread(self._load)
        seen = await self._sight.see_bids(seen, known, trouble)
        seen = await self._sight.see_instances(seen, known, trouble)
        if "fleet" in unseen:
            seen = self._doubt("fleet", seen, trouble)
        seen = self._observed(replace(seen, complete=not trouble.lines), begun)
        changes = await asyncio.to_thread(_preview, known, seen, notices)
        after = apply(known, changes)
        fresh = {fid for fid in _noticed(after) if fid not in notices}
        deadlines = await self._ask(unconfirmed(after, fresh), seconds=BEFORE_COMMIT)
        if deadlines:
            seen = self._observed(replace(seen, deadlines=deadlines), begun)
        await self._recorder.record(seen, changed=bool(changes or deadlines))
        self._confirm(after, notices, fresh)
        pace = pace_of(after, seen.observed_at, seen.ahead)
        return Tick(seen.complete, pace, trouble.lines, trouble.set_aside)

    async def poll_clusters(self) -> Tick:
        """The clusters of the project: seldom, since little hangs on them."""
        trouble, begun = Trouble(), self._clock.monotonic()
        seen = self._snapshot()
        known, _, unseen = await asyncio.to_thread(self._load)
        seen = await self._sight.see_clusters(seen, known, trouble)
        if "clusters" in unseen:
            seen = self._doubt("clusters", seen, trouble)
        await self._recorder.record(self._observed(seen, begun))
        return Tick(not trouble.lines, trouble=trouble.lines, set_aside=trouble.set_aside)

    async def stop(self) -> None:
        if self._confirming is not None:
            self._confirming.cancel()
            await asyncio.gather(self._confirming, return_exceptions=True)

    def _snapshot(self) -> Snapshot:
        now = self._clock.now()
        return Snapshot(self.project, asked_at=now, observed_at=now, bearing=bearing(self._clock))

    def _observed(self, seen: Snapshot, begun: float) -> Snapshot:
        """Now all of it has been seen; and by then the answers have told what the marketplace's clock shows.

        `begun` is the monotonic time of the first question: a clock that is set back would date it later than this."""
        now = self._clock.now()
        asked_at = min(seen.asked_at, now - timedelta(seconds=self._clock.monotonic() - begun))
        return replace(seen, asked_at=asked_at, observed_at=now, ahead=self._marketplace.skew or timedelta())

    def _load(self) -> tuple[Fleet, Mapping[str, Notice], set[str]]:
        """What the record holds, its open notices, and what still waits for its first sight."""
        with self._database.read() as connection:
            fleet, notices = read.fleet(connection, self.project), read.open_notices(connection, self.project)
            cursor = read.project(connection, self.project)
        marks = {"fleet": "baseline_at", "clusters": "clusters_baseline_at"}
        return fleet, notices, {what for what, mark in marks.items() if cursor[mark] is None}

    def _doubt(self, what: str, seen: Snapshot, trouble: Trouble) -> Snapshot:
        """A first sight that shows its own gaps is none: nothing of it is whole."""
        gaps = [*trouble.set_aside, *gaps_between(seen)]
        if not gaps or self._doubted[what] == DOUBTFUL_LOOKS:
            return seen
        self._doubted[what] += 1
        trouble.lines.append(f"the first sight of the {what} is taken again: {gaps[0]}")
        return replace(seen, whole=frozenset())

    async def _ask(self, instances: Sequence[str], *, seconds: float) -> dict[str, datetime]:
        self._asked_at |= dict.fromkeys(instances, self._clock.monotonic())
        return await ask_deadlines(self._marketplace, self._clock, instances, seconds=seconds)

    def _confirm(self, after: Fleet, notices: Mapping[str, Notice], fresh: Collection[str]) -> None:
        """After the commit, beside the ticks: asks again for deadlines that are estimated, and now and then for
        those that were told."""
        if self._confirming is not None and not self._confirming.done():
            return
        estimated = {fid for fid, notice in notices.items() if notice.estimated} | set(fresh)
        now, never = self._clock.monotonic(), float("-inf")
        self._asked_at = {fid: at for fid, at in self._asked_at.items() if now - at < TOLD_AGAIN}
        due = [
            fid
            for fid in unconfirmed(after, {*notices, *fresh})
            if now - self._asked_at.get(fid, never) >= (ESTIMATE_AGAIN if fid in estimated else TOLD_AGAIN)
        ]
        if due:
            self._confirming = asyncio.create_task(self._confirm_now(due))

    async def _confirm_now(self, due: list[str]) -> None:
        try:
            seen, begun = self._snapshot(), self._clock.monotonic()
            told = await self._ask(due, seconds=AFTER_COMMIT)
            if told:
                await self._recorder.record(self._observed(replace(seen, deadlines=told), begun))
        except MithrildError as error:
            logger.debug("deadlines were not confirmed: {}", error)


def _preview(known: Fleet, seen: Snapshot, notices: Mapping[str, Notice]) -> Changes:
    """What this poll will change, as far as can be told before the commit, which takes the diff that counts."""
    return diff(known, seen, notices=notices, window=lambda _: None)


def _noticed(fleet: Fleet) -> list[str]:
    """The subjects that are under notice."""
    statuses = [(fid, one.value.status) for fid, one in fleet.bids.items() if not one.gone]
    statuses += [(fid, one.value.status) for fid, one in fleet.instances.items() if not one.gone]
    return [fid for fid, status in statuses if status in lifecycle.NOTICED]
