"""The client against the sandbox: the one server that speaks the whole API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest
from pydantic import SecretStr

from mithrild.clock import SystemClock
from mithrild.errors import KeyRefused, NotFound
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace, Tickets
from mithrild.sandbox.server import build, running

T = TypeVar("T")
KEY = "fkey_of_the_sandbox"
BID_STATUSES = ("Open", "Allocated", "Preempting", "Paused", "Terminated")


def in_sandbox(question: Callable[[Marketplace, str, str], Awaitable[T]]) -> T:
    """One question to a client of a sandbox with its demonstration bids, given the project and the address."""

    async def main() -> T:
        sandbox, clock = build(speed=600, key=KEY), SystemClock()
        async with running(sandbox) as url:
            client = Marketplace(
                url,
                SecretStr(KEY),
                clock=clock,
                tickets=Tickets(),
                budget=RequestBudget(clock, cap=10_000),
            )
            try:
                return await question(client, sandbox.project, url)
            finally:
                await client.aclose()

    return asyncio.run(main())


def test_the_whole_reading_of_a_fleet() -> None:
    async def question(client: Marketplace, project: str, url: str) -> None:
        assert (await client.me()).organization
        assert project in {each.fid for each in await client.projects()}
        types = {each.fid for each in await client.instance_types()}
        assert types
        assert await client.teammates()
        market = await client.auctions()
        assert market.items
        assert not market.set_aside
        assert all(seen.value.instance_type in types for seen in market.items)
        assert all(seen.value.spot_price_cents for seen in market.items)

        listings = [await client.bids(project, status) for status in BID_STATUSES]
        assert all(not listing.set_aside and listing.broken is None for listing in listings)
        bids = {seen.value.fid: seen.value for listing in listings for seen in listing.items}
        assert bids
        for bid in bids.values():
            assert (await client.bid(bid.fid)).value.created_at == bid.created_at

        instances = await client.instances(project)
        assert not instances.set_aside
        assert instances.broken is None
        for seen in instances.items:
            assert (await client.instance_status(seen.value.fid)).value.fid == seen.value.fid
        of_bids = await client.instances(project, bids=list(bids), order_types=["Bid"])
        assert {seen.value.bid for seen in of_bids.items} <= set(bids)

        clusters = await client.clusters(project)
        for cluster in clusters.items:
            assert (await client.cluster(cluster.value.fid)).value.name == cluster.value.name
        assert client.skew is not None
        assert abs(client.skew.total_seconds()) < 60

    in_sandbox(question)


def test_every_page_of_a_long_listing() -> None:
    async def question(client: Marketplace, project: str, url: str) -> None:
        auction = (await client.auctions()).items[0].value
        order = {
            "project": project,
            "region": auction.region,
            "instance_type": auction.instance_type,
            "limit_price": "$0.01",
            "instance_quantity": 1,
            "launch_specification": {"volumes": [], "ssh_keys": []},
        }
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as buyer:
            for number in range(230):
                placed = await buyer.post("/v2/spot/bids", json=order | {"name": f"many-{number}"})
                assert placed.status_code == 201, placed.text
        listing = await client.bids(project, "Open")
        assert listing.broken is None
        found = {seen.value.name: seen.ticket for seen in listing.items}
        assert {f"many-{number}" for number in range(230)} <= set(found)
        assert len(set(found.values())) == 3

    in_sandbox(question)


def test_what_is_not_there_and_a_wrong_key() -> None:
    async def question(client: Marketplace, project: str, url: str) -> None:
        for missing in (client.bid("bid_none"), client.instance_status("inst_none"), client.cluster("clust_none")):
            with pytest.raises(NotFound, match="_none"):
                await missing
        client.use_key(SecretStr("fkey_wrong"))
        with pytest.raises(KeyRefused):
            await client.instances(project)

    in_sandbox(question)
