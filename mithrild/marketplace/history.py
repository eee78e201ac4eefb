"""What the marketplace remembers: histories of bids and instances, and bids that have ended."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from mithrild.errors import BrokenAnswer
from mithrild.fleet.model import Bid, BidEvent, Listing, Seen
from mithrild.fleet.timeline import InstanceStory
from mithrild.marketplace import mapping
from mithrild.marketplace.asking import PAGE, Asking, Room, rows_of, segment
from mithrild.marketplace.schema import Unreadable

NEWEST_FIRST = {"sort_by": "created_at", "sort_dir": "desc"}


class History(Asking):
    async def bid_history(self, fid: str) -> tuple[tuple[BidEvent, ...], tuple[str, ...]]:
        """What the marketplace remembers of a bid, on one page; and a line for each event that cannot be read."""
        answer = await self._transport.get(f"/spot/bids/{segment(fid, 'bid')}/history", what=f"history of {fid}")
        lines = itertools.count()  # each is a step of its own, even if it reads like another
        gathering = self._gathering("event", mapping.bid_event, lambda _: next(lines))
        gathering.add(rows_of(answer, "events"), answer.ticket)
        listing = gathering.listing()
        return tuple(seen.value for seen in listing.items), listing.set_aside

    async def status_history(
        self, project: str, *, bid: str | None = None, since: datetime | None = None, pages: int | None = None
    ) -> tuple[list[InstanceStory], tuple[str, ...]] | None:
        """The statuses of the instances of a bid, or of a whole project, since a moment; and a line for each that
        cannot be read. All pages; whether a page counts instances or events is not documented, so one instance may
        stand on several. None where there are more than so many pages. Raises where a page is missing."""
        query = {"project": project, "limit": str(PAGE)}
        if bid is not None:
            query["bid_fid"] = bid
        if since is not None:
            query["start_time"] = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        found: dict[str, InstanceStory] = {}
        notes: list[str] = []
        what = f"statuses of {bid or project}"
        async with aclosing(self._turn("/instances/status/history", query, what=what)) as turned:
            async for answer in turned:
                rows = rows_of(answer, "instances")
                if not isinstance(rows, list):
                    raise BrokenAnswer("the marketplace sent no list of status histories")
                if pages is not None:
                    pages -= 1
                    if pages < 0:
                        return None
                for row in rows:
                    try:
                        story, said = mapping.status_history(row)
                    except Unreadable as error:
                        notes.append(self._transport.plain(str(error)))
                        continue
                    notes += map(self._transport.plain, said)
                    had = found.get(story.instance)
                    found[story.instance] = replace(story, steps=had.steps + story.steps) if had else story
        return list(found.values()), tuple(notes)

    async def bids_since(self, project: str, moment: datetime) -> tuple[Seen[Bid], ...]:
        """Every bid of the project, ended ones too, that was placed after a moment: the newest first, until older.
        Raises where a page is missing."""
        gathering = self._gathering("bid", partial(mapping.bid, project=project), lambda bid: bid.fid)
        query = {"project": project, **NEWEST_FIRST, "limit": str(PAGE)}
        async with aclosing(self._turn("/spot/bids", query, what=f"newest bids of {project}")) as pages:
            async for answer in pages:
                gathering.add(rows_of(answer, "data"), answer.ticket)
                if any(seen.value.created_at <= moment for seen in gathering.listing().items):
                    break
        return tuple(seen for seen in gathering.listing().items if seen.value.created_at > moment)

    async def ended_bids(self, project: str, *, at_a_time: int, room: Room) -> AsyncGenerator[Listing[Bid]]:
        """The bids of the project that have ended, the newest first: page after page, for as long as they are wanted.
        `at_a_time` is 100 at most; `room` is awaited before each page."""
        query = {"project": project, "status": "Terminated", **NEWEST_FIRST, "limit": str(at_a_time)}
        async with aclosing(self._turn("/spot/bids", query, what=f"ended bids of {project}", room=room)) as pages:
            async for answer in pages:
                gathering = self._gathering("bid", partial(mapping.bid, project=project), lambda bid: bid.fid)
                gathering.add(rows_of(answer, "data"), answer.ticket)
                yield gathering.listing()

    async def bids_named(self, project: str, name: str) -> tuple[Seen[Bid], ...]:
        """Every bid of that name, ended ones too: a name stays taken for good. Raises where a page is missing."""
        gathering = self._gathering("bid", partial(mapping.bid, project=project), lambda bid: bid.fid)
        listing = await self._pages(
            "/spot/bids", [{"project": project, "name": name}], gathering, what=f"bids called {name}"
        )
        if listing.broken is not None or listing.set_aside:
            raise BrokenAnswer(listing.broken or listing.set_aside[0])
        return tuple(seen for seen in listing.items if seen.value.name == name)
