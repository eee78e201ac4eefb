"""One question to the marketplace and its answer: limits of time and size, second tries, named errors."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from random import SystemRandom
from typing import Any, NamedTuple, NoReturn

import httpx
from pydantic import SecretStr

from mithrild import __version__
from mithrild.clock import Clock, bearing
from mithrild.errors import (
    AnswerLost,
    BrokenAnswer,
    ConfigError,
    KeyUnusable,
    NotSent,
    RequestRefused,
    Unreachable,
)
from mithrild.fleet.schedule import backoff
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.pauses import Pauses
from mithrild.marketplace.refusal import KEY_ADVICE, plain, refusal, server_words, unreachable
from mithrild.marketplace.skew import Moment, Skew
from mithrild.web import http_date, is_loopback

TRIES = 3
LONGEST_PATIENCE = 5.0  # a Retry-After beyond this is for the poller to wait for, not for one request
KEEPALIVE = 55.0  # longer than the idle poll, shorter than the minute after which load balancers hang up
CONNECTIONS = 16
# With these the marketplace, or whatever stands before it, says that it did not begin to do what was asked.
NOT_DONE = (408, 425, 429)
LONGEST_REFUSAL = 64 * 1024  # bytes


class Tickets:
    """Numbers that only grow, one for each request as it is sent. All clients of a daemon share one."""

    def __init__(self, start: int = 1) -> None:
        self._numbers = itertools.count(start)

    def draw(self) -> int:
        return next(self._numbers)


class Answer(NamedTuple):
    body: Any  # whatever JSON it was
    ticket: int  # drawn before the request was sent: the answer is at least as new


class Transport:
    def __init__(
        self,
        api_url: str,
        key: SecretStr | None,
        *,
        clock: Clock,
        tickets: Tickets,
        budget: RequestBudget,
        connect_timeout: float,
        read_timeout: float,
        overall_timeout: float,
        size_limit: int,
    ) -> None:
        self._skew = Skew()
        self._clock, self._tickets, self._budget = clock, tickets, budget
        self._pauses = Pauses(clock)
        self._draw: Callable[[], float] = SystemRandom().random
        self._overall_timeout, self._size_limit = overall_timeout, size_limit
        base = _base(api_url)
        self._root, self.host = f"{base}/v2", base.netloc.decode()
        self._new_client = partial(_http_client, base.host, connect_timeout, read_timeout)
        self._client = self._new_client(kept=CONNECTIONS)
        self._writes: httpx.AsyncClient | None = None  # made with the first write
        self._secret: str | None = None
        self.use_key(key)

    @property
    def skew(self) -> timedelta | None:
        """The marketplace's clock minus ours, None until it has told its time."""
        return self._skew.ahead

    def use_key(self, key: SecretStr | None) -> None:
        """The key of every request from now on. One that is on its way keeps the one it has."""
        self._secret = (key.get_secret_value().strip() if key else "") or None

    def plain(self, text: str) -> str:
        """Words from outside as one short printable line without the key."""
        return plain(text, self._secret)

    async def aclose(self) -> None:
        await self._client.aclose()
        if self._writes is not None:
            await self._writes.aclose()

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, what: str, urgent: bool = False
    ) -> Answer:
        """GET `/v2{path}`. `what` names the thing asked for, in an error's words.

        Up to three tries where trying again may help, as long as they began within the overall limit of one;
        an urgent question is asked once, since its deadline is worth more than its answer.
        """
        self._usable_key()  # refused before it costs a request of the budget
        what = self.plain(what)
        for attempt in itertools.count(1):
            await self._pauses.over(path, patience=0.0 if urgent else LONGEST_PATIENCE)
            await self._budget.take(urgent)
            if attempt == 1:
                began = self._clock.monotonic()
            try:
                return await self._ask(path, params or {}, what)
            except Unreachable as error:
                gap = backoff(attempt, self._draw(), first=0.5, cap=2)
                gap = max(gap, error.retry_after or 0.0)
                late = self._clock.monotonic() + gap - began > self._overall_timeout
                if urgent or attempt == TRIES or gap > LONGEST_PATIENCE or late:
                    raise
            await self._clock.sleep(gap)
        raise AssertionError("the loop above has no other end")

    async def send(self, method: str, path: str, body: object = None, *, what: str) -> Answer:
        """A request that changes something: POST, PATCH or DELETE of `/v2{path}`, sent once and never again.

        Raises AnswerLost where it may have been done: who sent it has to look. What was surely not sent, or surely
        not done, is Unreachable or RequestRefused.
        """
        self._usable_key()
        what = self.plain(what)
        await self._pauses.over(path, patience=LONGEST_PATIENCE)
        await self._budget.take(True)
        try:
            return await self._ask(path, {}, what, method=method, body=body)
        except NotSent:
            raise
        except (Unreachable, BrokenAnswer) as error:
            raise AnswerLost(str(error)) from None

    def _usable_key(self) -> str:
        if self._secret is None:
            raise KeyUnusable(f"no API key is set; {KEY_ADVICE}")
        # Such a key cannot stand in a header, and the HTTP library would quote it in its own error.
        if not all("!" <= letter <= "~" for letter in self._secret):
            raise KeyUnusable(f"the API key has characters that no key has; {KEY_ADVICE}")
        return self._secret

    async def _ask(
        self, path: str, params: Mapping[str, str], what: str, *, method: str = "GET", body: object = None
    ) -> Answer:
        request = self._request(method, path, params, body, what)
        # A kept connection may be closed by the other side as we write to it, and then nobody knows whether the
        # request got through. A read is tried again; a write gets a connection of its own.
        client = self._client if method == "GET" else self._for_writes()
        ticket, sent = self._tickets.draw(), Moment(self._clock.now(), bearing(self._clock))
        try:
            # httpx's time-outs start anew with every byte; this one also ends an answer that drips.
            async with (
                asyncio.timeout(self._overall_timeout),
                aclosing(await client.send(request, stream=True)) as response,
            ):
                date = http_date(response.headers.get("date"))
                if date is not None:
                    received = Moment(self._clock.now(), bearing(self._clock))
                    self._skew.note(path, date, sent=sent, received=received)
                content = await self._read(response)
        # From None throughout: the library's own words may quote what the other side sent, and that the key.
        except TimeoutError:
            raise Unreachable(f"{self.host} cannot be reached: its answer took too long") from None
        except httpx.DecodingError:
            raise BrokenAnswer(f"{self.host} sent {what} in a coding that cannot be read") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise NotSent(str(unreachable(self.host, error))) from None
        except (httpx.HTTPError, OSError, UnicodeError) as error:
            raise unreachable(self.host, error) from None
        if not response.is_success:
            theirs = date or self._clock.now() + (self.skew or timedelta())
            words = self.plain(server_words(content))
            refused = refusal(self.host, what, response.status_code, response.headers, words, theirs)
            if isinstance(refused, Unreachable):
                self._pauses.note(path, response.status_code, refused)
                if method != "GET" and response.status_code in NOT_DONE:
                    refused = NotSent(str(refused), refused.retry_after)
            raise refused
        nothing = method == "DELETE" and not content
        return Answer(None if nothing else self._json(content, what), ticket)

    def _for_writes(self) -> httpx.AsyncClient:
        if self._writes is None:
            self._writes = self._new_client(kept=0)
        return self._writes

    def _request(self, method: str, path: str, params: Mapping[str, str], body: object, what: str) -> httpx.Request:
        headers = {"Authorization": f"Bearer {self._usable_key()}"}
        url = f"{self._root}{path}"
        try:
            return self._client.build_request(method, url, params=params, headers=headers, json=body)
        except (httpx.InvalidURL, UnicodeError):
            # A name, fid or cursor of thousands of characters, or with half a surrogate pair in it.
            raise RequestRefused(f"the request for {what} does not make an address", 414) from None

    async def _read(self, response: httpx.Response) -> bytes:
        """The whole body, or BrokenAnswer as soon as it is too much. Leaving early closes the connection.

        Of an answer that says no only the beginning is read: its status is what counts.
        """
        limit = self._size_limit if response.is_success else LONGEST_REFUSAL
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                if response.is_success:
                    raise BrokenAnswer(f"{self.host} sent more than {limit} bytes in one answer")
                break
        return bytes(body[:limit])

    def _json(self, body: bytes, what: str) -> Any:
        try:
            return json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            page = body.lstrip()[:1] == b"<"
            kind = "a web page (is a proxy or a sign-in page in between?)" if page else "something that is not JSON"
            raise BrokenAnswer(f"{self.host} answered the request for {what} with {kind}") from None


def _base(api_url: str) -> httpx.URL:
    """The address without what does not belong: a user name (httpx would send that instead of the key),
    a query, a slash at the end, the version."""
    try:
        url = httpx.URL(api_url.strip())
        url = url.copy_with(userinfo=b"", query=None, fragment=None, path=url.path.rstrip("/").removesuffix("/v2"))
    except (httpx.InvalidURL, ValueError):
        raise ConfigError(["api_url is not an address that can be read"]) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(["api_url is not an http:// or https:// address"])
    return url


def _http_client(host: str, connect_timeout: float, read_timeout: float, *, kept: int) -> httpx.AsyncClient:
    # Below this they log whole headers and raw bytes of the other side, which may hold the key.
    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        return httpx.AsyncClient(
            headers={"User-Agent": f"mithrild/{__version__}", "Accept": "application/json"},
            timeout=httpx.Timeout(read_timeout, connect=connect_timeout, pool=None),
            limits=httpx.Limits(
                max_connections=CONNECTIONS,
                max_keepalive_connections=kept,
                keepalive_expiry=KEEPALIVE,
            ),
            follow_redirects=False,
            # A session cookie would go on answering for the old account after the key has changed.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            # A sandbox on this machine is never behind the proxy of the environment.
            mounts={f"all://{host}": None} if is_loopback(host) else None,
        )
    except (ValueError, ImportError, httpx.InvalidURL):
        # The library's own words may quote a proxy's password.
        raise ConfigError(["the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"]) from None
    except OSError as error:
        raise ConfigError([f"the certificates in SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error}"]) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
