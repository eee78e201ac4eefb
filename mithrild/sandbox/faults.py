"""Faults on demand: what a marketplace, or the network before it, does on a bad day.

A fault is asked for by path pattern and kind, and wears off after `count` requests. Three families: answers in place
of the real one, real answers spoiled on the way out, and connections that break. To add a kind, add its word to
`Kind` and a line to the table of its family.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from mithrild.sandbox.ledger import of_control

Kind = Literal[
    "status", "delay", "reset", "lost_answer", "truncate",
    "not_json", "html", "cursor_loop", "empty_page", "drop_item", "bad_item", "huge", "date_skew",
]  # fmt: skip

_LOOP = "bm8tZW5k"
_YEAR = 366 * 86_400.0
_MEGABYTE = b" " * 2**20


class Fault(BaseModel):
    """`path` is a shell pattern for the path without its query. `count` None: until it is deleted.

    `status` and `retry_after` (seconds) belong to status and html, `seconds` to delay (at most 600) and date_skew,
    which sends a `Date` that far ahead of the marketplace's clock; `megabytes` to huge, `fid` to drop_item and
    bad_item: the item meant, else the first of the page.
    """

    model_config = ConfigDict(extra="forbid")

    path: str = "/v2/*"
    method: str | None = None
    kind: Kind
    status: int = Field(default=503, ge=200, le=599)
    retry_after: int | None = Field(default=None, ge=0)
    seconds: float = Field(default=5.0, ge=-10 * _YEAR, le=10 * _YEAR)
    megabytes: int = Field(default=50, ge=1, le=1000)
    fid: str | None = None
    count: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _delays_end(self) -> Fault:
        if self.kind == "delay" and not 0 <= self.seconds <= 600:
            raise ValueError("seconds of a delay must be from 0 to 600")
        return self


class Active(Fault):
    id: int
    hits: int = 0


class Faults:
    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self.active: list[Active] = []

    def add(self, fault: Fault) -> Active:
        active = Active(id=next(self._ids), **fault.model_dump())
        self.active.append(active)
        return active

    def clear(self, number: int | None = None) -> int:
        """End one fault, or all of them. Returns how many were ended."""
        before = len(self.active)
        self.active = [each for each in self.active if number not in (None, each.id)]
        return before - len(self.active)

    def take(self, method: str, path: str) -> Active | None:
        """The first fault that concerns this request, counted as used."""
        for fault in self.active:
            if fault.method in (None, method) and fnmatchcase(path, fault.path):
                fault.hits += 1
                if fault.count is not None and fault.hits >= fault.count:
                    self.active.remove(fault)
                return fault
        return None


class Connections:
    """The open connections by the client's address: ASGI itself has no word for breaking one."""

    def __init__(self) -> None:
        self._transports: dict[object, asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """A uvicorn protocol whose connections can be found here."""
        transports = self._transports

        class Breakable(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
                transports[transport.get_extra_info("peername")] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self.transport.get_extra_info("peername"), None)
                super().connection_lost(exc)

        return Breakable

    def find(self, scope: Scope) -> asyncio.Transport | None:
        client = scope.get("client")
        return self._transports.get(tuple(client)) if client else None

    def reset(self, scope: Scope) -> bool:
        """Break the connection so that the client sees a reset. False under a server that is not ours."""
        transport = self.find(scope)
        if transport is None:
            return False
        connection: socket.socket = transport.get_extra_info("socket")
        # Linger with a time of zero makes the kernel send RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        return True


class FaultLayer:
    """`clock` gives the marketplace's time in seconds since the epoch."""

    def __init__(self, app: ASGIApp, faults: Faults, connections: Connections, clock: Callable[[], float]) -> None:
        self._app, self._clock = app, clock
        self._faults = faults
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http" and not of_control(scope):
            fault = self._faults.take(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)
        elif fault.kind == "reset":
            await self._break(scope, receive)
        elif fault.kind in _INSTEAD:
            status, content_type, body = _INSTEAD[fault.kind](fault)
            headers = {"content-type": content_type}
            if fault.retry_after is not None:
                headers["retry-after"] = str(fault.retry_after)
            await _answer(send, status, headers, body)
        else:
            await self._spoil(fault, scope, receive, send)

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the marketplace do what was asked, then meddle with its answer."""
        if fault.kind == "cursor_loop":
            scope = {**scope, "query_string": _without_cursor(scope["query_string"])}
        status, headers, body = await _collect(self._app, scope, receive)
        if fault.kind == "lost_answer":
            await self._break(scope, receive)
        elif fault.kind == "huge":
            await _swell(send, status, headers, body, fault.megabytes)
        elif fault.kind == "date_skew":
            date = formatdate(self._clock() + fault.seconds, usegmt=True)
            await _answer(send, status, {**headers, "date": date}, body)
        elif fault.kind == "truncate":
            await send({"type": "http.response.start", "status": status, "headers": _raw(headers, len(body))})
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            transport = self._connections.find(scope)
            if transport is None:
                raise ConnectionAbortedError("truncated on demand")
            transport.close()
            await _gone(receive)
        else:
            await _answer(send, status, headers, _edit(_SPOILED[fault.kind], fault, body))

    async def _break(self, scope: Scope, receive: Receive) -> None:
        if not self._connections.reset(scope):
            raise ConnectionAbortedError("reset on demand")
        await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait until the server has noticed that the connection is gone, or it would try to answer."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[int, dict[str, str], bytes]:
    status, headers, parts = 500, {}, []

    async def keep(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    return status, headers, b"".join(parts)


def _raw(headers: dict[str, str], length: int) -> list[tuple[bytes, bytes]]:
    headers = {**headers, "content-length": str(length)}
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _raw(headers, len(body))})
    await send({"type": "http.response.body", "body": body})


async def _swell(send: Send, status: int, headers: dict[str, str], body: bytes, megabytes: int) -> None:
    """The real answer and as much white space behind it: JSON still, for whoever reads it to the end."""
    length = len(body) + megabytes * len(_MEGABYTE)
    await send({"type": "http.response.start", "status": status, "headers": _raw(headers, length)})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    for left in range(megabytes, 0, -1):
        await send({"type": "http.response.body", "body": _MEGABYTE, "more_body": left > 1})


def _without_cursor(query: bytes) -> bytes:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name != "next_cursor"]).encode()


def _edit(edit: Callable[[Any, Fault], Any], fault: Fault, body: bytes) -> bytes:
    """Change a JSON body. What is no JSON stays as it is."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    return json.dumps(edit(document, fault)).encode()


def _items(document: Any) -> list[Any]:
    """The list in an answer, whichever of the API's forms it has."""
    if isinstance(document, list):
        return document
    for name in ("data", "instances", "events", "series"):
        if isinstance(document, dict) and isinstance(document.get(name), list):
            found: list[Any] = document[name]
            return found
    return []


def _chosen(items: list[Any], fault: Fault) -> int | None:
    """Where the item meant is, None if it is not on this page."""
    for at, item in enumerate(items):
        if fault.fid is None or (isinstance(item, dict) and item.get("fid") == fault.fid):
            return at
    return None


def _cursor_loop(document: Any, fault: Fault) -> Any:
    """The first page again and again, under one cursor."""
    if isinstance(document, dict):
        document["next_cursor"] = _LOOP
    return document


def _empty_page(document: Any, fault: Fault) -> Any:
    _items(document).clear()
    return document


def _drop_item(document: Any, fault: Fault) -> Any:
    items = _items(document)
    if (at := _chosen(items, fault)) is not None:
        del items[at]
    return document


def _bad_item(document: Any, fault: Fault) -> Any:
    """One item that keeps its fid and makes no sense otherwise."""
    items = _items(document)
    if (at := _chosen(items, fault)) is not None:
        fid = items[at].get("fid") if isinstance(items[at], dict) else None
        items[at] = {"fid": fid, "status": 7, "created_at": "yesterday", "limit_price": "NaN"}
    return document


def _status(fault: Fault) -> tuple[int, str, bytes]:
    body = json.dumps({"detail": f"Fault on demand ({fault.status})"}).encode()
    return fault.status, "application/json", body


def _html(fault: Fault) -> tuple[int, str, bytes]:
    return fault.status, "text/html", b"<html><body><h1>Bad gateway</h1></body></html>"


def _not_json(fault: Fault) -> tuple[int, str, bytes]:
    return 200, "application/json", b'{"data": [}'


_INSTEAD: dict[str, Callable[[Fault], tuple[int, str, bytes]]] = {
    "status": _status,
    "html": _html,
    "not_json": _not_json,
}
_SPOILED: dict[str, Callable[[Any, Fault], Any]] = {
    "cursor_loop": _cursor_loop,
    "empty_page": _empty_page,
    "drop_item": _drop_item,
    "bad_item": _bad_item,
}
