"""/v1/hooks/{hook}/test and /v1/drills: imagined events through real hooks.

A drill is walked by whoever began it: notice, wait, end. It leaves nothing behind that would go on by itself.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import hooks, imagining
from mithrild.api.answers import Json, Parts, Refusal, answer
from mithrild.api.bodies import Body, Word, read
from mithrild.config import Hook
from mithrild.fleet import event as events
from mithrild.fleet import imagined
from mithrild.fleet.event import stamp
from mithrild.fleet.imagined import Cast, Scene
from mithrild.fleet.matching import Match
from mithrild.fleet.routing import HookRule, Outlook, route
from mithrild.store import deliveries, rehearsals, silences
from mithrild.store import read as store_read


class TestBody(Body):
    type: Word | None = None
    bid: Word | None = None


class DrillBody(Body):
    bid: Word
    notice_seconds: Annotated[int, Field(ge=1, le=3600)] = 300


class EndBody(Body):
    how: Literal["ran_out", "reprieved"] = "ran_out"


async def test_hook(parts: Parts, request: Request) -> Response:
    """{"test", "event", "deliveries", "note"}. `note`: why the hook would not have taken this event by itself."""
    body = await read(request, TestBody)
    hook = hooks.named(parts, request.path_params["hook"])
    shown = await asyncio.to_thread(_test, parts, request, hook, body)
    parts.wake()
    return answer(shown, 201)


def _test(parts: Parts, request: Request, hook: Hook, body: TestBody) -> Json:
    type, now = imagining.check_type(body.type or imagining.type_for(hook.on)), parts.clock.now()
    with parts.database.read_kept() as connection:
        scene = imagining.scene(connection, parts, request, type, body.bid)
        news = _news(parts, hook, type, request, connection)
        around = rehearsals.surroundings(connection, scene, news)
        rendered = events.render(scene.steps[0], 0, parts.database.id, parts.host, around)
        outlook = Outlook(now, silences.standing(connection, now))
        verdict = route(events.facts(rendered, scene.steps[0], now), [hook.rule()], outlook)[0]
    # The hook was named: what it asks of events is not asked of this one.
    rule = replace(hook.rule(), on=("*", "hook.*"), match=Match(), first=False, quiet=None, max_age=None)
    test = f"test_{secrets.token_hex(3)}"
    [event] = rehearsals.play(
        parts.database, test, scene, [rule], host=parts.host, now=now, outlook=Outlook(now), by_hand=True, news=news
    )
    with parts.database.read_kept() as connection:
        queued = [row["id"] for row in deliveries.listing(connection, rehearsal=test)]
    kept_back = verdict.reason or next(iter(verdict.held.values()), None)
    return {"test": test, "event": event, "type": type, "deliveries": queued, "note": kept_back}


def _news(parts: Parts, hook: Hook, type: str, request: Request, connection: Connection) -> events.HookNews | None:
    """What news of a hook would be about: a delivery of this one that there is not."""
    if not type.startswith("hook."):
        return None
    scene = imagining.scene(connection, parts, request, imagining.USUAL, None)
    around = rehearsals.surroundings(connection, scene)
    about = events.render(scene.steps[0], 0, parts.database.id, parts.host, around)
    return events.HookNews(hook.name, hook.actions[0], "dlv_example", "an example", about)


async def begin_drill(parts: Parts, request: Request) -> Response:
    """A bid of one's own is put under notice, for the hooks alone."""
    body = await read(request, DrillBody)
    shown = await asyncio.to_thread(_begin, parts, request, body)
    parts.wake()
    return answer(shown, 201)


def _begin(parts: Parts, request: Request, body: DrillBody) -> Json:
    now, notice = parts.clock.now(), timedelta(seconds=body.notice_seconds)
    with parts.database.read_kept() as connection:
        cast = imagining.cast(connection, parts, request, body.bid)
        standing = store_read.open_notices(connection, cast.project)
    if not cast.instances:
        raise Refusal("conflict", f"the bid {cast.bid.name!r} has no instances: there is nothing to preempt")
    if cast.bid.fid in standing or any(one.fid in standing for one in cast.instances):
        raise Refusal("conflict", f"the bid {cast.bid.name!r} is under notice in earnest: this is no time for a drill")
    drill = f"drill_{secrets.token_hex(3)}"
    played = _play(parts, drill, imagined.under_notice(cast, now, notice))
    return {
        "drill": drill,
        "bid": {"fid": cast.bid.fid, "name": cast.bid.name},
        "instances": [one.name for one in cast.instances],
        "began_at": stamp(now),
        "deadline": stamp(now + notice),
        "events": played,
    }


async def end_drill(parts: Parts, request: Request) -> Response:
    """The notice of a drill runs out, or is taken back."""
    body = await read(request, EndBody)
    shown = await asyncio.to_thread(_end, parts, request.path_params["drill"], body.how)
    parts.wake()
    return answer(shown)


def _end(parts: Parts, drill: str, how: str) -> Json:
    now = parts.clock.now()
    with parts.database.read_kept() as connection:
        cast = _cast_of(connection, drill)
    rehearsals.end_notices(parts.database, drill, "reprieved" if how == "reprieved" else "it ran out", now)
    scene = imagined.taken_back(cast, now) if how == "reprieved" else imagined.run_out(cast, now)
    return {"drill": drill, "ended_at": stamp(now), "events": _play(parts, drill, scene)}


async def interrupt_drill(parts: Parts, request: Request) -> Response:
    """What a drill or a test has queued will not run, and what runs for it is ended."""
    drill = request.path_params["drill"]
    why = rehearsals.interrupted(drill)
    count = await asyncio.to_thread(rehearsals.interrupt, parts.database, drill, why, parts.clock.now())
    return answer({"drill": drill, "superseded": count, "ended": await parts.end_rehearsal(drill, why)})


def _play(parts: Parts, drill: str, scene: Scene) -> list[str]:
    rules: list[HookRule] = [hook.rule() for hook in parts.config().hooks]
    return rehearsals.play(parts.database, drill, scene, rules, host=parts.host, now=parts.clock.now())


def _cast_of(connection: Connection, drill: str) -> Cast:
    """Whom a drill has under notice."""
    fids = rehearsals.under_notice(connection, drill)
    fleet = store_read.fleet(connection, None, also=fids)
    bid = next((fleet.bids[fid].value for fid in fids if fid in fleet.bids), None)
    if bid is None:
        raise Refusal("not_found", f"no drill {drill[:60]!r} is under way; was it interrupted?")
    instances = tuple(fleet.instances[fid].value for fid in fids if fid in fleet.instances)
    return Cast(bid.project, bid, instances)
