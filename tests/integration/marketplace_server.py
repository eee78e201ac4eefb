"""A small HTTP server that answers as it is told, and one question put to it: for the tests of the client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace, Tickets

T = TypeVar("T")
KEY = "fkey_do_not_tell_9"
CREATED = "2024-01-01T12:00:00Z"
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


class HandClock:
    """A clock that sleeping turns, so that waits are counted and not sat out."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return NOON + timedelta(seconds=sum(self.slept))

    def monotonic(self) -> float:
        return 50.0 + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    connection: int
    length: int  # of the request line


@dataclass
class Reply:
    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json"} | self.headers
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Answering = Callable[[Request], Reply]


class Server:
    """A small HTTP server that answers as it is told, and remembers what it was asked."""

    def __init__(self, answer: Answering) -> None:
        self.asked: list[Request] = []
        self._answer, self._connections = answer, 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        connection = self._connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *rest = head.decode("latin-1").strip().split("\r\n")
                target = urlsplit(line.split(" ")[1])
                headers = dict(header.lower().split(": ", 1) for header in rest)
                query = {name: values[-1] for name, values in parse_qs(target.query).items()}
                self.asked.append(Request(target.path, query, headers, connection, len(line)))
                writer.write(self._answer(self.asked[-1]).raw())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client hung up, as clients do
        finally:
            writer.close()


def ask(
    answer: Answering | Sequence[Reply],
    question: Callable[[Marketplace], Awaitable[T]],
    *,
    key: str | None = KEY,
    clock: HandClock | None = None,
    asked: list[Request] | None = None,
    **options: Any,
) -> T:
    """Put one question to a server that answers as told; the requests it got go to `asked`."""
    if callable(answer):
        answering = answer
    else:
        replies = iter(answer)

        def answering(_: Request) -> Reply:
            return next(replies)

    clock = clock or HandClock()

    async def main() -> T:
        async with Server(answering) as server:
            client = Marketplace(
                server.url,
                None if key is None else SecretStr(key),
                clock=clock,
                tickets=Tickets(),
                budget=RequestBudget(clock),
                **options,
            )
            try:
                return await question(client)
            finally:
                await client.aclose()
                if asked is not None:
                    asked.extend(server.asked)

    return asyncio.run(main())


def bid(fid: str, **more: object) -> dict[str, object]:
    return {
        "fid": fid,
        "status": "Open",
        "created_at": CREATED,
        "limit_price": "$1.00",
        "launch_specification": {},
    } | more


def page(*rows: object, cursor: object = None) -> Reply:
    return Reply({"data": list(rows), "next_cursor": cursor})
