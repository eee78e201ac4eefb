"""The local API on a real Unix socket, and two clients: one that asks, and one that follows the feed by hand."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import httpx

from mithrild.api.answers import Parts
from mithrild.api.desk import Archive, Desk
from mithrild.api.feed import Feed
from mithrild.api.server import build, make_server
from mithrild.api.socket import bind
from mithrild.config import Config, load
from mithrild.fleet.model import Listing
from mithrild.health import Health
from mithrild.store.database import Database
from mithrild.store.latency import Latencies
from mithrild.watcher.upkeep import Upkeep
from mithrild.wire import SOCKET_NAME
from tests.integration.store_builders import CAP, HandClock, opened

HOOKS = """
[[hooks]]
name = "save"
on = ["instance.preempting"]
run = ["/bin/true"]

[[hooks]]
name = "log"
on = ["*"]
run = ["/bin/true"]
"""


@dataclass
class Api:
    """One daemon's API, and what it answers from."""

    database: Database
    feed: Feed
    clock: HandClock
    health: Health
    path: str
    client: httpx.AsyncClient
    config: Config
    desk: AsyncMock
    archive: AsyncMock  # knows of nothing, until a test says otherwise
    upkeep: Upkeep
    wakes: list[None]  # one for each time that something was queued

    async def get(self, path: str, **asked: Any) -> Any:
        """The answer to a question that can be answered."""
        answer = await self.client.get(f"/v1{path}", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, path: str, **asked: Any) -> tuple[int, Any]:
        """The status and the error of one that cannot."""
        answer = await self.client.get(f"/v1{path}", params=asked)
        body = answer.json()
        assert list(body) == ["error"]
        assert "\n" not in body["error"]["message"]
        return answer.status_code, body["error"]


def on_socket(folder: Path, test: Callable[[Api], Awaitable[None]]) -> None:
    """Runs a test against an API whose record lies in this folder."""

    async def main() -> None:
        with opened(folder / "state") as database:
            async with serving(database, folder) as api:
                await test(api)

    asyncio.run(main())


@asynccontextmanager
async def serving(database: Database, folder: Path) -> AsyncIterator[Api]:
    (folder / "config.toml").write_text(HOOKS)
    # pytest's own folders may be too deep for a socket.
    with tempfile.TemporaryDirectory(prefix="mith") as short:
        bound = bind({"MITHRILD_SOCKET": f"{short}/{SOCKET_NAME}"})
        env = {"HOME": str(folder), "MITHRIL_API_KEY": "fkey_secret", "MITHRIL_API_URL": "https://api.example.org"}
        transport = httpx.AsyncHTTPTransport(uds=bound.path)
        client = httpx.AsyncClient(transport=transport, base_url="http://mithrild", timeout=CAP)
        config = load(folder / "config.toml", env)
        clock = HandClock()
        upkeep = Upkeep(lambda: config, database, clock, lambda: timedelta(0))
        api = Api(
            database,
            Feed(database),
            clock,
            Health(interval=5.0, usual=5.0),
            bound.path,
            client,
            config,
            AsyncMock(spec=Desk),
            AsyncMock(spec=Archive),
            upkeep,
            [],
        )
        api.archive.ended.return_value = Listing(())
        api.archive.find.return_value = api.archive.instances.return_value = []
        parts = Parts(
            database=database,
            feed=api.feed,
            clock=api.clock,
            config=lambda: api.config,
            health=api.health,
            desk=api.desk,
            archive=api.archive,
            upkeep=api.upkeep,
            latencies=Latencies(database, api.clock),
            daemon=lambda: daemon_facts(bound.path),
            host="workstation",
            wake=lambda: api.wakes.append(None),
        )
        server = make_server(build(parts))
        task = asyncio.create_task(server.serve_on(bound))
        try:
            yield api
        finally:
            api.feed.close()
            await upkeep.stop()
            await client.aclose()
            server.should_exit = True
            await asyncio.wait_for(task, CAP)
            bound.close()


def daemon_facts(path: str) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "pid": 4711,
        "started_at": "2026-11-23T11:00:00Z",
        "uptime_seconds": 3600.0,
        "socket": path,
        "restart_needed": ["poll.active"],
        "sandbox": False,
        "requests": {"requests_last_minute": 12, "request_cap": 300},
    }


class Follower:
    """A follower of the feed on a bare socket. It reads only when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._rest = b""
        self.status = ""
        self.headers: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def of(
        cls, api: Api, query: str = "", headers: Mapping[str, str] | None = None, *, read: bool = True
    ) -> AsyncIterator[Follower]:
        # A small buffer here: what the follower leaves unread soon stands in the way of the server.
        reader, writer = await asyncio.open_unix_connection(api.path, limit=4096)
        lines = [f"GET /v1/events/stream{query} HTTP/1.1", "host: mithrild"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        follower = cls(reader, writer)
        try:
            if read:
                await follower.head()
            yield follower
        finally:
            writer.close()
            await writer.wait_closed()

    async def head(self) -> None:
        async with asyncio.timeout(CAP):
            self.status = (await self._reader.readline()).decode().strip().partition(" ")[2]
            while line := (await self._reader.readline()).decode().strip():
                name, _, value = line.partition(": ")
                self.headers[name] = value

    async def blocks(self, count: int) -> list[str]:
        """The next blocks (events and comments), without the blank lines between them."""
        found: list[str] = []
        while len(found) < count:
            found.append(await self._block())
        return found

    async def events(self, count: int) -> list[dict[str, str]]:
        """The next events, comments left out, each as its fields."""
        found: list[dict[str, str]] = []
        while len(found) < count:
            block = await self._block()
            if not block.startswith(":"):
                fields = [line.partition(": ") for line in block.split("\n")]
                found.append({name: value for name, _, value in fields})
        return found

    async def to_the_end(self) -> str:
        """Everything that still comes, until the server closes the connection or ends the answer."""
        async with asyncio.timeout(CAP):
            while await self._chunk():
                pass
        rest, self._rest = self._rest, b""
        return rest.decode()

    async def _block(self) -> str:
        async with asyncio.timeout(CAP):
            while b"\n\n" not in self._rest:
                assert await self._chunk(), "the feed has ended"
        block, _, self._rest = self._rest.partition(b"\n\n")
        return block.decode()

    async def _chunk(self) -> bool:
        """Takes one chunk of the answer's body. False once there is none."""
        size = int(await self._reader.readline() or b"0", 16)
        if size:
            try:
                self._rest += await self._reader.readexactly(size)
            except asyncio.IncompleteReadError:
                return False
            await self._reader.readline()
        return bool(size)
