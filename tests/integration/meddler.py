"""What stands between the watch and the marketplace: the network, a gateway, a proxy. It can change all that passes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

from tests.integration.marketplace_server import Reply, Request
from tests.integration.sandbox_server import Visitor

# Gets a request and the sandbox's honest reply, and gives what is sent instead; None holds the connection open,
# silent, until the other side hangs up. ConnectionResetError resets it.
Meddling = Callable[[Request, Reply], Awaitable[Reply | None]]


PASSED_ON = ("Date", "Retry-After")


async def honest(request: Request, reply: Reply) -> Reply | None:
    return reply


class Meddler:
    """One connection a request, so that a fault of connecting meets the next one. `drip` sends a reply a byte at a
    time. `tls` may be changed at any time: it is asked for each handshake."""

    def __init__(self, visitor: Visitor, tls: ssl.SSLContext | None = None) -> None:
        self.meddling: Meddling = honest
        self.drip = False
        self.asked: list[tuple[float, str]] = []  # when, by the marketplace's clock, and the path
        self._visitor, self._tls = visitor, tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Meddler:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://localhost:{self._server.sockets[0].getsockname()[1]}"
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
        # A cancelled handler would be reported by asyncio's streams as if it had failed.
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, *rest = head.decode("latin-1").strip().split("\r\n")
            target = line.split(" ")[1]
            url = urlsplit(target)
            headers = dict(header.lower().split(": ", 1) for header in rest)
            request = Request(url.path, dict(parse_qsl(url.query)), headers, 0, len(line))
            self.asked.append((self._visitor.sandbox.market.agenda.clock(), request.path))
            answered = await self._visitor.http.get(target)
            kept = {name: answered.headers[name] for name in PASSED_ON if name in answered.headers}
            reply = Reply(answered.content, answered.status_code, kept)
            try:
                await self._send(await self.meddling(request, reply), reader, writer)
            except ConnectionResetError:
                # Linger with a time of zero makes the kernel send RST instead of FIN.
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
        writer.close()

    async def _send(self, reply: Reply | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply is None:
            await reader.read()
            return
        reply.headers["Connection"] = "close"
        raw = reply.raw()
        for start in range(0, len(raw), 1 if self.drip else len(raw)):
            writer.write(raw[start : start + (1 if self.drip else len(raw))])
            await writer.drain()
            if self.drip:
                await asyncio.sleep(0.01)
