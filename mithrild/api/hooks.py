"""/v1/hooks: what is configured, how it does, and what of it is switched off."""

from __future__ import annotations

import asyncio
from difflib import get_close_matches

from starlette.requests import Request
from starlette.responses import Response

from mithrild.api.answers import Json, Parts, Refusal, answer
from mithrild.config import Hook
from mithrild.fleet.event import stamp
from mithrild.store import deliveries, silences, switches
from mithrild.store.switches import Off

COUNTED = ("pending", "running", "done", "failed", "dead", "expired", "skipped", "superseded", "cancelled")


def list_hooks(parts: Parts, request: Request) -> Response:
    """Every hook, in the order of the configuration. What was rehearsed does not count."""
    hooks, now = parts.config().hooks, parts.clock.now()
    with parts.database.read_kept() as connection:
        tally = deliveries.tally(connection)
        standing = silences.standing(connection, now)
        latest = {
            hook.name: deliveries.listing(connection, hook=hook.name, rehearsals=False, limit=1) for hook in hooks
        }
    off = switches.switched_off(parts.database)
    shown = []
    for hook in hooks:
        counts = {state: tally.get(hook.name, {}).get(state, 0) for state in COUNTED}
        last = next(iter(latest[hook.name]), None)
        shown.append(
            {
                "name": hook.name,
                "on": list(hook.on),
                "match": hook.match.written(),
                "when": hook.when,
                "quiet": None if hook.quiet is None else hook.quiet.written,
                "quiet_now": hook.quiet is not None and hook.quiet.hold(now),
                "silenced": [one.pattern for one in standing if one.hook in (None, hook.name)],
                "actions": [_action(hook, action, off) for action in hook.actions],
                "counts": counts,
                "success_rate": _rate(counts),
                "last": None
                if last is None
                else {
                    "delivery": last["id"],
                    "state": last["state"],
                    "reason": last["reason"],
                    "at": stamp(last["finished_at"] or last["created_at"]),
                    "event": last["event"],
                    "type": last["type"],
                },
            }
        )
    return answer({"hooks": shown})


async def enable_hook(parts: Parts, request: Request) -> Response:
    """Switches on again what a target had switched off."""
    hook = named(parts, request.path_params["hook"])

    def work() -> list[str]:
        return [action for action in hook.actions if switches.switch_on(parts.database, (hook.name, action))]

    enabled = await asyncio.to_thread(work)
    parts.wake()
    return answer({"hook": hook.name, "enabled": enabled})


def named(parts: Parts, name: str) -> Hook:
    """The hook of this name, or a refusal with the nearest one."""
    hooks = {hook.name: hook for hook in parts.config().hooks}
    if name in hooks:
        return hooks[name]
    near = get_close_matches(name[:100], list(hooks), 1)
    meant = f"did you mean {near[0]}?" if near else f"there are: {', '.join(hooks) or 'none'}"
    raise Refusal("not_found", f"no hook is called {name[:60]!r} ({meant})")


def _action(hook: Hook, action: str, off: dict[tuple[str, str], Off]) -> Json:
    found = off.get((hook.name, action))
    # One whose definition was changed since is on again, as soon as the dispatcher has seen that.
    if found is None or found.mark != hook.mark(action):
        return {"name": action, "off": None}
    return {"name": action, "off": {"at": stamp(found.at), "reason": found.reason}}


def _rate(counts: Json) -> float | None:
    """How much of what ended by itself did what it was for, from 0 to 1."""
    ended = counts["done"] + sum(counts[state] for state in deliveries.FAILED)
    return counts["done"] / ended if ended else None
