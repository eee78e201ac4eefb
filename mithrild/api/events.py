"""/v1/events and /v1/events/stream: of what is written down alone, since an id that was shown must last. What was only
imagined, in a test or a drill, is shown to who asks for it."""

from __future__ import annotations

import asyncio
import json

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mithrild import __version__
from mithrild.api import fleet
from mithrild.api.answers import LONGEST_NUMBER, Parts, Refusal, answer, freshness, moment, whole_number
from mithrild.fleet.event import sequence_of
from mithrild.store import read
from mithrild.store.reach import reach

DEFAULT_LIMIT = 100
MOST = 10_000


def list_events(parts: Parts, request: Request) -> Response:
    limit = whole_number(request, "limit", least=1, most=MOST) or DEFAULT_LIMIT
    with parts.database.read_kept() as connection:
        after = _cursor(connection, parts, request.query_params.get("after"))
        since = moment(request.query_params.get("since"), "since")
        patterns = request.query_params.getlist("type")
        project = fleet.scope(connection, parts, request)
        bid = _bid(connection, project, request.query_params.get("bid"))
        rows = read.events(
            connection,
            after=after,
            since=since,
            patterns=patterns,
            project=project,
            bid=bid,
            limit=limit,
            imagined=_imagined(request),
        )
        oldest, _ = read.bounds(connection)
        fresh = freshness(connection, parts)
    events = [json.loads(body) for _, _, _, body in rows]
    following = rows[-1][0] if rows else after
    return answer({"freshness": fresh, "events": events, "next": following, "oldest": oldest})


async def stream_events(parts: Parts, scope: Scope, receive: Receive, send: Send) -> None:
    """Server-sent events. Written to ASGI itself: a follower that does not read must be cut off by time."""
    request = Request(scope)

    def prepare() -> tuple[int, str | None, str | None]:
        with parts.database.read_kept() as connection:
            asked = request.headers.get("last-event-id") or request.query_params.get("after")
            after = _cursor(connection, parts, asked)
            project = fleet.scope(connection, parts, request)
            bid = _bid(connection, project, request.query_params.get("bid"))
            return (read.last_sequence(connection) if after is None else after), project, bid

    after, project, bid = await asyncio.to_thread(prepare)
    headers = {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "mithrild-version": __version__,
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})

    async def write(block: bytes) -> None:
        await send({"type": "http.response.body", "body": block, "more_body": True})

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    await write(b": connected\n\n")
    patterns = request.query_params.getlist("type")
    following = asyncio.create_task(
        parts.feed.follow(after, patterns, project, bid, write, imagined=_imagined(request))
    )
    gone = asyncio.create_task(until_gone())
    try:
        await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
        if following.done() and following.exception() is None:
            await asyncio.wait_for(send({"type": "http.response.body", "body": b"", "more_body": False}), 1.0)
    except TimeoutError:
        pass
    finally:
        following.cancel()
        gone.cancel()
        await asyncio.gather(following, gone, return_exceptions=True)


def _imagined(request: Request) -> bool:
    """A program that acts on what the feed says must not act on a rehearsal, unless it asked for those."""
    return request.query_params.get("simulated") == "1"


def _cursor(connection: Connection, parts: Parts, asked: str | None) -> int | None:
    """A cursor is a sequence or an event id. One that we never gave out, or whose rows are gone, gets 410."""
    if not asked:
        return None
    digits = asked.removeprefix(f"evt_{parts.database.id}_")
    if len(digits) > LONGEST_NUMBER and digits.isdigit():
        raise Refusal("bad_request", f"after has a number of {len(digits)} digits, which no event has")
    number = int(asked) if asked.isascii() and asked.isdigit() else read.sequence_of_event(connection, asked)
    if number is None:
        number = sequence_of(parts.database.id, asked)
    oldest, _ = read.bounds(connection)
    if number is None and not asked.startswith("evt_"):
        raise Refusal("bad_request", f"after must be a sequence number or an event id, not {asked[:40]!r}")
    if number is None or number > read.last_sequence(connection):
        raise Refusal("cursor_gone", "this cursor is from another record", oldest=oldest)
    if number and number < reach(connection).through:
        raise Refusal("cursor_gone", f"the events after {number} are no longer kept", oldest=oldest)
    return number


def _bid(connection: Connection, project: str | None, asked: str | None) -> str | None:
    """The fid of the bid that is meant; of several with this name the newest."""
    if not asked:
        return None
    found = [one for one in read.bids_named(connection, asked) if project in (None, one.value.project)]
    if not found:
        raise Refusal("not_found", f"no bid on record is called {asked[:200]!r}: there are no events of it")
    return max(found, key=lambda one: (one.value.fid == asked, one.value.created_at)).value.fid
