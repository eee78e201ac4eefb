"""A marketplace that misbehaves: broken connections, broken answers, answers that say no, echoed keys."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger
from pydantic import SecretStr

from mithrild.clock import SystemClock
from mithrild.errors import (
    BrokenAnswer,
    KeyRefused,
    MarketplaceError,
    NotFound,
    RequestRefused,
    Unreachable,
)
from mithrild.fleet.model import Listing
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace, Tickets

KEY = "fkey_do_not_tell_9"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Conversation = Callable[[asyncio.StreamWriter], Awaitable[None]]


class ShortClock(SystemClock):
    """The real time, without the gaps between tries."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Rogue:
    """A server that reads a request and then lets `talk` write whatever it likes, once a connection."""

    def __init__(self, talk: Conversation) -> None:
        self.talk, self.requests = talk, 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Rogue:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # A cancelled handler would be reported by asyncio's streams as if it had failed.
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            await self.talk(writer)
            await writer.drain()
        writer.close()


def client_of(url: str, **options: Any) -> Marketplace:
    clock = ShortClock()
    budget = RequestBudget(clock, cap=10**6)
    return Marketplace(url, SecretStr(KEY), clock=clock, tickets=Tickets(), budget=budget, **options)


def failure(talk: Conversation, *, scheme: str = "http", **options: Any) -> tuple[MarketplaceError, int]:
    """The error that `projects()` ends with, and after how many requests."""

    async def main() -> tuple[MarketplaceError, int]:
        async with Rogue(talk) as rogue:
            client = client_of(f"{scheme}://{rogue.address}", **options)
            try:
                await client.projects()
            except MarketplaceError as error:
                return error, rogue.requests
            finally:
                await client.aclose()
            raise AssertionError("the question was answered")

    return asyncio.run(main())


def says(raw: bytes) -> Conversation:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return talk


def refuses(status: int, body: bytes, headers: bytes = b"") -> Conversation:
    return says(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body))


def answers(body: bytes, headers: bytes = b"") -> Conversation:
    return says(OK + b"Content-Length: %d\r\n%s\r\n%s" % (len(body), headers, body))


async def resets(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def is_silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def stops_midway(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 99\r\n\r\n[")
    await writer.drain()
    await asyncio.Event().wait()


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def floods(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (resets, "the connection was reset"),
        (says(b""), "the answer broke off"),
        (says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "was not HTTP"),
        (says(OK + b"Content-Length: 99\r\n\r\n[]"), "the answer broke off"),
        (says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "was not HTTP"),
        (says(OK + b"Content-Length: 9"), "the answer broke off"),
        (is_silent, "no answer in time"),
        (stops_midway, "no answer in time"),
    ],
)
def test_a_broken_connection_is_tried_again_and_named(talk: Conversation, words: str) -> None:
    error, requests = failure(talk, read_timeout=0.1)
    assert isinstance(error, Unreachable)
    assert words in str(error)
    assert str(error).startswith("127.0.0.1:")
    assert requests == 3


def test_a_dripping_answer_ends_at_the_overall_limit() -> None:
    error, requests = failure(drips, overall_timeout=0.3)
    assert isinstance(error, Unreachable)
    assert "took too long" in str(error)
    assert requests == 1  # a second try would begin beyond the limit of the first


def test_nobody_listens() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        client = client_of(f"http://127.0.0.1:{unheard.getsockname()[1]}")

        async def main() -> None:
            try:
                await client.me()
            finally:
                await client.aclose()

        with pytest.raises(Unreachable, match="cannot be reached: the connection was refused"):
            asyncio.run(main())


def test_no_tls_on_the_other_side() -> None:
    # The handshake never looks like a request, so the server hangs up on it unread.
    async def main() -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            client = client_of(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            try:
                await client.me()
            finally:
                await client.aclose()

    with pytest.raises(Unreachable, match="no secure connection"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (floods, "more than 100000 bytes"),
        (answers(b" " * 100_001), "more than 100000 bytes"),
        (answers(gzip.compress(b" " * 10**6), b"Content-Encoding: gzip\r\n"), "more than 100000 bytes"),
        (answers(b"[]", b"Content-Encoding: gzip\r\n"), "a coding that cannot be read"),
        (answers(b"<!doctype html><html>Sign in</html>"), "a web page"),
        (answers(b""), "not JSON"),
        (answers(b"["), "not JSON"),
        (answers(b"[" * 50_000), "not JSON"),
        (answers(b"9" * 5_000), "not JSON"),
        (answers(b"[NaN]"), "not JSON"),
        (answers(b'["\xff"]'), "not JSON"),
        (answers(b"{}"), "no list of projects"),
        (answers(b"null"), "no list of projects"),
        (answers(b'"text"'), "no list of projects"),
        (says(b"HTTP/1.1 204 No Content\r\n\r\n"), "not JSON"),
        (refuses(301, b"", b"Location: http://127.0.0.1:1/\r\n"), "a redirect (301)"),
        (refuses(304, b""), "a redirect (304)"),
        (refuses(404, b"<html>nginx</html>", b"Content-Type: text/html\r\n"), "a web page (404)"),
    ],
)
def test_a_broken_answer_is_not_asked_for_again(talk: Conversation, words: str) -> None:
    error, requests = failure(talk, size_limit=100_000)
    assert isinstance(error, BrokenAnswer)
    assert words in str(error)
    assert requests == 1


@pytest.mark.parametrize(
    ("talk", "kind", "words"),
    [
        (
            refuses(401, b'{"detail": "Invalid API key"}'),
            KeyRefused,
            "refused the API key (401): Invalid API key; check",
        ),
        (refuses(403, b"<html>"), KeyRefused, "refused the API key (403); check"),
        (refuses(404, b'{"detail": "Not here"}'), NotFound, "knows no projects: Not here"),
        (refuses(404, b""), NotFound, "knows no projects"),
        (refuses(400, b"bad\x07 thing"), RequestRefused, "(400): bad thing"),
        (refuses(409, b"{}"), RequestRefused, "refused the request for projects (409)"),
        (
            refuses(422, b'{"detail": [{"loc": ["query", "limit"], "msg": "is too large", "type": "t"}]}'),
            RequestRefused,
            "(422): query.limit: is too large",
        ),
        (refuses(501, b'{"detail": "not for spot"}'), RequestRefused, "(501): not for spot"),
        (refuses(418, b"[" * 50_000), RequestRefused, "(418)"),
        (refuses(429, b""), Unreachable, "asks us to slow down (429)"),
        (refuses(500, b'{"detail": 5}'), Unreachable, "cannot answer now (500)"),
        (refuses(500, b"x" * 500_000), Unreachable, "cannot answer now (500): xxx"),
        (refuses(599, b""), Unreachable, "cannot answer now (599)"),
    ],
)
def test_an_answer_that_says_no(talk: Conversation, kind: type[MarketplaceError], words: str) -> None:
    error, _ = failure(talk)
    assert type(error) is kind
    assert words in str(error)
    assert len(str(error)) < 500


# The key


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Everything that loguru writes, as verbose as it goes; the standard library's logging is in caplog."""
    caplog.set_level(logging.DEBUG)
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level=0, diagnose=False)
    yield lines
    logger.remove(sink)


ECHO = json.dumps({"detail": f"the key {KEY} is no good", "x": KEY}).encode()
ODD_BID = {"fid": KEY, "limit_price": KEY, "status": "Open", "created_at": KEY}


@pytest.mark.parametrize(
    "talk",
    [
        *(refuses(status, ECHO) for status in (400, 401, 403, 404, 418, 429, 500, 501)),
        refuses(400, f"the key {KEY} in plain text".encode()),
        refuses(400, f"the key {KEY[:6]}\\u0000{KEY[6:]} in pieces".encode()),
        refuses(422, json.dumps({"detail": [{"loc": [KEY], "msg": KEY}]}).encode()),
        refuses(301, b"", f"Location: http://x/{KEY}\r\n".encode()),
        answers(json.dumps([ODD_BID, KEY]).encode()),
        answers(KEY.encode()),
        answers(json.dumps({"data": [ODD_BID], "next_cursor": KEY * 5000}).encode()),
        says(f"{KEY}\r\n\r\n".encode()),
    ],
)
def test_the_key_is_never_told(talk: Conversation, logged: list[str], caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    async def main() -> None:
        async with Rogue(talk) as rogue:
            client = client_of(f"http://{rogue.address}")
            for question in questions(client):
                try:
                    answer = await question
                except MarketplaceError as error:
                    told.extend([str(error), repr(error), *traceback.format_exception(error)])
                else:
                    if isinstance(answer, Listing):
                        told.extend([*answer.set_aside, str(answer.broken)])
            told.extend([repr(client), repr(vars(client))])
            await client.aclose()

    asyncio.run(main())
    assert len(told) > 10
    assert not [line for line in told if KEY in line]
    assert KEY not in "".join(logged)
    assert KEY not in caplog.text


def questions(client: Marketplace) -> Iterator[Awaitable[object]]:
    yield client.me()
    yield client.projects()
    yield client.instance_types()
    yield client.teammates()
    yield client.bids("proj_1", "Open")
    yield client.bid("bid_1")
    yield client.instances("proj_1")
    yield client.instance_status("inst_1")
    yield client.clusters("proj_1")
    yield client.cluster("clust_1")
    yield client.auctions()


# Any answer at all


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800")
NAMES = st.sampled_from(
    [
        *("data", "next_cursor", "fid", "status", "project", "name", "created_at", "limit_price", "instances"),
        *("launch_specification", "volumes", "end_time", "region", "instance_type", "capacity"),
        *("last_instance_price", "organization_id", "num_gpus", "detail", "loc", "msg"),
    ]
)
LIKELY = st.sampled_from(["bid_1", "inst_1", "clust_1", "Open", "2024-01-01T12:00:00Z", "$1.00"])
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS | LIKELY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=8),
    max_leaves=30,
)
ITEM = st.fixed_dictionaries(
    {"fid": LIKELY | SCALARS, "status": LIKELY | SCALARS, "created_at": LIKELY}, optional={"project": LIKELY}
).flatmap(lambda item: st.dictionaries(NAMES, JSON).map(lambda more: more | item))
ANSWER = JSON | ITEM | st.lists(ITEM) | st.fixed_dictionaries({"data": st.lists(ITEM), "next_cursor": JSON})


def test_any_json_gives_values_or_a_marketplace_error() -> None:
    """Whatever comes, with whatever status: fleet values that a database can hold, or one of our errors."""
    body, status = b"", 200

    async def talk(writer: asyncio.StreamWriter) -> None:
        await refuses(status, body)(writer)

    async def all_questions(client: Marketplace) -> None:
        lines: list[str] = []
        for question in questions(client):
            try:
                answer = await question
            except MarketplaceError as error:
                lines.append(str(error))
                continue
            values: Iterable[Any] = answer if isinstance(answer, tuple) else [answer]
            if isinstance(answer, Listing):
                values = answer.items
                lines += [*answer.set_aside, answer.broken or ""]
            for value in values:
                json.dumps(asdict(value), default=str, ensure_ascii=False).encode()
        assert all(line.isprintable() for line in lines)

    with asyncio.Runner() as runner:
        rogue = Rogue(talk)
        runner.run(rogue.__aenter__())
        client = client_of(f"http://{rogue.address}", page_cap=3)

        @settings(max_examples=60)
        @given(ANSWER, st.sampled_from([200, 200, 200, 200, 422]))
        def any_json(answer: Any, code: int) -> None:
            nonlocal body, status
            body, status = json.dumps(answer).encode(), code
            runner.run(all_questions(client))

        try:
            any_json()
        finally:
            runner.run(client.aclose())
            runner.run(rogue.__aexit__())
