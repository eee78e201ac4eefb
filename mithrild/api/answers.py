"""What all routes share: their parts, the age of an answer, and errors as one JSON shape."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mithrild import __version__
from mithrild.api.desk import Archive, Desk
from mithrild.api.feed import Feed
from mithrild.api.upkeep import Upkeep
from mithrild.clock import Clock
from mithrild.config import Config
from mithrild.errors import AnswerLost, KeyRefused, MarketplaceError, NotFound, RequestRefused
from mithrild.fleet.event import stamp
from mithrild.health import Health
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.store.latency import Latencies

Json = dict[str, Any]

LONGEST_NUMBER = 18  # digits; int() raises ValueError for thousands of them, and a sequence never has more

HTTP_STATUS = {
    "bad_request": 400,
    "refused": 403,
    "not_found": 404,
    "ambiguous": 409,
    "conflict": 409,
    "cursor_gone": 410,
    "marketplace_refused": 502,
    "marketplace_away": 502,
    "key_refused": 502,
    "outcome_unknown": 504,
}


# A poll takes its time: at four polls a second, what is less than this old is not old.
LEAST_STALE = 2.0


def of_marketplace(error: MarketplaceError) -> Refusal:
    """What the marketplace would not or could not do, for whoever asked us to have it done."""
    match error:
        case KeyRefused():
            return Refusal("key_refused", str(error))
        case AnswerLost():
            return Refusal("outcome_unknown", str(error))
        case NotFound():
            return Refusal("not_found", str(error))
        case RequestRefused():
            return Refusal("marketplace_refused", str(error))
        case _:
            return Refusal("marketplace_away", str(error))


class Refusal(Exception):
    """An answer that is an error: a code of `wire.ERROR_EXITS`, and one line for a person."""

    def __init__(self, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.code, self.more = code, more


async def _nothing_runs(rehearsal: str, why: str) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes answer from. Callables where a reload may change the answer."""

    database: Database
    feed: Feed
    clock: Clock
    config: Callable[[], Config]
    health: Health
    desk: Desk
    archive: Archive
    upkeep: Upkeep
    latencies: Latencies
    daemon: Callable[[], Json]  # version, pid, socket and the like: what only the whole program knows
    host: str = "localhost"  # in the source of the events that are made here
    wake: Callable[[], None] = lambda: None  # to be called after a commit that queued something
    end_rehearsal: Callable[[str, str], Awaitable[int]] = _nothing_runs  # ends what runs of a test or drill, and why


def answer(body: Json, status: int = 200) -> Response:
    text = json.dumps(body, separators=(",", ":"))
    return Response(text, status, {"Mithrild-Version": __version__}, "application/json")


def refuse(refusal: Refusal) -> Response:
    error = {"code": refusal.code, "message": str(refusal), **refusal.more}
    return answer({"error": error}, HTTP_STATUS.get(refusal.code, 500))


def freshness(connection: Connection, parts: Parts) -> Json:
    """How old the local state is, and why it is not younger. Stale means older than three polls (or 2 s), or
    of an age that cannot be told because the clock has been set back since. `warning` is due however fresh it is."""
    now, health = parts.clock.now(), parts.health
    polled: list[datetime | None] = [row["polled_at"] for row in read.projects(connection)]
    as_of = min((moment for moment in polled if moment), default=None) if all(polled) else None
    age = None if as_of is None else (now - as_of).total_seconds()
    if age is not None and age < 0:
        # A clock that is only being adjusted makes a poll of just now look a moment younger than that.
        age = 0.0 if age > -LEAST_STALE else None
    disk = parts.database.disk
    warning = f"{disk.message}; until then what happens is held in memory" if disk.trouble else None
    # While polls fail the interval grows; what people were promised is the usual one.
    stale = age is None or age > max(3 * health.usual, LEAST_STALE)
    return {
        "as_of": stamp(as_of),
        "age_seconds": age,
        "stale": stale,
        "reason": _why(health, as_of, age, warning) if stale else None,
        "warning": warning,
        "interval_seconds": health.interval,
    }


def _why(health: Health, as_of: datetime | None, age: float | None, warning: str | None) -> str:
    if health.key == "missing":
        return "there is no API key"
    if health.last_error is not None:
        return health.last_error
    if warning is not None:
        return warning
    if as_of is None:
        return "nothing has been polled yet"
    return "the clock of this machine was set back" if age is None else "no poll has ended since then"


def whole_number(request: Request, name: str, *, least: int, most: int) -> int | None:
    text = request.query_params.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > LONGEST_NUMBER or not least <= int(text) <= most:
        raise Refusal("bad_request", f"{name} must be a whole number from {least} to {most}, not {text[:40]!r}")
    return int(text)


def moment(text: str | None, name: str) -> datetime | None:
    """A time in a query, in UTC where it names no zone."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refusal("bad_request", f"{name} must be a time such as 2026-11-23T14:02:11Z, not {text[:40]!r}") from None
