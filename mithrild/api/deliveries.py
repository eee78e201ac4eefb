"""/v1/deliveries: what hooks did, what is still to be done, and what is to be done again."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime

from sqlalchemy import Connection, RowMapping
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api.answers import Json, Parts, Refusal, answer, moment, whole_number
from mithrild.api.bodies import Body, Word, read
from mithrild.fleet.event import stamp
from mithrild.fleet.imagined import unmarked
from mithrild.store import again, deliveries

DEFAULT_LIMIT = 100
MOST = 10_000
MOST_WITH_OUTPUT = 100
STATES = ("pending", "running", "done", "failed", "dead", "expired", "skipped", "superseded", "cancelled")


class RetryBody(Body):
    deliveries: list[Word]


def list_deliveries(parts: Parts, request: Request) -> Response:
    query = request.query_params
    limit = whole_number(request, "limit", least=1, most=MOST) or DEFAULT_LIMIT
    # What a hook printed is up to 64 KiB: of ten thousand deliveries that would not be an answer any more.
    with_output = query.get("output") == "1" or bool(query.get("event") and query.get("output") != "0")
    states = deliveries.FAILED if query.get("failed") == "1" else tuple(filter(None, query.getlist("state")))
    for state in states:
        if state not in STATES:
            raise Refusal("bad_request", f"unknown state {state[:40]!r}; there are: {', '.join(STATES)}")
    with parts.database.read_kept() as connection:
        rows = deliveries.listing(
            connection,
            hook=query.get("hook") or None,
            event=query.get("event") or None,
            states=states,
            rehearsal=query.get("rehearsal") or None,
            ended_since=moment(query.get("ended_since"), "ended_since"),
            limit=min(limit, MOST_WITH_OUTPUT) if with_output else limit,
        )
    return answer({"deliveries": [view(row, output=with_output) for row in rows]})


def show_delivery(parts: Parts, request: Request) -> Response:
    with parts.database.read_kept() as connection:
        row = find(connection, request.path_params["delivery"])
        tries = deliveries.tries(connection, row["id"])
    shown = view(row, output=False) | {"tries": [_try_view(one) for one in tries]}
    return answer({"delivery": shown, "event": json.loads(row["body"])})


async def retry(parts: Parts, request: Request) -> Response:
    """What failed, died or expired runs again under its id; what waits for its next try has it now."""
    body = await read(request, RetryBody)

    def work() -> list[str]:
        with parts.database.read_kept() as connection:
            rows = [find(connection, id) for id in body.deliveries]
        for row in rows:
            _check_retry(parts, row)
        return again.retry(parts.database, [row["id"] for row in rows], parts.clock.now())

    queued = await asyncio.to_thread(work)
    parts.wake()
    return answer({"deliveries": queued})


def _check_retry(parts: Parts, row: RowMapping) -> None:
    state, name = row["state"], row["id"]
    if row["rehearsal"] is not None:
        raise Refusal("conflict", f"{name} was a rehearsal: begin another test or drill instead")
    if state == "running":
        raise Refusal("conflict", f"{name} is running at this moment")
    if state not in (*deliveries.FAILED, "pending"):
        how = f"ml hooks replay {row['event']} --hook {row['hook']}"
        raise Refusal("conflict", f"{name} has not failed, it is {state}; `{how}` runs it all the same")
    if not any(row["hook"] == hook.name and row["action"] in hook.actions for hook in parts.config().hooks):
        raise Refusal("conflict", f"{name} belongs to {row['hook']} ({row['action']}), which is not configured")


def find(connection: Connection, id: str) -> RowMapping:
    found = deliveries.find(connection, id)
    if not found:
        raise Refusal("not_found", f"there is no delivery {id[:60]!r}; `ml hooks log` lists them")
    if len(found) > 1:
        raise Refusal("ambiguous", f"several deliveries begin with {id[:60]!r}: type more of it")
    return found[0]


def view(row: RowMapping, *, output: bool) -> Json:
    data = json.loads(row["body"])["data"]
    bid, instance = data["bid"], data["instance"]
    return {
        "id": row["id"],
        "event": row["event"],
        "sequence": row["sequence"],
        "type": row["type"],
        "hook": row["hook"],
        "action": row["action"],
        "state": row["state"],
        "attempts": row["attempts"],
        "subject": row["subject"] if row["rehearsal"] is None else unmarked(row["subject"]),
        "bid_name": bid["name"] if bid else None,
        "instance_name": instance["name"] if instance else None,
        "created_at": stamp(row["created_at"]),
        "next_at": stamp(row["next_at"]),
        "started_at": stamp(row["started_at"]),
        "finished_at": stamp(row["finished_at"]),
        "remaining_seconds": _remaining(row["deadline"], row["started_at"]),
        "reason": row["reason"],
        "exit_code": row["exit_code"],
        "by_hand": row["by_hand"],
        "rehearsal": row["rehearsal"],
        # Null output of some bytes is output that is no longer kept.
        **({name: row[name] for name in ("output", "output_bytes")} if output else {}),
    }


def _try_view(row: RowMapping) -> Json:
    return {
        "number": row["number"],
        "started_at": stamp(row["started_at"]),
        "ended_at": stamp(row["ended_at"]),
        "remaining_seconds": _remaining(row["deadline"], row["started_at"]),
        "outcome": row["outcome"],
        "exit_code": row["exit_code"],
        "signal": row["signal"],
        "reason": row["reason"],
        "output": row["output"],
        "output_bytes": row["output_bytes"],
    }


def _remaining(deadline: datetime | None, started_at: datetime | None) -> float | None:
    """How long was left of the notice at that start, by its deadline as it now stands."""
    return None if deadline is None or started_at is None else (deadline - started_at).total_seconds()
