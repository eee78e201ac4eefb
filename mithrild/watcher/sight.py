"""Asking for a project's bids, instances and clusters, and for what is missing by its name.

Every tick asks for the bids of each active status. Terminated bids are never listed: a bid that is missing
is asked for by its own fid, and its answer says how it ended. Instances are listed whole when a bid changed,
once a minute, and whenever that costs no more than one page; else only those of bids in flux are asked for.

What an answer shows is believed, also where the listing around it broke off. What it lacks is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from mithrild.clock import Clock
from mithrild.errors import KeyRefused, MarketplaceError, Unreachable
from mithrild.fleet import lifecycle
from mithrild.fleet.completeness import missing
from mithrild.fleet.event import group_by_bid
from mithrild.fleet.model import Bid, Fleet, Instance, Kind, Listing, Seen, Snapshot, Thing
from mithrild.fleet.state import count_running
from mithrild.marketplace.client import Marketplace
from mithrild.watcher.by_name import ByName, Trouble

PAGE = 100
LOOKS_FOR_UNKNOWN = 2  # how often an instance is asked for that a bid names and no listing shows


class Sight:
    """One project's view. `whole_every` is how often its instances are listed whole at the least."""

    def __init__(
        self, project: str, marketplace: Marketplace, clock: Clock, whole_every: Callable[[], timedelta]
    ) -> None:
        self._project, self._marketplace = project, marketplace
        self._clock, self._whole_every = clock, whole_every
        self._bid = ByName("bid", marketplace.bid)
        self._instance = ByName("instance", marketplace.instance_status)
        self._cluster = ByName("cluster", marketplace.cluster)
        self._unanswered = False  # the last look got no answer at all
        self._listed_at: float | None = None  # monotonic time of the last whole listing of instances
        self._unknown: dict[str, int] = {}  # instances that a bid names and no listing shows -> how often asked

    async def see_bids(self, seen: Snapshot, known: Fleet, trouble: Trouble) -> Snapshot:
        """Raises MarketplaceError if no listing came at all, KeyRefused if any was refused."""
        first, *others = lifecycle.ACTIVE_BID
        probe = [await self._bids(first)] if self._unanswered else []
        if probe and isinstance(probe[0], Unreachable):
            raise probe[0]  # one question is enough to find that still nobody answers
        rest = await asyncio.gather(*(self._bids(status) for status in (others if probe else (first, *others))))
        self._unanswered = all(isinstance(answer, Unreachable) for answer in (*probe, *rest))
        listings = _believed([*probe, *rest], trouble)
        seen = replace(seen, bids=_by_fid(listings))
        if trouble.lines:
            return seen
        seen = replace(seen, whole=seen.whole | _only("bid"))
        named = await self._bid(missing(known, seen).bids, known.bids, trouble)
        whole = seen.whole if named.resolved else frozenset[Kind]()
        return replace(seen, bids={**seen.bids, **named.found}, absent=named.absent, whole=whole)

    async def _bids(self, status: str) -> Listing[Bid] | MarketplaceError:
        try:
            return await self._marketplace.bids(self._project, status)
        except MarketplaceError as error:
            return error

    async def see_instances(self, seen: Snapshot, known: Fleet, trouble: Trouble) -> Snapshot:
        asked_at = self._clock.monotonic()
        if not self._whole_due(seen, known):
            statuses = statuses_by_bid(known)
            flux = [fid for fid, item in seen.bids.items() if not at_rest(item.value, statuses)]
            if not flux:
                return seen
            return replace(seen, instances=_by_fid([await self._list_instances(trouble, bids=flux)]))
        listing = await self._list_instances(trouble, statuses=lifecycle.LISTED_INSTANCE)
        seen = replace(seen, instances=_by_fid([listing]))
        if listing.broken:
            return seen
        resolved = True
        lacking = missing(known, replace(seen, whole=_only("instance"))).instances
        self._unknown = {fid: count for fid, count in self._unknown.items() if fid in lacking}
        lacking = tuple(fid for fid in lacking if self._unknown.get(fid, 0) < LOOKS_FOR_UNKNOWN)
        if lacking:
            seen, resolved = await self._find(seen, known, lacking, trouble)
        if not resolved:
            return seen
        self._listed_at = asked_at
        return replace(seen, whole=seen.whole | _only("instance"))

    async def see_clusters(self, seen: Snapshot, known: Fleet, trouble: Trouble) -> Snapshot:
        listing = await self._marketplace.clusters(self._project)
        trouble.set_aside += listing.set_aside
        seen = replace(seen, clusters=_by_fid([listing]), whole=_only("cluster"))
        named = await self._cluster(missing(known, seen).clusters, known.clusters, trouble)
        whole = seen.whole if named.resolved else frozenset[Kind]()
        return replace(seen, clusters={**seen.clusters, **named.found}, absent=named.absent, whole=whole)

    async def _find(
        self, seen: Snapshot, known: Fleet, lacking: Sequence[str], trouble: Trouble
    ) -> tuple[Snapshot, bool]:
        """Instances that the listing hides (ended ones, and words that its filter cannot name): by their bids,
        and those that are not even there, by their own fid. And whether every question was answered."""
        wanted = set(lacking)
        owner = {fid: known.instances[fid].value.bid for fid in lacking if fid in known.instances}
        owner |= {fid: bid.value.fid for bid in seen.bids.values() for fid in bid.value.instances if fid in wanted}
        bids = sorted({bid for bid in owner.values() if bid is not None})
        broken = False
        if bids:
            listing = await self._list_instances(trouble, bids=bids)
            broken = listing.broken is not None
            seen = replace(seen, instances=_by_fid([listing, Listing(tuple(seen.instances.values()))]))
        still = [fid for fid in lacking if fid not in seen.instances]
        held = [fid for fid in still if fid in known.instances]
        named = await self._instance(held, known.instances, trouble)
        found = {
            fid: Seen(replace(known.instances[fid].value, status=answer.value.status), answer.ticket)
            for fid, answer in named.found.items()
        }
        if not broken:
            # Its bid names it, and the whole listing of that bid does not have it: there is nothing to record
            # of it yet, and it must not hold up the first sight of everything else.
            for fid in wanted - set(held) - seen.instances.keys():
                self._unknown[fid] = self._unknown.get(fid, 0) + 1
        instances = {**seen.instances, **found}
        return replace(seen, instances=instances, absent=seen.absent | named.absent), named.resolved and not broken

    def _whole_due(self, seen: Snapshot, known: Fleet) -> bool:
        if self._listed_at is None or len(known.instances) <= PAGE:
            return True
        if self._clock.monotonic() - self._listed_at >= self._whole_every().total_seconds():
            return True
        held = known.bids
        return held.keys() != seen.bids.keys() or any(held[fid].value != bid.value for fid, bid in seen.bids.items())

    async def _list_instances(
        self, trouble: Trouble, *, bids: Iterable[str] = (), statuses: Iterable[str] = ()
    ) -> Listing[Instance]:
        try:
            listing = await self._marketplace.instances(self._project, bids=list(bids), statuses=list(statuses))
        except MarketplaceError as error:
            listing = Listing((), broken=str(error))
        trouble.set_aside += listing.set_aside
        if listing.broken:
            trouble.lines.append(listing.broken)
        return listing


def statuses_by_bid(fleet: Fleet) -> dict[str, list[str]]:
    """The statuses of each bid's live instances."""
    return {fid: [one.status for one in group] for fid, group in group_by_bid(fleet).items()}


def gaps_between(seen: Snapshot) -> list[str]:
    """What bids and instances say of each other and the listings do not show, one line each."""
    named = {fid for bid in seen.bids.values() for fid in bid.value.instances} - seen.instances.keys()
    owners = {one.value.bid for one in seen.instances.values()} - seen.bids.keys() - {None}
    return [f"no listing shows instance {fid}, which a bid names" for fid in sorted(named)] + [
        f"no listing shows bid {fid}, which an instance names" for fid in sorted(filter(None, owners))
    ]


def at_rest(bid: Bid, statuses: Mapping[str, Sequence[str]]) -> bool:
    """Whether nothing of this bid is on its way: it has what it wants, or waits for an auction."""
    mine = statuses.get(bid.fid, ())
    if any(status not in lifecycle.SETTLED for status in mine):
        return False
    if bid.status == "Allocated":
        return count_running(mine) >= bid.instance_quantity
    return bid.status != "Preempting"


def _believed(answers: Sequence[Listing[Bid] | MarketplaceError], trouble: Trouble) -> list[Listing[Bid]]:
    """The listings that came. If none did, the first failure is raised; a refused key always is."""
    listings = [answer for answer in answers if not isinstance(answer, MarketplaceError)]
    for failure in answers:
        if not isinstance(failure, MarketplaceError):
            continue
        if isinstance(failure, KeyRefused) or not listings:
            raise failure
        trouble.lines.append(str(failure))
    for listing in listings:
        trouble.set_aside += listing.set_aside
        if listing.broken:
            trouble.lines.append(listing.broken)
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


def _only(kind: Kind) -> frozenset[Kind]:
    return frozenset({kind})
