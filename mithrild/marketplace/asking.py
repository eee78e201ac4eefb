"""What every question to the marketplace has in common: pages, single things, and what cannot be read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from loguru import logger
from pydantic import SecretStr

from mithrild.clock import Clock
from mithrild.errors import BrokenAnswer, KeyRefused, MarketplaceError, NotFound
from mithrild.fleet.model import Listing, Seen
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.listing import Gathering, next_cursor
from mithrild.marketplace.mapping import Mapped
from mithrild.marketplace.schema import Unreadable
from mithrild.marketplace.transport import Answer, Tickets, Transport

Noun = TypeVar("Noun")
Room = Callable[[], Awaitable[None]]

PAGE = 100
# Oldest first by a time that never changes: what appears while we turn the pages comes at the end, and is
# seen, instead of pushing what stands from one page to the next.
ORDER = {"sort_by": "created_at", "sort_dir": "asc", "limit": str(PAGE)}
LONGEST_FILTER = 2000  # characters of one comma list, escaped; gateways begin to refuse addresses at 4,096


class Asking:
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

    def _gathering(
        self, noun: str, read: Callable[[object], Mapped[Noun]], identity: Callable[[Noun], Hashable]
    ) -> Gathering[Noun]:
        return Gathering(noun, read, identity, self._transport.plain)

    async def _turn(
        self, path: str, query: Mapping[str, str], *, what: str, room: Room | None = None
    ) -> AsyncGenerator[Answer]:
        """One page after the other, for as long as somebody wants the next. `room` is awaited before each. Raises
        BrokenAnswer where they lead nowhere, or do not end."""
        cursor: str | None = None
        before: set[str] = set()
        for _ in range(self._page_cap):
            if room is not None:
                await room()
            params = {**query} if cursor is None else {**query, "next_cursor": cursor}
            answer = await self._transport.get(path, params, what=what)
            yield answer
            cursor = next_cursor(answer.body, before)
            if cursor is None:
                return
        raise BrokenAnswer(f"the listing does not end: {self._page_cap} pages were read")

    async def _pages(
        self, path: str, queries: Iterable[Mapping[str, str]], gathering: Gathering[Noun], *, what: str
    ) -> Listing[Noun]:
        """Every page of every query. The first page must come; what fails after it leaves a broken listing.

        A refused key is raised from any page: it is news about the key, not about the listing.
        """
        begun = False
        try:
            for query in queries:
                async for answer in self._turn(path, {**query, **ORDER}, what=what):
                    gathering.add(rows_of(answer, "data"), answer.ticket)
                    begun = True
        except KeyRefused:
            raise
        except MarketplaceError as error:
            if not begun:
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


def rows_of(answer: Answer, key: str) -> object:
    """What stands where a page has its rows; a page that is none has none."""
    return answer.body.get(key) if isinstance(answer.body, dict) else None


def segment(fid: str, noun: str) -> str:
    """A fid as one segment of a path. What would name another path instead is a fid that nothing has."""
    if fid in ("", ".", ".."):
        raise NotFound(f"{noun} {fid!r} cannot exist: that is no fid")
    return _escaped(fid)


def comma_lists(fids: Sequence[str]) -> list[str]:
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
