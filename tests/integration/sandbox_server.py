"""A sandbox on a real port of the loopback interface, and a client that talks to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from mithrild.sandbox.server import Sandbox, build, running

PROJECT = "proj_demo"
TYPE, REGION = "it_h100usc1a04", "us-central1-a"
CAP = 20.0


class Visitor:
    """Asks, and checks the status of the answer. `turn` moves the marketplace's clock."""

    def __init__(self, http: httpx.AsyncClient, sandbox: Sandbox) -> None:
        self.http = http
        self.sandbox = sandbox

    async def get(self, path: str, expected: int = 200, /, **query: str | int) -> Any:
        return self._body(await self.http.get(path, params=query or None), expected)

    async def post(self, path: str, body: object = None, status: int = 200) -> Any:
        return self._body(await self.http.post(path, json=body), status)

    async def patch(self, path: str, body: object, status: int = 200) -> Any:
        return self._body(await self.http.patch(path, json=body), status)

    async def delete(self, path: str, status: int = 204) -> Any:
        return self._body(await self.http.delete(path), status)

    async def turn(self, seconds: float) -> None:
        await self.post("/sandbox/clock", {"advance_seconds": seconds})

    async def place(self, name: str, expected: int = 201, /, **changes: object) -> Any:
        body = {
            "project": PROJECT,
            "region": REGION,
            "instance_type": TYPE,
            "limit_price": "$30.00",
            "instance_quantity": 1,
            "name": name,
            "launch_specification": {"volumes": [], "ssh_keys": ["sshkey_admin"]},
        }
        return await self.post("/v2/spot/bids", body | changes, expected)

    async def force(self, bid: str, verb: str, body: object = None, status: int = 200) -> Any:
        return await self.post(f"/sandbox/bids/{bid}/{verb}", body, status)

    async def running(self, name: str = "work", quantity: int = 1) -> str:
        """The fid of a bid that is held allocated, and all of whose instances run."""
        fid: str = (await self.place(name, instance_quantity=quantity))["fid"]
        await self.force(fid, "allocate")
        await self.turn(600)
        return fid

    async def statuses(self, bid: str) -> set[str]:
        listing = await self.get("/v2/instances", project=PROJECT, bid_fid_in=bid)
        return {each["status"] for each in listing["data"]}

    async def pages(self, path: str, **query: str | int) -> list[Any]:
        found: list[Any] = []
        answer = await self.get(path, 200, **query)
        while True:
            found += answer["data"]
            if answer["next_cursor"] is None:
                return found
            answer = await self.get(path, 200, **query, next_cursor=answer["next_cursor"])

    @staticmethod
    def _body(response: httpx.Response, status: int) -> Any:
        assert response.status_code == status, response.text
        return response.json() if response.content else None


def visit(
    story: Callable[[Visitor], Awaitable[None]],
    *,
    speed: float = 1.0,
    market: bool = False,
    demo: bool = False,
    ssh: str | None = None,
    wall: Callable[[], float] = time.time,
) -> None:
    """Serve a sandbox, by default an empty one whose auctions rest, and let the visitor in. `wall` is its clock."""

    async def main() -> None:
        sandbox = build(speed=speed, seed=7, market=market, demo=demo, ssh=ssh, wall=wall)
        headers = {"Authorization": f"Bearer {sandbox.key}"}
        # No TLS here, so no certificates are read: that would take longer than most of the stories. The server hangs up
        # on a visitor who was silent for 5 s: he must not put a question on a connection that is about to go.
        transport = httpx.AsyncHTTPTransport(verify=False, limits=httpx.Limits(keepalive_expiry=2.0))
        async with (
            running(sandbox) as url,
            httpx.AsyncClient(base_url=url, headers=headers, timeout=CAP, transport=transport) as http,
        ):
            await story(Visitor(http, sandbox))

    asyncio.run(main())
