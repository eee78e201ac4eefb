"""What was asked of the `/v2` API: how often, and the last thousand requests one by one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from email.utils import formatdate
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mithrild.sandbox.agenda import text
from mithrild.sandbox.market import Market

KEPT = 1_000
PATHS_KEPT = 10_000


@dataclass(slots=True)
class Asked:
    """One request. The status is 0 if no answer was begun."""

    time: str
    method: str
    path: str
    query: str
    status: int = 0


class Ledger:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.total = 0
        self._counts: Counter[str] = Counter()
        self._last: deque[Asked] = deque(maxlen=KEPT)

    def note(self, asked: Asked) -> None:
        self.total += 1
        key = f"{asked.method} {asked.path}"
        if key not in self._counts and len(self._counts) >= PATHS_KEPT:
            key = "other"
        self._counts[key] += 1
        self._last.append(asked)

    def report(self) -> dict[str, object]:
        return {
            "total": self.total,
            "by_path": dict(self._counts),
            "last": [asdict(asked) for asked in self._last],
        }


def of_control(scope: MutableMapping[str, Any]) -> bool:
    return str(scope["path"]).startswith("/sandbox")


class Door:
    """The outermost layer: brings the market up to date before each request, dates and records each answer.

    `Date` shows the marketplace's clock, so the server underneath must not send one of its own.
    """

    def __init__(self, app: ASGIApp, market: Market, ledger: Ledger) -> None:
        self._app = app
        self._market = market
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._market.catch_up()
        query = scope["query_string"].decode("latin-1")
        asked = Asked(text(self._market.agenda.now), scope["method"], scope["path"], query)
        if not of_control(scope):
            self._ledger.note(asked)

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
                headers = list(message.get("headers", ()))
                if not any(name == b"date" for name, _ in headers):  # a fault may have set a wrong one
                    headers.append((b"date", formatdate(self._market.agenda.clock(), usegmt=True).encode()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, dated)
