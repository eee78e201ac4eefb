"""The action `webhook`: the stored bytes of the event, posted and signed.

The body is the same at every try, and so is its id; what changes (which try, how long is left) is in headers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Mapping
from contextlib import aclosing, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx

from mithrild import __version__
from mithrild.clock import Clock
from mithrild.config.actions import Webhook
from mithrild.config.addresses import check_web_address, shown
from mithrild.config.secrets import signing_keys
from mithrild.fleet.event import stamp
from mithrild.hooks.action import Job, Result
from mithrild.hooks.patience import wait_for
from mithrild.hooks.secrets import Secrets
from mithrild.hooks.signing import signed_headers
from mithrild.store.outbox import Claim
from mithrild.web import is_loopback, reason, retry_after

TIMEOUT = 15.0  # seconds for a whole try
READ_PATIENCE = 2.0  # seconds for the words of an answer whose status is known: that is what counts
MOST_WORDS = 4096  # bytes that are read of an answer
TRY_AGAIN = frozenset({408, 425, 429})
GONE = 410


class Webhooks:
    def __init__(self, clock: Clock, secrets: Secrets) -> None:
        self._clock, self._secrets = clock, secrets
        self._clients: dict[str, httpx.AsyncClient] = {}  # by receiver: scheme, host and port
        self._trusted: ssl.SSLContext | None = None

    async def deliver(self, job: Job) -> Result:
        webhook = job.hook.webhook
        assert webhook is not None
        try:
            url, keys = await asyncio.to_thread(self._read, webhook)
        except ValueError as error:
            return Result("retry", str(error))  # who mends the file need not mend the delivery
        posting = asyncio.create_task(self._post(url, self._headers(job.claim, keys), job.claim.body.encode()))
        seconds = min(TIMEOUT, job.hook.timeout.total_seconds())
        try:
            match await wait_for(posting, job.stop, seconds):
                case "done":
                    return posting.result()
                case "stop":
                    return Result("interrupted", "the daemon is stopping: the answer was not waited for")
                case "timeout":
                    return Result("retry", f"{shown(url)} did not answer within {seconds:g} s")
        finally:
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def _read(self, webhook: Webhook) -> tuple[str, tuple[bytes, ...]]:
        url = self._secrets.address(webhook)
        check_web_address(url, webhook.allow_http)
        return url, signing_keys(self._secrets.read(webhook.secret)) if webhook.secret else ()

    def _headers(self, claim: Claim, keys: tuple[bytes, ...]) -> dict[str, str]:
        now = self._clock.now()
        headers = signed_headers(claim.id, int(now.timestamp()), claim.body.encode(), keys)
        headers |= {"Content-Type": "application/cloudevents+json", "Mithrild-Hook": claim.hook}
        headers["Mithrild-Attempt"] = str(claim.number)
        if claim.deadline is not None:
            left = max(int((claim.deadline - now).total_seconds()), 0)
            headers |= {"Mithrild-Deadline": stamp(claim.deadline) or "", "Mithrild-Remaining-Seconds": str(left)}
        return headers

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Result:
        client = self._client(url)
        where = shown(url)
        words = bytearray()
        try:
            request = client.build_request("POST", url, headers=headers, content=body)
            async with aclosing(await client.send(request, stream=True)) as response:
                with suppress(TimeoutError, httpx.HTTPError):
                    async with asyncio.timeout(READ_PATIENCE):
                        # As they come: what is packed may be a thousand times as large when it is unpacked.
                        async for piece in response.aiter_raw():
                            words += piece
                            if len(words) >= MOST_WORDS:
                                break
        except (httpx.InvalidURL, UnicodeError):
            return Result("failed", f"{where} is no address that can be used")
        except (httpx.HTTPError, OSError) as error:
            return Result("retry", f"{where} cannot be reached: {reason(error)}")
        output = bytes(words[:MOST_WORDS]).decode("utf-8", "replace").replace("\0", "\ufffd")
        return self._judge(where, response, output)

    def _judge(self, where: str, response: httpx.Response, output: str) -> Result:
        status = response.status_code
        if response.is_success:
            return Result("done", output=output)
        if status in TRY_AGAIN or status >= 500:
            asked = retry_after(response.headers.get("retry-after"), self._clock.now())
            return Result("retry", f"{where} answered {status}", output, retry_after=asked)
        if status == GONE:
            return Result("off", f"{where} answered 410: it wants no more of these", output)
        if 300 <= status < 400:
            to = _redirect(response.headers.get("location", ""))
            return Result("failed", f"{where} answered {status}{to}; redirects are not followed", output)
        return Result("failed", f"{where} answered {status}", output)

    def _client(self, url: str) -> httpx.AsyncClient:
        """Made with the first message, for each receiver: each message goes through all connections of a client. What
        listens on this machine is never behind the proxy of the environment."""
        receiver = shown(url)
        if receiver not in self._clients:
            loopback = is_loopback(urlsplit(url).hostname or "")
            # To read the certificates that are trusted takes 20 ms: once.
            self._trusted = self._trusted or httpx.create_ssl_context()
            for library in ("httpx", "httpcore"):
                logging.getLogger(library).setLevel(logging.WARNING)  # below this they log whole addresses
            self._clients[receiver] = httpx.AsyncClient(
                verify=self._trusted,
                headers={"User-Agent": f"mithrild/{__version__}", "Accept-Encoding": "identity"},
                timeout=httpx.Timeout(TIMEOUT, pool=None),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=55),
                follow_redirects=False,
                trust_env=not loopback,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        return self._clients[receiver]


def _redirect(location: str) -> str:
    """Where it leads, by its host alone: the rest may be a secret."""
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    if not host:
        return ""
    try:
        private = not ipaddress.ip_address(host).is_global
    except ValueError:
        private = host == "localhost"
    return f" and points to {host[:100]}{' (a private address)' if private else ''}"
