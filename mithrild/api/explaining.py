"""/v1/events/{event}/explain and /v1/explain: which hooks an event concerns, and what kept back the others.

Of an event that came, what was done is told by its deliveries; why nothing was done, by the hooks as they are now,
judged by what was known when it came.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, RowMapping
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import imagining
from mithrild.api.answers import LONGEST_NUMBER, Json, Parts, Refusal, answer
from mithrild.config import Hook
from mithrild.fleet import event as events
from mithrild.fleet.matching import Facts
from mithrild.fleet.routing import Outlook, Verdict, route
from mithrild.store import deliveries, read, rehearsals, silences, switches
from mithrild.store.read import Stored

LATER = "would run now: the hook was not configured then, or asked for something else"


def explain_event(parts: Parts, request: Request) -> Response:
    with parts.database.read_kept() as connection:
        event = find_event(connection, parts, request.path_params["event"])
        done = deliveries.listing(connection, event=event.id, limit=10_000)
    hooks = parts.config().hooks
    verdicts = [
        *_as_it_was(hooks, facts_of(event), Outlook(event.step.observed_at), done),
        *(_done(one) for one in done if one["hook"] not in {hook.name for hook in hooks}),
    ]
    return answer({"event": json.loads(event.body), "imagined": False, "hooks": verdicts})


def explain_imagined(parts: Parts, request: Request) -> Response:
    """What would happen if an event of this type came now, of this bid or of an example; with `simulated=1`, if it
    came in a drill."""
    type, bid = request.query_params.get("type") or imagining.USUAL, request.query_params.get("bid") or None
    imagining.check_type(type)
    hooks, now = parts.config().hooks, parts.clock.now()
    with parts.database.read_kept() as connection:
        scene = imagining.scene(connection, parts, request, type, bid)
        drilled = request.query_params.get("simulated") == "1"
        step = replace(scene.steps[0], provenance="simulated" if drilled else "observed")
        body = events.render(step, 0, parts.database.id, parts.host, rehearsals.surroundings(connection, scene))
        outlook = Outlook(now, silences.standing(connection, now))
    off = switches.switched_off(parts.database)
    verdicts: list[Json] = []
    for hook, verdict in zip(hooks, _judge(hooks, events.facts(body, step, now), outlook), strict=True):
        if verdict.outcome != "run":
            verdicts.append(_row(hook.name, None, verdict.outcome, verdict.reason))
            continue
        for action in hook.actions:
            found = off.get((hook.name, action))
            is_off = found is not None and found.mark == hook.mark(action)
            why = f"switched off: {found.reason}" if found and is_off else verdict.held.get(action)
            verdicts.append(_row(hook.name, action, "run" if why is None else "skip", why))
    return answer({"event": body, "imagined": True, "hooks": verdicts})


def find_event(connection: Connection, parts: Parts, named: str) -> Stored:
    """By its id, or by its sequence alone."""
    digits = named.isascii() and named.isdigit() and len(named) <= LONGEST_NUMBER
    sequence = int(named) if digits else events.sequence_of(parts.database.id, named)
    found = None if sequence is None else read.event(connection, sequence)
    if found is None:
        raise Refusal("not_found", f"there is no event {named[:60]!r}; `ml events --json` tells the ids")
    return found


def facts_of(event: Stored) -> Facts:
    """What routing was told of an event when it was committed."""
    return events.facts(json.loads(event.body), event.step, event.step.observed_at, event.ahead)


def _as_it_was(hooks: Sequence[Hook], facts: Facts, outlook: Outlook, done: Sequence[RowMapping]) -> list[Json]:
    shown: list[Json] = []
    for hook, verdict in zip(hooks, _judge(hooks, facts, outlook), strict=True):
        mine = [one for one in done if one["hook"] == hook.name]
        if mine:
            shown += [_done(one) for one in mine]
        elif verdict.outcome == "run":
            shown.append(_row(hook.name, None, "no", LATER))
        else:
            shown.append(_row(hook.name, None, verdict.outcome, verdict.reason))
    return shown


def _judge(hooks: Sequence[Hook], facts: Facts, outlook: Outlook) -> list[Verdict]:
    return route(facts, [hook.rule() for hook in hooks], outlook)


def _done(row: RowMapping) -> Json:
    return _row(row["hook"], row["action"], row["state"], row["reason"], row["id"])


def _row(hook: str, action: str | None, verdict: str, reason: str | None, delivery: str | None = None) -> Json:
    """`verdict`: the state of a delivery; else run, skip (its own, and held back) or no (not its own)."""
    return {"hook": hook, "action": action, "verdict": verdict, "reason": reason, "delivery": delivery}
