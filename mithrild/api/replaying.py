"""POST /v1/events/{event}/replay: an event once more, as it was, for the hooks that take it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import explaining, hooks
from mithrild.api.answers import Json, Parts, Refusal, answer
from mithrild.api.bodies import Body, Word, read
from mithrild.fleet.routing import Outlook, Verdict, route
from mithrild.store import again
from mithrild.store.outbox import Lane


class ReplayBody(Body):
    hook: Word | None = None


async def replay(parts: Parts, request: Request) -> Response:
    """{"deliveries": [{"id", "queued"}]}: not queued is what is being run at this moment."""
    body = await read(request, ReplayBody)
    queued = await asyncio.to_thread(_replay, parts, request.path_params["event"], body.hook)
    parts.wake()
    return answer({"deliveries": queued})


def _replay(parts: Parts, event: str, wanted: str | None) -> list[Json]:
    chosen = parts.config().hooks if wanted is None else [hooks.named(parts, wanted)]
    with parts.database.read_kept() as connection:
        found = explaining.find_event(connection, parts, event)
    if found.step.provenance == "simulated":
        raise Refusal("conflict", f"{found.id} was a rehearsal: begin another test or drill instead")
    facts = explaining.facts_of(found)
    # Whom it concerns is asked, and no longer when: neither its age nor a sibling that came first keeps it back.
    verdicts = route(facts, [replace(hook.rule(), first=False) for hook in chosen], Outlook(found.step.observed_at))
    lanes: list[Lane] = [
        (hook.name, action)
        for hook, verdict in zip(chosen, verdicts, strict=True)
        if verdict.outcome != "no"
        for action in hook.actions
    ]
    if not lanes:
        raise Refusal("conflict", _nobody(verdicts, wanted))
    done = again.replay(parts.database, found.sequence, lanes, parts.clock.now())
    return [{"id": id, "queued": queued} for id, queued in done.items()]


def _nobody(verdicts: list[Verdict], wanted: str | None) -> str:
    if wanted is None:
        return "no hook takes this event; `ml hooks explain` says why"
    return f"{wanted} does not take this event: {verdicts[0].reason}"
