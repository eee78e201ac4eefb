"""The table of faults, in its own words: what the network, the key and the clocks may do, and what must hold then."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from loguru import logger

from mithrild.store import read
from mithrild.watcher.watch import KEY_AGAIN
from tests.integration.account_rig import HandClock, Rig
from tests.integration.certificates import write_certificate
from tests.integration.marketplace_server import Reply, Request
from tests.integration.meddler import Meddler, honest
from tests.integration.sandbox_server import PROJECT, Visitor, visit

PATIENCE = 15.0  # seconds that the watch waits for a byte
NO_PATIENCE = 0.03  # while it waits in vain: these seconds are real ones
TWO_MINUTES = 120.0
HOUR = timedelta(hours=1)
HALF_AN_HOUR = HOUR / 2  # long enough for the longest back-off
ASKED_TO_WAIT = 700  # seconds, by Retry-After: longer than any back-off
# Requests in an hour of outage: two dozen polls with one question each, and three beats beside them, each tried three
# times. While all is well it would be some thousands.
FEW = 300


@dataclass
class Scene:
    """A watch at work behind a network that can be meddled with."""

    rig: Rig
    meddler: Meddler
    folder: Path
    lines: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        if " marketplace: " in line:
            self.lines.append(line)

    async def look_on(self, length: timedelta) -> list[float]:
        """The watch by itself, for so long. Returns the seconds from the end of each poll to the next: a poll itself
        takes as long as its three tries."""
        until, waits = self.rig.clock.now() + length, []
        while self.rig.clock.now() < until:
            if await self.rig.cadence.turn() == "poll":
                waits.append(round(self.rig.cadence.due["poll"] - self.rig.clock.monotonic(), 6))
        return waits

    async def look_until(self, event: str) -> None:
        until = self.rig.clock.now() + HOUR
        while event not in self.rig.events():
            await self.rig.cadence.turn()
            assert self.rig.clock.now() < until, f"{event} was never told"


@asynccontextmanager
async def scene(visitor: Visitor, folder: Path, clock: HandClock, tls: ssl.SSLContext | None) -> AsyncIterator[Scene]:
    async with Meddler(visitor, tls) as meddler:
        rig = Rig(visitor, folder, PATIENCE, clock, MITHRIL_API_URL=meddler.url)
        found = Scene(rig, meddler, folder)
        sink = logger.add(lambda line: found.hear(str(line)), level="INFO")
        try:
            rig.watch.begin()
            while rig.watch.health.key != "ok" or len(rig.cadence.due) < 4:
                await rig.cadence.turn()
            meddler.asked.clear()
            yield found
        finally:
            logger.remove(sink)
            await rig.aclose()


def play(folder: Path, story: Callable[[Scene], Awaitable[None]], tls: ssl.SSLContext | None = None) -> None:
    """Both sides live by one hand clock."""
    clock = HandClock()

    async def run(visitor: Visitor) -> None:
        async with scene(visitor, folder, clock, tls) as one:
            await story(one)

    visit(run, wall=clock.monotonic)


# The network. Each way to break it gives the way to mend it again.

Mend = Callable[[], None]
Break = Callable[[Scene], Mend]


def meddle(answer: Callable[[Request, Reply], Awaitable[Reply | None]]) -> Break:
    def begin(one: Scene) -> Mend:
        one.meddler.meddling = answer

        def mend() -> None:
            one.meddler.meddling = honest

        return mend

    return begin


def drip(one: Scene) -> Mend:
    one.meddler.drip = True

    def mend() -> None:
        one.meddler.drip = False

    return mend


def impatiently(begin: Break) -> Break:
    """What would take half a minute a request, to a client that waits for less."""

    def begin_(one: Scene) -> Mend:
        transport, mend = one.rig.marketplace._transport, begin(one)
        transport._client.timeout, transport._overall_timeout = httpx.Timeout(NO_PATIENCE), 2 * NO_PATIENCE

        def mend_() -> None:
            transport._client.timeout, transport._overall_timeout = httpx.Timeout(PATIENCE), 2 * PATIENCE
            mend()

        return mend_

    return begin_


def lose_the_name(one: Scene) -> Mend:
    patch = pytest.MonkeyPatch()

    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    patch.setattr(socket, "getaddrinfo", unknown)
    return patch.undo


many_words = itertools.cycle([500, 502, 503, 504])


async def stumbles(request: Request, reply: Reply) -> Reply | None:
    """Never the same words twice, as gateways do that name each request."""
    status = next(many_words)
    return Reply({"detail": f"request {id(reply)} failed"}, status, {"Date": reply.headers["Date"]})


async def is_silent(request: Request, reply: Reply) -> Reply | None:
    return None


def says(status: int, **headers: str) -> Callable[[Request, Reply], Awaitable[Reply | None]]:
    async def answer(request: Request, reply: Reply) -> Reply | None:
        return Reply({"detail": "not now"}, status, {**reply.headers, **headers})

    return answer


async def resets(request: Request, reply: Reply) -> Reply | None:
    raise ConnectionResetError


NETWORK: dict[str, Break] = {
    "429 with Retry-After": meddle(says(429, **{"Retry-After": str(ASKED_TO_WAIT)})),
    "503 with Retry-After": meddle(says(503, **{"Retry-After": str(ASKED_TO_WAIT)})),
    "5xx for an hour": meddle(stumbles),
    "time-outs": impatiently(meddle(is_silent)),
    "resets": meddle(resets),
    "slow drip": impatiently(drip),
    "DNS gone": lose_the_name,
}


@pytest.mark.parametrize("row", NETWORK)
def test_the_network(tmp_path: Path, row: str) -> None:
    length = HOUR if "hour" in row or "Retry-After" in row else HALF_AN_HOUR
    play(tmp_path, lambda one: outage(one, NETWORK[row], length, asked_to_wait="Retry-After" in row))


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server whose certificate is trusted, until it shows another."""
    write_certificate(tmp_path / "good.pem", "localhost")
    write_certificate(tmp_path / "wrong.pem", "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "good.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "good.pem")
    return context


@pytest.mark.parametrize("row", ["TLS broken"])
def test_the_secure_connection(tmp_path: Path, row: str, tls: ssl.SSLContext) -> None:
    def break_it(one: Scene) -> Mend:
        tls.load_cert_chain(tmp_path / "wrong.pem")
        return lambda: tls.load_cert_chain(tmp_path / "good.pem")

    async def story(one: Scene) -> None:
        await outage(one, break_it, HALF_AN_HOUR)
        assert "its certificate is not trusted" in one.lines[0]

    play(tmp_path, story, tls)


async def outage(one: Scene, break_it: Break, length: timedelta, *, asked_to_wait: bool = False) -> None:
    rig = one.rig
    mend = break_it(one)
    waits = await one.look_on(length)
    assert rig.events() == ["marketplace.unreachable"]
    with rig.database.read() as connection:
        told = read.events(connection, after=0)[0][3]
    assert rig.watch.health.failing_since is not None
    waited = occurred(told) - rig.watch.health.failing_since.timestamp()
    assert TWO_MINUTES <= waited < TWO_MINUTES + 5, "polled or not"
    if asked_to_wait:
        asked = [at for at, path in one.meddler.asked if path == "/v2/spot/bids"]
        bursts = [later - earlier for earlier, later in itertools.pairwise(asked) if later - earlier > 1]
        assert min(bursts) >= ASKED_TO_WAIT - 1, "Retry-After is obeyed"
    else:
        assert 150 <= max(waits) <= 300
        assert len(set(waits)) > len(waits) / 2, "jitter"
    assert len(one.meddler.asked) <= FEW
    assert [line for line in one.lines if "WARNING" in line] == one.lines[:1] == one.lines, "one line at the start"

    await rig.visitor.place("placed-meanwhile")
    mend()
    mended = rig.clock.monotonic()  # the last look of the outage may have ended a little after its length
    await one.look_until("marketplace.recovered")
    assert rig.clock.monotonic() - mended <= (ASKED_TO_WAIT if asked_to_wait else 300) + 5
    back_at = rig.clock.monotonic()
    names = {await rig.cadence.turn() for _ in range(3)}
    assert {"prices", "clusters"} <= names, "all that was missed is looked at"
    assert rig.clock.monotonic() - back_at < 1, "at once"
    await one.look_until("bid.placed")
    assert rig.clock.monotonic() - back_at < 1
    await one.look_on(timedelta(seconds=20))
    assert sorted(rig.events()) == ["bid.placed", "marketplace.recovered", "marketplace.unreachable"]
    assert len(one.lines) == 2
    assert "recovered after" in one.lines[1], "and one at the end"


def occurred(body: str) -> float:
    return datetime.fromisoformat(json.loads(body)["time"]).timestamp()


@pytest.mark.parametrize("row", ["5xx for an hour, and the daemon starts anew meanwhile"])
def test_an_outage_that_outlives_the_daemon_is_told_once(tmp_path: Path, row: str) -> None:
    async def story(one: Scene) -> None:
        mend = NETWORK["resets"](one)
        await one.look_until("marketplace.unreachable")
        second = Rig(one.rig.visitor, tmp_path, PATIENCE, one.rig.clock, MITHRIL_API_URL=one.meddler.url)
        try:
            again = Scene(second, one.meddler, tmp_path)
            second.watch.begin()
            await again.look_on(timedelta(minutes=30))
            assert second.events() == ["marketplace.unreachable"]
            mend()
            await again.look_until("marketplace.recovered")
            await again.look_on(timedelta(minutes=1))
            assert second.events() == ["marketplace.unreachable", "marketplace.recovered"]
        finally:
            await second.aclose()

    play(tmp_path, story)


# The key


@pytest.mark.parametrize("row", ["key refused while running"])
def test_the_key(tmp_path: Path, row: str) -> None:
    async def story(one: Scene) -> None:
        rig = one.rig
        bid = await rig.visitor.place("night-run")
        await one.look_until("bid.placed")
        mend = meddle(says(401))(one)
        await one.look_until("credentials.rejected")
        one.meddler.asked.clear()
        waits = await one.look_on(HOUR)
        assert set(waits) == {KEY_AGAIN}, "every five minutes"
        assert {path for _, path in one.meddler.asked} == {"/v2/me"}
        assert rig.events() == ["bid.placed", "credentials.rejected"], "once"
        assert rig.watch.health.reachable, "it answers, if only to say no"
        with rig.database.read() as connection:
            assert bid["fid"] in read.fleet(connection, PROJECT).bids, "what is known stays served"
        rig.set_config()  # as a reload does, or a file that has changed
        at = rig.clock.monotonic()
        await rig.cadence.turn()
        assert rig.clock.monotonic() - at < 1, "at once"
        states: list[str] = [rig.watch.health.key]
        mend()
        rig.set_config()
        await rig.visitor.place("placed-meanwhile")
        await rig.cadence.turn()
        assert [*states, rig.watch.health.key] == ["refused", "ok"]
        assert rig.events() == ["bid.placed", "credentials.rejected", "bid.placed"]
        assert len(one.lines) == 2, "one line at the start, one at the end"

    play(tmp_path, story)
