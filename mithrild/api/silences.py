"""/v1/silences: times in which hooks keep still."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import hooks
from mithrild.api.answers import Json, Parts, Refusal, answer, moment, whole_number
from mithrild.api.bodies import Body, Word, read
from mithrild.fleet.event import stamp
from mithrild.fleet.stillness import Silence
from mithrild.store import silences

LONGEST = timedelta(days=366)
MOST = 1000


class SilenceBody(Body):
    """`until` is a time with its zone."""

    pattern: Word
    until: Word
    hook: Word | None = None


def list_silences(parts: Parts, request: Request) -> Response:
    """Those that hold; with `all=1` ended ones too, the newest first."""
    now = parts.clock.now()
    limit = whole_number(request, "limit", least=1, most=MOST) or MOST
    with parts.database.read() as connection:
        found = silences.listing(connection, limit)
    every = request.query_params.get("all") == "1"
    return answer({"silences": [view(one, now) for one in found if every or one.begun_at <= now < one.until]})


async def begin_silence(parts: Parts, request: Request) -> Response:
    body = await read(request, SilenceBody)
    now, until = parts.clock.now(), moment(body.until, "until")
    if until is None or not now < until <= now + LONGEST:
        raise Refusal("bad_request", f"until must be a time to come, within a year, not {body.until[:40]!r}")
    if body.hook is not None:
        hooks.named(parts, body.hook)
    silence, held = await asyncio.to_thread(silences.begin, parts.database, body.pattern, body.hook, until, now)
    return answer({"silence": view(silence, now), "held": held}, 201)


async def end_silence(parts: Parts, request: Request) -> Response:
    """By its number, its pattern, or a pattern of its pattern."""
    which = request.path_params["which"]
    now = parts.clock.now()
    ended = await asyncio.to_thread(silences.end, parts.database, which, now)
    if not ended:
        raise Refusal("not_found", f"no silence that holds is {which[:60]!r}; `ml hooks silences` lists them")
    return answer({"silences": [view(one, now) for one in ended]})


def view(silence: Silence, now: datetime) -> Json:
    return {
        "id": silence.id,
        "pattern": silence.pattern,
        "hook": silence.hook,
        "begun_at": stamp(silence.begun_at),
        "until": stamp(silence.until),
        "holds": silence.begun_at <= now < silence.until,
    }
