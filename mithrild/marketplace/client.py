"""The marketplace's API, read: questions in, fleet values out.

Every method may raise the MarketplaceErrors of `mithrild.errors`. The paths and filters are those of the
public API description (base `/v2`); its page size ends at 100.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from loguru import logger
from pydantic import SecretStr

from mithrild.clock import Clock
from mithrild.errors import AnswerLost, BrokenAnswer, KeyRefused, MarketplaceError, NotFound
from mithrild.fleet.model import (
    Account,
    Auction,
    Bid,
    BidEvent,
    Cluster,
    Instance,
    InstanceStatus,
    InstanceType,
    Listing,
    Member,
    Project,
    Quota,
    Seen,
    SshKey,
    Volume,
)
from mithrild.fleet.order import Order
from mithrild.fleet.timeline import InstanceStory
from mithrild.marketplace import mapping
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.listing import Gathering, next_cursor
from mithrild.marketplace.mapping import Mapped
from mithrild.marketplace.schema import Unreadable
from mithrild.marketplace.transport import Answer, Tickets, Transport

__all__ = ["Marketplace", "Tickets"]

Noun = TypeVar("Noun")

PAGE = 100
# Oldest first by a time that never changes: what appears while we turn the pages comes at the end, and is
# seen, instead of pushing what stands from one page to the next.
ORDER = {"sort_by": "created_at", "sort_dir": "asc", "limit": str(PAGE)}
LONGEST_FILTER = 2000  # characters of one comma list, escaped; gateways begin to refuse addresses at 4,096


class Marketplace:
    def __init__(
        self,
        api_url: str,
        key: SecretStr | None,
        *,
        clock: Clock,
        tickets: Tickets,
        budget: RequestBudget,
        connect_timeout: float = 5,
        read_timeout: float = 15,
        overall_timeout: float = 30,
        size_limit: int = 16 * 2**20,
        page_cap: int = 2000,
    ) -> None:
        """Time-outs are in seconds: to connect, between two bytes, and for a whole answer; `size_limit` is in
        bytes of one answer, `page_cap` ends a listing. Raises ConfigError where the address or the proxy
        of the environment cannot be used."""
        self._page_cap = page_cap
        self._transport = Transport(
            api_url,
            key,
            clock=clock,
            tickets=tickets,
            budget=budget,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            overall_timeout=overall_timeout,
            size_limit=size_limit,
        )

    @property
    def skew(self) -> timedelta | None:
        """The marketplace's clock minus ours, to about a second, from the last answer that bore a date."""
        return self._transport.skew

    def use_key(self, key: SecretStr | None) -> None:
        """A new key, from the next request on."""
        self._transport.use_key(key)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def me(self) -> Account:
        """Whose key this is: a cheap check of it."""
        answer = await self._transport.get("/me", what="account")
        return self._value(answer, "account", mapping.account)

    async def projects(self) -> tuple[Project, ...]:
        """The projects that the key can see."""
        return await self._inventory("/projects", "project", mapping.project)

    async def instance_types(self) -> tuple[InstanceType, ...]:
        """Every instance type; one name may stand several times, with a fid for each region."""
        return await self._inventory("/instance-types", "instance type", mapping.instance_type)

    async def teammates(self) -> tuple[Member, ...]:
        """Who may stand in `created_by`."""
        return await self._inventory("/me/teammates", "teammate", mapping.member)

    async def bids(self, project: str, status: str) -> Listing[Bid]:
        """Every bid of the project in one status; the API takes one at a time."""
        gathering = self._gathering("bid", partial(mapping.bid, project=project), lambda bid: bid.fid)
        query = {"project": project, "status": status}
        return await self._pages("/spot/bids", [query], gathering, what=f"bids of {project}")

    async def bid(self, fid: str) -> Seen[Bid]:
        """One bid by its fid, in whatever status. NotFound on 404."""
        return await self._single(f"/spot/bids/{_segment(fid, 'bid')}", fid, "bid", mapping.bid)

    async def instances(
        self,
        project: str,
        *,
        statuses: Sequence[str] = (),
        bids: Sequence[str] = (),
        order_types: Sequence[str] = (),
    ) -> Listing[Instance]:
        """The instances of a project. An empty filter filters nothing.

        A long list of bids becomes several requests; their answers are one listing.
        """
        query = {"project": project}
        if statuses:
            query["status_in"] = ",".join(statuses)
        if order_types:
            query["order_type_in"] = ",".join(order_types)
        queries = [query | {"bid_fid_in": part} for part in _comma_lists(bids)] or [query]
        read = partial(mapping.instance, project=project)
        gathering = self._gathering("instance", read, lambda instance: instance.fid)
        return await self._pages("/instances", queries, gathering, what=f"instances of {project}")

    async def instance_status(self, fid: str, *, urgent: bool = False) -> Seen[InstanceStatus]:
        """Status and deadline of one instance. `urgent` takes from the reserved slice, and tries once."""
        path = f"/instances/{_segment(fid, 'instance')}/status"
        return await self._single(path, fid, "instance", mapping.instance_status, urgent=urgent)

    async def bid_history(self, fid: str) -> tuple[tuple[BidEvent, ...], tuple[str, ...]]:
        """What the marketplace remembers of a bid, on one page; and a line for each event that cannot be read."""
        answer = await self._transport.get(f"/spot/bids/{_segment(fid, 'bid')}/history", what=f"history of {fid}")
        gathering = self._gathering("event", mapping.bid_event, lambda event: event)
        gathering.add(answer.body.get("events") if isinstance(answer.body, dict) else None, answer.ticket)
        listing = gathering.listing()
        return tuple(seen.value for seen in listing.items), listing.set_aside

    async def status_history(
        self, project: str, *, bid: str | None = None, since: datetime | None = None
    ) -> tuple[list[InstanceStory], tuple[str, ...]]:
        """The statuses of the instances of a bid, or of a whole project, since a moment; and a line for each that
        cannot be read. All pages; whether a page counts instances or events is not documented, so one instance may
        stand on several. Raises where a page is missing."""
        query = {"project": project, "limit": str(PAGE)}
        if bid is not None:
            query["bid_fid"] = bid
        if since is not None:
            query["start_time"] = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        found: dict[str, InstanceStory] = {}
        notes: list[str] = []
        cursor: str | None = None
        before: set[str] = set()
        for _ in range(self._page_cap):
            params = query | ({} if cursor is None else {"next_cursor": cursor})
            what = f"statuses of {bid or project}"
            answer = await self._transport.get("/instances/status/history", params, what=what)
            rows = answer.body.get("instances") if isinstance(answer.body, dict) else None
            if not isinstance(rows, list):
                raise BrokenAnswer("the marketplace sent no list of status histories")
            for row in rows:
                try:
                    story, said = mapping.status_history(row)
                except Unreadable as error:
                    notes.append(self._transport.plain(str(error)))
                    continue
                notes += map(self._transport.plain, said)
                had = found.get(story.instance)
                found[story.instance] = replace(story, steps=had.steps + story.steps) if had else story
            cursor = next_cursor(answer.body, before)
            if cursor is None:
                return list(found.values()), tuple(notes)
        raise BrokenAnswer(f"the history of {bid or project} does not end")

    async def bids_since(self, project: str, moment: datetime) -> tuple[Seen[Bid], ...]:
        """Every bid of the project, ended ones too, that was placed after a moment: the newest first, until older.
        Raises where a page is missing."""
        read = partial(mapping.bid, project=project)
        gathering = self._gathering("bid", read, lambda bid: bid.fid)
        query = {"project": project, "sort_by": "created_at", "sort_dir": "desc", "limit": str(PAGE)}
        cursor: str | None = None
        before: set[str] = set()
        for _ in range(self._page_cap):
            params = query | ({} if cursor is None else {"next_cursor": cursor})
            answer = await self._transport.get("/spot/bids", params, what=f"newest bids of {project}")
            gathering.add(answer.body.get("data") if isinstance(answer.body, dict) else None, answer.ticket)
            cursor = next_cursor(answer.body, before)
            items = gathering.listing().items
            if cursor is None or any(seen.value.created_at <= moment for seen in items):
                return tuple(seen for seen in items if seen.value.created_at > moment)
        raise BrokenAnswer(f"the listing of bids of {project} does not end")

    async def clusters(self, project: str) -> Listing[Cluster]:
        """The Kubernetes clusters of a project, on one page."""
        answer = await self._transport.get("/kubernetes/clusters", {"project": project}, what=f"clusters of {project}")
        read = partial(mapping.cluster, project=project)
        gathering = self._gathering("cluster", read, lambda cluster: cluster.fid)
        gathering.add(answer.body, answer.ticket)
        return gathering.listing()

    async def cluster(self, fid: str) -> Seen[Cluster]:
        """One cluster by its fid. NotFound on 404."""
        path = f"/kubernetes/clusters/{_segment(fid, 'cluster')}"
        return await self._single(path, fid, "cluster", mapping.cluster)

    async def join_command(self, fid: str) -> SecretStr | None:
        """The secret with which a machine joins a cluster. NotFound on 404."""
        answer = await self._transport.get(f"/kubernetes/clusters/{_segment(fid, 'cluster')}", what=f"cluster {fid}")
        return self._value(answer, f"cluster {fid}", mapping.join_command).command

    async def ssh_keys(self, project: str) -> tuple[SshKey, ...]:
        return await self._of_project("/ssh-keys", project, "SSH key", partial(mapping.ssh_key, project=project))

    async def volumes(self, project: str) -> tuple[Volume, ...]:
        return await self._of_project("/volumes", project, "volume", partial(mapping.volume, project=project))

    async def quotas(self, project: str) -> tuple[Quota, ...]:
        return await self._of_project("/quotas", project, "quota", mapping.quota)

    async def bids_named(self, project: str, name: str) -> tuple[Seen[Bid], ...]:
        """Every bid of that name, ended ones too: a name stays taken for good. Raises where a page is missing."""
        gathering = self._gathering("bid", partial(mapping.bid, project=project), lambda bid: bid.fid)
        listing = await self._pages(
            "/spot/bids", [{"project": project, "name": name}], gathering, what=f"bids called {name}"
        )
        if listing.broken is not None or listing.set_aside:
            raise BrokenAnswer(listing.broken or listing.set_aside[0])
        return tuple(seen for seen in listing.items if seen.value.name == name)

    async def place_bid(self, order: Order) -> Seen[Bid]:
        """POST, once. AnswerLost where nobody knows whether the bid was placed."""
        answer = await self._transport.send("POST", "/spot/bids", mapping.order_body(order), what=f"bid {order.name}")
        return self._changed(answer, order.name)

    async def change_bid(self, fid: str, *, limit_price: str | None = None, paused: bool | None = None) -> Seen[Bid]:
        """PATCH: what is None stays. `limit_price` as `"$8.00"`."""
        changes = {"limit_price": limit_price, "paused": paused}
        body = {name: value for name, value in changes.items() if value is not None}
        path = f"/spot/bids/{_segment(fid, 'bid')}"
        return self._changed(await self._transport.send("PATCH", path, body, what=f"bid {fid}"), fid)

    async def cancel_bid(self, fid: str) -> None:
        """DELETE: the bid ends, and its instances with it."""
        await self._transport.send("DELETE", f"/spot/bids/{_segment(fid, 'bid')}", what=f"bid {fid}")

    def _changed(self, answer: Answer, what: str) -> Seen[Bid]:
        try:
            return Seen(self._value(answer, f"bid {what}", mapping.bid), answer.ticket)
        except BrokenAnswer as error:
            raise AnswerLost(str(error)) from None  # it was done, but what came of it is not readable

    async def auctions(self) -> Listing[Auction]:
        """The whole market in one answer, one line for each region and instance type."""
        answer = await self._transport.get("/spot/availability", what="auctions")
        gathering = self._gathering("auction", mapping.auction, lambda auction: (auction.region, auction.instance_type))
        gathering.add(answer.body, answer.ticket)
        return gathering.listing()

    def _gathering(
        self, noun: str, read: Callable[[object], Mapped[Noun]], identity: Callable[[Noun], Hashable]
    ) -> Gathering[Noun]:
        return Gathering(noun, read, identity, self._transport.plain)

    async def _pages(
        self, path: str, queries: Iterable[Mapping[str, str]], gathering: Gathering[Noun], *, what: str
    ) -> Listing[Noun]:
        """Every page of every query. The first page must come; what fails after it leaves a broken listing.

        A refused key is raised from any page: it is news about the key, not about the listing.
        """
        asked = 0
        try:
            for query in queries:
                cursor: str | None = None
                before: set[str] = set()
                while True:
                    if asked == self._page_cap:
                        raise BrokenAnswer(f"the listing does not end: {asked} pages were read")
                    params = {**query, **ORDER} | ({} if cursor is None else {"next_cursor": cursor})
                    answer = await self._transport.get(path, params, what=what)
                    rows = answer.body.get("data") if isinstance(answer.body, dict) else None
                    gathering.add(rows, answer.ticket)
                    asked += 1
                    cursor = next_cursor(answer.body, before)
                    if cursor is None:
                        break
        except KeyRefused:
            raise
        except MarketplaceError as error:
            if asked == 0:
                raise
            return gathering.listing(broken=str(error))
        return gathering.listing()

    async def _inventory(
        self, path: str, noun: str, read: Callable[[object], Mapped[Noun]], query: Mapping[str, str] | None = None
    ) -> tuple[Noun, ...]:
        answer = await self._transport.get(path, query, what=f"{noun}s")
        gathering = self._gathering(noun, read, lambda value: value)
        gathering.add(answer.body, answer.ticket)
        listing = gathering.listing()
        for line in listing.set_aside:
            logger.warning("{}", line)
        return tuple(seen.value for seen in listing.items)

    async def _of_project(
        self, path: str, project: str, noun: str, read: Callable[[object], Mapped[Noun]]
    ) -> tuple[Noun, ...]:
        return await self._inventory(path, noun, read, {"project": project})

    async def _single(
        self, path: str, fid: str, noun: str, read: Callable[[object], Mapped[Any]], *, urgent: bool = False
    ) -> Seen[Any]:
        answer = await self._transport.get(path, what=f"{noun} {fid}", urgent=urgent)
        value = self._value(answer, f"{noun} {fid}", read)
        if value.fid != fid:
            # A cache or gateway that mixes answers up must not write one bid's fate into another's record.
            raise BrokenAnswer(self._transport.plain(f"asked for {noun} {fid}, the answer is about {value.fid}"))
        return Seen(value, answer.ticket)

    def _value(self, answer: Answer, what: str, read: Callable[[object], Mapped[Noun]]) -> Noun:
        try:
            value, notes = read(answer.body)
        except Unreadable as error:
            raise BrokenAnswer(self._transport.plain(f"the answer about {what} cannot be read: {error}")) from None
        for note in notes:
            logger.debug("{}", self._transport.plain(f"{what}: {note}"))
        return value


def _segment(fid: str, noun: str) -> str:
    """A fid as one segment of a path. What would name another path instead is a fid that nothing has."""
    if fid in ("", ".", ".."):
        raise NotFound(f"{noun} {fid!r} cannot exist: that is no fid")
    return _escaped(fid)


def _comma_lists(fids: Sequence[str]) -> list[str]:
    """Comma lists that each stay short enough for an address."""
    lists: list[str] = []
    room = 0
    for fid in fids:
        cost = len(_escaped(fid)) + 3  # a comma becomes %2C
        if cost > room:
            lists.append(fid)
            room = LONGEST_FILTER - cost
        else:
            lists[-1] += f",{fid}"
            room -= cost
    return lists


def _escaped(fid: str) -> str:
    return quote(fid, safe="", errors="replace")
