"""The table of faults, in its own words: what an answer of the marketplace may lack, repeat or make up."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mithrild.fleet.model import Fleet
from mithrild.marketplace import asking
from mithrild.store import read
from tests.integration.account_rig import HandClock, Rig
from tests.integration.marketplace_server import Reply, Request
from tests.integration.meddler import Meddler, Meddling, honest
from tests.integration.sandbox_server import PROJECT, Visitor, visit

PAGE = "2"  # so that five things are three pages
FLEET = 5
POLLS_IN_TROUBLE = 3  # a second 404 in a second poll is what makes a thing gone: there must be more
BIDS, INSTANCES = "/v2/spot/bids", "/v2/instances"
MEGABYTES = 50


class Place:
    """A watch that knows a fleet of five bids and their instances, behind somebody who meddles."""

    def __init__(self, rig: Rig, meddler: Meddler, bids: list[str]) -> None:
        self.rig, self.meddler, self.bids = rig, meddler, bids

    def fleet(self) -> Fleet:
        with self.rig.database.read() as connection:
            return read.fleet(connection, PROJECT, ended=True)

    async def poll(self, times: int = 1) -> None:
        for _ in range(times):
            await self.rig.watch.poll()
            await self.rig.clock.sleep(5)


def play(folder: Path, story: Callable[[Place], Awaitable[None]]) -> None:
    clock = HandClock()

    async def run(visitor: Visitor) -> None:
        fleet = (await visitor.post("/sandbox/fleet", {"bids": FLEET, "instances_per_bid": 1}, 201))["bids"]
        async with Meddler(visitor) as meddler:
            rig = Rig(visitor, folder, 15, clock, MITHRIL_API_URL=meddler.url)
            try:
                place = Place(rig, meddler, fleet)
                await place.poll(2)
                assert rig.events() == []
                assert len(place.fleet().bids) == len(place.fleet().instances) == FLEET
                await story(place)
            finally:
                await rig.aclose()

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(asking.ORDER, "limit", PAGE)
        visit(run, wall=clock.monotonic)


def of_listing(path: str, request: Request) -> bool:
    """Whether this asks for the listing on which the whole fleet stands."""
    return request.path == path and request.query.get("status", "Allocated") == "Allocated"


def edited(reply: Reply, edit: Callable[[Any], Any]) -> Reply:
    return Reply(edit(json.loads(reply.body)), reply.status, reply.headers)


# Each row: (the listing, the place, what comes of a request for a page).


def breaks_off_at_page_3(path: str, place: Place) -> Meddling:
    pages: dict[str, int] = {}

    async def meddle(request: Request, reply: Reply) -> Reply | None:
        cursor = request.query.get("next_cursor")
        if not of_listing(path, request):
            return reply
        if cursor is None:
            pages.clear()
            return reply
        pages.setdefault(str(cursor), len(pages) + 2)
        return Reply({"detail": "later"}, 500, reply.headers) if pages[str(cursor)] == 3 else reply

    return meddle


def repeats_its_cursor(path: str, place: Place) -> Meddling:
    async def meddle(request: Request, reply: Reply) -> Reply | None:
        if not of_listing(path, request):
            return reply
        return edited(reply, lambda body: body | {"next_cursor": "again"})

    return meddle


def answers(status: int, body: object) -> Callable[[str, Place], Meddling]:
    def row(path: str, place: Place) -> Meddling:
        async def meddle(request: Request, reply: Reply) -> Reply | None:
            return Reply(body, status, reply.headers) if of_listing(path, request) else reply

        return meddle

    return row


def answers_too_much(path: str, place: Place) -> Meddling:
    async def meddle(request: Request, reply: Reply) -> Reply | None:
        return Reply(reply.body + b" " * MEGABYTES * 2**20, 200, reply.headers) if of_listing(path, request) else reply

    return meddle


LISTINGS: dict[str, Callable[[str, Place], Meddling]] = {
    "breaks off at page 3": breaks_off_at_page_3,
    "repeats its cursor": repeats_its_cursor,
    "answers 200 with {}": answers(200, {}),
    "answers 200 with null": answers(200, None),
    "answers 200 with an HTML page": answers(200, b"<html><body>Sign in</body></html>"),
    "answers 200 with 50 MB": answers_too_much,
}


@pytest.mark.parametrize("path", [BIDS, INSTANCES], ids=["bids", "instances"])
@pytest.mark.parametrize("row", LISTINGS)
def test_a_listing(tmp_path: Path, row: str, path: str) -> None:
    """No end is concluded from absence, and the next poll repairs."""

    async def story(place: Place) -> None:
        place.meddler.meddling = LISTINGS[row](path, place)
        await place.poll(POLLS_IN_TROUBLE)
        assert place.rig.events() == []
        assert not any(one.gone or one.misses for one in place.fleet().bids.values())
        assert place.rig.watch.health.discarded == POLLS_IN_TROUBLE, "such a poll is not believed, and counted"
        assert place.rig.watch.health.last_error
        await place.rig.visitor.force(place.bids[-1], "preempt")
        place.meddler.meddling = honest
        await place.poll()
        assert sorted(place.rig.events()) == ["bid.preempting", "instance.preempting"]
        assert place.rig.watch.health.last_error is None

    play(tmp_path, story)


@pytest.mark.parametrize("row", ["changes while it is paged"])
def test_a_listing_that(tmp_path: Path, row: str) -> None:
    async def story(place: Place) -> None:
        turned: list[str] = []

        async def meddle(request: Request, reply: Reply) -> Reply | None:
            # After the first page the fleet is another: one ends that stood on it, one is placed, one is preempted.
            if of_listing(BIDS, request) and "next_cursor" not in request.query and not turned:
                turned.append("once")
                await place.rig.visitor.force(place.bids[0], "terminate")
                await place.rig.visitor.place("placed-meanwhile")
                await place.rig.visitor.force(place.bids[-1], "preempt")
            return reply

        place.meddler.meddling = meddle
        await place.poll(POLLS_IN_TROUBLE)
        types = place.rig.events()
        assert sorted(type for type in types if type.startswith("bid.")) == [
            "bid.placed",
            "bid.preempting",
            "bid.terminated",
        ]
        assert not [type for type in types if type.endswith(".gone")]
        registry = place.rig.visitor.sandbox.market.registry
        held = {fid: one.value.status for fid, one in place.fleet().bids.items()}
        assert held == {bid.fid: str(bid.status) for bid in registry.bids if bid.project == PROJECT}

    play(tmp_path, story)


# Items


def changed_item(path: str, **changes: object) -> Meddling:
    """The first of the listing, with these values; without those that are `...`."""

    async def meddle(request: Request, reply: Reply) -> Reply | None:
        if not of_listing(path, request) or "next_cursor" in request.query:
            return reply

        def edit(body: Any) -> Any:
            items = body["data"] if isinstance(body, dict) else body
            items[0] |= {name: value for name, value in changes.items() if value is not ...}
            for name in [name for name, value in changes.items() if value is ...]:
                del items[0][name]
            return body

        return edited(reply, edit)

    return meddle


@pytest.mark.parametrize(
    ("path", "field"),
    [(BIDS, "status"), (BIDS, "created_at"), (BIDS, "fid"), (INSTANCES, "status"), (INSTANCES, "fid")],
)
def test_an_item_without_required_fields(tmp_path: Path, path: str, field: str) -> None:
    async def story(place: Place) -> None:
        place.meddler.meddling = changed_item(path, **{field: ...})
        await place.rig.visitor.force(place.bids[-1], "preempt")
        await place.poll(POLLS_IN_TROUBLE)
        assert sorted(place.rig.events()) == ["bid.preempting", "instance.preempting"], "the rest is kept"
        health = place.rig.watch.health
        assert health.set_aside >= POLLS_IN_TROUBLE, "set aside and counted"
        assert health.last_set_aside is not None
        assert field in health.last_set_aside
        assert all(one.value.status != "gone" and not one.gone for one in place.fleet().bids.values())

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("path", "status", "events"),
    [
        (BIDS, "Dreaming", ["bid.dreaming"]),
        (INSTANCES, "STATUS_DREAMING", ["instance.dreaming", "bid.degraded"]),  # what does not run is missing
    ],
)
def test_an_item_with_an_unknown_status(tmp_path: Path, path: str, status: str, events: list[str]) -> None:
    async def story(place: Place) -> None:
        place.meddler.meddling = changed_item(path, status=status)
        await place.poll(POLLS_IN_TROUBLE)
        assert place.rig.events() == events, "passed on as it came, once"
        assert place.rig.watch.health.set_aside == 0
        assert place.rig.watch.health.last_error is None

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("words", "kept", "cents"), [("$1,200.00", "$1,200.00", 120_000), ("", "", None), (None, "", None)]
)
def test_an_item_with_a_price_like(tmp_path: Path, words: str | None, kept: str, cents: int | None) -> None:
    async def story(place: Place) -> None:
        place.meddler.meddling = changed_item(BIDS, limit_price=words)
        await place.poll(POLLS_IN_TROUBLE)
        bid = place.fleet().bids[place.bids[0]].value
        assert (bid.limit_price, bid.limit_price_cents, bid.status) == (kept, cents, "Allocated")
        assert place.rig.events() == ["bid.limit_changed"], "once"
        assert (place.rig.watch.health.set_aside > 0) == (cents is None), "what is no price is counted"

    play(tmp_path, story)
