"""A receiver of webhooks that behaves as it is told, well or badly, on a loopback port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass
class Message:
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


Behaviour = Callable[[Message, asyncio.StreamWriter], Awaitable[None]]


def says(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    async def behave(_: Message, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, {"Content-Length": str(len(body))} | headers) + body)
        await writer.drain()

    return behave


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Receiver:
    """Remembers every message, and answers each with the next of its behaviours; the last one goes on for ever."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.messages: list[Message] = []
        self._behaviours = list(behaviours) or [says(200)]
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                message = await _read(reader)
                self.messages.append(message)
                behave = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
                await behave(message, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the sender hung up, as senders do, or the test is over
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Message:
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip()
    line, *rest = text.split("\r\n")
    headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
    return Message(line.split(" ")[1], headers, await reader.readexactly(int(headers.get("content-length", 0))))
