"""/v1/bids: from the record; and what the record does not hold, as the marketplace tells it at this moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import fleet, views
from mithrild.api.answers import Json, Parts, Refusal, answer, freshness, of_marketplace, whole_number
from mithrild.errors import MarketplaceError
from mithrild.fleet import state
from mithrild.fleet.completeness import is_live
from mithrild.fleet.event import stamp
from mithrild.fleet.model import Bid, Instance, Listing, Record
from mithrild.store import read
from mithrild.store.gap import gaps_of
from mithrild.store.reach import reach
from mithrild.wire import BID_STATES

LAST_STEPS = 10
STATE_FILTERS = (*BID_STATES, "open", *state.ALIASES)
ENDED_FILTERS = ("terminated", *state.ALIASES)


@dataclass(frozen=True, slots=True)
class Found:
    """A bid, and whether it is on record: else the marketplace has just told of it."""

    record: Record[Bid]
    recorded: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a listing is asked for."""

    state: str | None
    limit: int | None
    ended: bool
    earlier: bool  # also ended bids that the record does not hold
    details: bool

    @classmethod
    def of(cls, request: Request) -> Self:
        given = request.query_params
        wanted = given.get("state") or None
        if wanted and wanted not in STATE_FILTERS:
            raise Refusal("bad_request", f"unknown state {wanted[:40]!r}; there are: {', '.join(STATE_FILTERS)}")
        ended = given.get("all") == "1" or wanted in ENDED_FILTERS
        return cls(
            wanted,
            whole_number(request, "limit", least=1, most=1_000_000),
            ended,
            given.get("earlier") == "1" and ended and wanted in (None, *ENDED_FILTERS),
            given.get("details") != "0",
        )


async def list_bids(parts: Parts, request: Request) -> Response:
    """With `earlier=1` the marketplace is asked for ended bids that the record does not hold, and `earlier` says
    whether that could be done. Without it nothing waits for the marketplace."""
    asked = _Asked.of(request)
    earlier = None
    if asked.earlier:
        projects = await asyncio.to_thread(_projects, parts, request)
        earlier = await parts.archive.ended(projects, asked.limit)
    return await asyncio.to_thread(_listed, parts, request, asked, earlier)


async def show_bid(parts: Parts, request: Request) -> Response:
    found = await find(parts, request)
    ended = request.query_params.get("all") == "1"
    if not found.recorded:
        return await _told(parts, found, ended=ended, steps="transitions")

    def show() -> Response:
        with parts.database.read() as connection:
            view, steps = _page(connection, found, ended=ended, last=LAST_STEPS)
            return answer({"freshness": freshness(connection, parts), "bid": view, "transitions": steps})

    return await asyncio.to_thread(show)


async def show_history(parts: Parts, request: Request) -> Response:
    found = await find(parts, request)
    if not found.recorded:
        return await _told(parts, found, ended=True, steps="steps")

    def show() -> Response:
        with parts.database.read() as connection:
            view, steps = _page(connection, found, ended=True, last=None)
            shown: Json = {"freshness": freshness(connection, parts), "bid": view, "steps": steps}
            dropped = reach(connection).before
            if dropped is not None and datetime.fromisoformat(view["created_at"]) <= dropped:
                shown["kept_since"] = stamp(dropped)  # what it went through before that is no longer on record
            return answer(shown)

    return await asyncio.to_thread(show)


async def find(parts: Parts, request: Request) -> Found:
    """The bid of a name or fid. A live bid stands before ended ones of its name; the newest of those is next.

    The marketplace is asked only for what the record does not hold. Where that cannot be done, nobody can say that
    there is no such bid, and nobody does.
    """
    wanted = request.path_params["bid"]
    held, projects = await asyncio.to_thread(held_bid, parts, request, wanted)
    if held is not None:
        return Found(held, recorded=True)
    try:
        told = await parts.archive.find(projects, wanted)
    except MarketplaceError as error:
        unknown = f"no bid on record is called {wanted[:200]!r}, and the marketplace cannot be asked for older ones"
        raise Refusal(of_marketplace(error).code, f"{unknown}: {error}") from None
    chosen = _choose([_as_told(bid) for bid in told], wanted)
    if chosen is None:
        raise Refusal("not_found", f"no bid is called {wanted[:200]!r}; `ml instance list --all` shows them all")
    if is_live(chosen.value.status, chosen.gone):
        parts.desk.somebody_waits()  # it will be on record in a moment
    return Found(chosen, recorded=False)


def view_of(connection: Connection, record: Record[Bid], *, ended: bool) -> tuple[Json, dict[str, str]]:
    """A bid as it is shown, and the names of all that is on its timeline."""
    instances = read.instances_of(connection, [record.value.fid])
    view = views.bid_view(record, instances.values(), fleet.background(connection), ended=ended)
    names = {fid: one.value.name for fid, one in instances.items()} | {record.value.fid: record.value.name}
    return view, names


def by_fid(connection: Connection, fid: str) -> Record[Bid] | None:
    return next((one for one in read.bids_named(connection, fid) if one.value.fid == fid), None)


def _listed(parts: Parts, request: Request, asked: _Asked, earlier: Listing[Bid] | None) -> Response:
    with parts.database.read() as connection:
        project = fleet.scope(connection, parts, request)
        held = read.fleet(connection, project, ended=asked.ended)
        around = fleet.background(connection)
        fresh = freshness(connection, parts)
    groups = _by_bid(held.instances.values())
    bids = [(record, True) for record in held.bids.values() if asked.ended or views.is_shown(record)]
    if earlier is not None:
        bids += [(_as_told(one.value), False) for one in earlier.items if one.value.fid not in held.bids]
    shown = []
    for record, recorded in bids:
        view = views.bid_view(record, groups.get(record.value.fid, ()), around, ended=asked.ended, recorded=recorded)
        if not asked.details:
            del view["instance_details"]
        if not asked.state or state.matches_filter(asked.state, record.value, view["state"]):
            shown.append(view)
    body: Json = {"freshness": fresh, "bids": views.sort_bids(shown)[: asked.limit]}
    if earlier is not None:
        complete = earlier.broken is None
        body["earlier"] = {"as_of": stamp(parts.clock.now()), "complete": complete, "reason": earlier.broken}
    return answer(body)


def _projects(parts: Parts, request: Request) -> list[str]:
    with parts.database.read() as connection:
        return fleet.projects_in_scope(connection, parts, request)


def held_bid(parts: Parts, request: Request, wanted: str) -> tuple[Record[Bid] | None, list[str]]:
    """The bid that the record has, and where else to look for one."""
    with parts.database.read() as connection:
        projects = fleet.projects_in_scope(connection, parts, request)
        chosen = _choose([one for one in read.bids_named(connection, wanted) if one.value.project in projects], wanted)
        if not projects:  # there is nobody to ask either
            fleet.ask_again_if_nothing_is_known(connection, parts)
        return chosen, projects


def _choose(found: Sequence[Record[Bid]], wanted: str) -> Record[Bid] | None:
    exact = [one for one in found if one.value.fid == wanted]
    live = [one for one in found if is_live(one.value.status, one.gone)]
    choices = exact or live or sorted(found, key=lambda one: one.value.created_at)[-1:]
    if len(choices) > 1:
        listed = [{"fid": one.value.fid, "project": one.value.project} for one in choices]
        places = ", ".join(f"{one['fid']} in {one['project']}" for one in listed)
        message = f"{len(choices)} bids are called {wanted[:200]!r} ({places}): name one by its fid, or a project by -p"
        raise Refusal("ambiguous", message, choices=listed)
    return choices[0] if choices else None


def _page(connection: Connection, found: Found, *, ended: bool, last: int | None) -> tuple[Json, list[Json]]:
    """A bid with its last steps, all of one moment: what was found a moment ago may have changed since."""
    record = by_fid(connection, found.record.value.fid) or found.record
    view, names = view_of(connection, record, ended=ended)
    rows: Iterable[Any] = read.steps(connection, record.value.fid, last=last)
    if last is None:  # the whole timeline: what nobody knows of it belongs to it
        rows = [*rows, *gaps_of(connection, record.value.project, record.value.fid)]
        rows = sorted(rows, key=lambda row: (row["position"], row["sequence"]))
    return view, [views.step_view(row, names) for row in rows]


async def _told(parts: Parts, found: Found, *, ended: bool, steps: str) -> Response:
    """A bid of which the record holds nothing, and so no steps: it is as old as the answer of the marketplace."""
    bid = found.record.value
    instances = [Record(one, one.created_at) for one in await parts.archive.instances(bid)]

    def show() -> Response:
        with parts.database.read() as connection:
            around = fleet.background(connection)
            view = views.bid_view(found.record, instances, around, ended=ended, recorded=False)
            for one in view["instance_details"]:
                one["since"] = None  # nobody has watched it
            now = {"as_of": stamp(parts.clock.now()), "age_seconds": 0.0, "stale": False, "reason": None}
            fresh = freshness(connection, parts) | now | {"warning": None}
        return answer({"freshness": fresh, "bid": view, steps: []})

    return await asyncio.to_thread(show)


def _as_told(bid: Bid) -> Record[Bid]:
    return Record(bid, bid.deactivated_at or bid.created_at)


def _by_bid(instances: Iterable[Record[Instance]]) -> dict[str, list[Record[Instance]]]:
    groups: dict[str, list[Record[Instance]]] = {}
    for record in instances:
        if record.value.bid is not None:
            groups.setdefault(record.value.bid, []).append(record)
    return groups
