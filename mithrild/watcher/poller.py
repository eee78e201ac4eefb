"""One tick of one project: ask, complete, judge, commit.

Every tick asks for the bids of each active status. Terminated bids are never listed: a bid that is missing
is asked for by its own fid, and its answer says how it ended. Instances are listed whole when a bid changed,
once a minute, and whenever that costs no more than one page; else only those of bids in flux are asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from mithrild.clock import Clock
from mithrild.errors import KeyRefused, MarketplaceError, NotFound
from mithrild.fleet import lifecycle
from mithrild.fleet.completeness import believable, is_live, missing
from mithrild.fleet.diff import apply, diff
from mithrild.fleet.event import group_by_bid
from mithrild.fleet.model import Bid, Fleet, Instance, Kind, Listing, Notice, Noun, Seen, Snapshot, Thing
from mithrild.fleet.notices import unconfirmed
from mithrild.fleet.state import count_running
from mithrild.marketplace.client import Marketplace
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.watcher.deadlines import ask_deadlines
from mithrild.watcher.recorder import Recorder

ASKED_BY_NAME = 20  # missing things asked for in one tick; the rest waits for the next
PAGE = 100
BEFORE_COMMIT = 2.0  # seconds that a commit waits for deadlines
AFTER_COMMIT = 10.0


@dataclass(slots=True)
class Tick:
    """What came of one tick. `trouble` has one line for each thing that could not be asked or read."""

    complete: bool = False
    busy: bool = False
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
        self._marketplace, self._database, self._recorder = marketplace, database, recorder
        self._clock, self._whole_every = clock, whole_every
        self._listed_at: float | None = None  # monotonic time of the last whole listing of instances
        self._lost: dict[str, int] = {}  # instances that a bid names and nobody knows -> how often asked

    async def tick(self) -> Tick:
        """Raises MarketplaceError if nothing at all could be learned, StoreError if it could not be kept."""
        tick = Tick()
        seen = Snapshot(self.project, self._clock.now(), self._clock.now())
        known, notices = await asyncio.to_thread(self._load)
        seen = await self._see_bids(seen, known, tick)
        seen = await self._see_instances(seen, known, tick)
        seen = replace(seen, complete=not tick.trouble, observed_at=self._clock.now())
        after = apply(known, diff(known, seen, notices=notices, window=lambda _: None))
        estimated = {fid for fid, notice in notices.items() if notice.estimated}
        fresh = _newly_noticed(after, notices)
        first = unconfirmed(after, fresh)
        deadlines = await ask_deadlines(self._marketplace, first, seconds=BEFORE_COMMIT)
        seen = replace(seen, deadlines=deadlines, observed_at=self._clock.now())
        await self._recorder.record(seen)
        later = [fid for fid in unconfirmed(after, estimated | fresh) if fid not in deadlines]
        if later:
            told = await ask_deadlines(self._marketplace, later, seconds=AFTER_COMMIT)
            if told:
                now = self._clock.now()
                await self._recorder.record(Snapshot(self.project, now, now, deadlines=told))
        tick.complete = seen.complete
        statuses = _statuses(after)
        tick.busy = any(
            record.value.status in ("Allocated", "Preempting") or not _at_rest(record.value, statuses)
            for record in after.bids.values()
        )
        return tick

    async def poll_clusters(self) -> Tick:
        """The clusters of the project: seldom, since little hangs on them."""
        tick = Tick()
        begun = self._clock.now()
        known, _ = await asyncio.to_thread(self._load)
        listing = await self._marketplace.clusters(self.project)
        seen = Snapshot(self.project, begun, self._clock.now(), clusters=_by_fid([listing]), whole=_whole("cluster"))
        tick.set_aside += listing.set_aside
        lacking = missing(known, seen).clusters
        clusters, absent = await self._by_name(lacking, self._marketplace.cluster, tick, len(known.clusters))
        seen = replace(seen, clusters={**seen.clusters, **clusters}, absent=absent, observed_at=self._clock.now())
        if tick.trouble:
            seen = replace(seen, whole=frozenset())
        await self._recorder.record(seen)
        return tick

    def _load(self) -> tuple[Fleet, Mapping[str, Notice]]:
        with self._database.read() as connection:
            return read.fleet(connection, self.project), read.open_notices(connection, self.project)

    async def _see_bids(self, seen: Snapshot, known: Fleet, tick: Tick) -> Snapshot:
        asked = [self._marketplace.bids(self.project, status) for status in lifecycle.ACTIVE_BID]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        listings = _believed(answers, tick)
        seen = replace(seen, bids=_by_fid(listings))
        if tick.trouble:
            return seen
        seen = replace(seen, whole=_whole("bid"))
        lacking = missing(known, seen).bids
        bids, absent = await self._by_name(lacking, self._marketplace.bid, tick, len(known.bids))
        if tick.trouble:
            seen = replace(seen, whole=frozenset())
        return replace(seen, bids={**seen.bids, **bids}, absent=absent)

    async def _see_instances(self, seen: Snapshot, known: Fleet, tick: Tick) -> Snapshot:
        asked_at = self._clock.monotonic()
        if not self._whole_due(seen, known):
            statuses = _statuses(known)
            flux = [fid for fid, item in seen.bids.items() if not _at_rest(item.value, statuses)]
            if not flux:
                return seen
            narrow = await self._list_instances(tick, bids=flux)
            return replace(seen, instances=_by_fid([narrow]))
        listing = await self._list_instances(tick, statuses=lifecycle.LISTED_INSTANCE)
        seen = replace(seen, instances=_by_fid([listing]))
        if tick.trouble:
            return seen
        seen = replace(seen, whole=seen.whole | {"instance"})
        lacking = [fid for fid in missing(known, seen).instances if self._lost.get(fid, 0) < 2]
        if lacking:
            seen = await self._find(seen, known, lacking, tick)
        if tick.trouble:
            return replace(seen, whole=seen.whole - {"instance"})
        self._listed_at = asked_at
        return seen

    async def _find(self, seen: Snapshot, known: Fleet, lacking: list[str], tick: Tick) -> Snapshot:
        """Instances that the listing hides (ended ones, and words that its filter cannot name): by their bids."""
        owner = {fid: known.instances[fid].value.bid for fid in lacking if fid in known.instances}
        owner |= {fid: bid.value.fid for bid in seen.bids.values() for fid in bid.value.instances if fid in lacking}
        bids = sorted({bid for bid in owner.values() if bid is not None})
        if bids:
            listing = await self._list_instances(tick, bids=bids)
            seen = replace(seen, instances={**_by_fid([listing]), **seen.instances})
        still = [fid for fid in lacking if fid not in seen.instances]
        live = sum(is_live(one.value.status, one.gone) for one in known.instances.values())
        statuses, absent = await self._by_name(still, self._marketplace.instance_status, tick, live)
        found = {
            fid: Seen(replace(known.instances[fid].value, status=answer.value.status), answer.ticket)
            for fid, answer in statuses.items()
            if fid in known.instances
        }
        for fid in absent - known.instances.keys():
            self._lost[fid] = self._lost.get(fid, 0) + 1
        return replace(seen, instances={**seen.instances, **found}, absent=seen.absent | absent)

    def _whole_due(self, seen: Snapshot, known: Fleet) -> bool:
        if self._listed_at is None or len(known.instances) <= PAGE:
            return True
        if self._clock.monotonic() - self._listed_at >= self._whole_every().total_seconds():
            return True
        held = known.bids
        return held.keys() != seen.bids.keys() or any(held[fid].value != bid.value for fid, bid in seen.bids.items())

    async def _list_instances(
        self, tick: Tick, *, bids: Iterable[str] = (), statuses: Iterable[str] = ()
    ) -> Listing[Instance]:
        try:
            listing = await self._marketplace.instances(self.project, bids=list(bids), statuses=list(statuses))
        except KeyRefused:
            raise
        except MarketplaceError as error:
            tick.trouble.append(str(error))
            return Listing(())
        tick.set_aside += listing.set_aside
        if listing.broken:
            tick.trouble.append(listing.broken)
        return listing

    async def _by_name(
        self, fids: Iterable[str], ask: Callable[[str], Awaitable[Seen[Noun]]], tick: Tick, live: int
    ) -> tuple[dict[str, Seen[Noun]], frozenset[str]]:
        """(what was found, what answered 404). Anything else proves nothing, and the poll is not complete.

        `live` is how many things of this kind the record holds to be alive.
        """
        fids = list(fids)
        if len(fids) > ASKED_BY_NAME:
            tick.trouble.append(f"{len(fids)} things are missing from the listings; {ASKED_BY_NAME} are asked for now")
        some = fids[:ASKED_BY_NAME]
        found: dict[str, Seen[Noun]] = {}
        absent = set()
        for fid, answer in zip(some, await asyncio.gather(*map(ask, some), return_exceptions=True), strict=True):
            if isinstance(answer, NotFound):
                absent.add(fid)
            elif isinstance(answer, KeyRefused) or (
                isinstance(answer, BaseException) and not isinstance(answer, MarketplaceError)
            ):
                raise answer
            elif isinstance(answer, MarketplaceError):
                tick.trouble.append(str(answer))
            else:
                found[fid] = answer
        if not believable(live, len(absent)):
            tick.trouble.append(f"{len(absent)} of {live} known things are not there any more: not believed")
            absent.clear()
        return found, frozenset(absent)


def _believed(answers: Iterable[Listing[Bid] | BaseException], tick: Tick) -> list[Listing[Bid]]:
    """The listings that came. If none did, the first failure is raised; a refused key always is."""
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    listings = [answer for answer in answers if not isinstance(answer, BaseException)]
    for failure in failures:
        if isinstance(failure, KeyRefused) or not isinstance(failure, MarketplaceError) or not listings:
            raise failure
        tick.trouble.append(str(failure))
    for listing in listings:
        tick.set_aside += listing.set_aside
        if listing.broken:
            tick.trouble.append(listing.broken)
    return listings


def _by_fid(listings: Iterable[Listing[Thing]]) -> dict[str, Seen[Thing]]:
    """One entry a thing. A bid that changed its status between two requests stands in both: the newer counts."""
    found: dict[str, Seen[Thing]] = {}
    for listing in listings:
        for item in listing.items:
            fid = item.value.fid
            if fid not in found or found[fid].ticket < item.ticket:
                found[fid] = item
    return found


def _whole(kind: Kind) -> frozenset[Kind]:
    return frozenset({kind})


def _statuses(fleet: Fleet) -> dict[str, list[str]]:
    return {fid: [one.status for one in group] for fid, group in group_by_bid(fleet).items()}


def _at_rest(bid: Bid, statuses: Mapping[str, Sequence[str]]) -> bool:
    """Whether nothing of this bid is on its way: it has what it wants, or waits for an auction."""
    mine = statuses.get(bid.fid, ())
    if any(status not in lifecycle.SETTLED for status in mine):
        return False
    if bid.status == "Allocated":
        return count_running(mine) >= bid.instance_quantity
    return bid.status != "Preempting"


def _newly_noticed(after: Fleet, notices: Mapping[str, Notice]) -> set[str]:
    """Subjects under notice now that had no open notice before."""
    groups: list[dict[str, str]] = [
        {fid: one.value.status for fid, one in after.bids.items() if not one.gone},
        {fid: one.value.status for fid, one in after.instances.items() if not one.gone},
    ]
    return {
        fid for group in groups for fid, status in group.items() if status in lifecycle.NOTICED and fid not in notices
    }
