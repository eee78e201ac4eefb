"""/v1/bids and /v1/instances."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import views
from mithrild.api.answers import Json, Parts, Refusal, answer, freshness, whole_number
from mithrild.fleet import state
from mithrild.fleet.completeness import is_live
from mithrild.fleet.model import Bid, Instance, Record
from mithrild.store import read
from mithrild.wire import BID_STATES

LAST_STEPS = 10
STATE_FILTERS = (*BID_STATES, "open", *state.ALIASES)


def list_bids(parts: Parts, request: Request) -> Response:
    wanted = request.query_params.get("state")
    if wanted and wanted not in STATE_FILTERS:
        raise Refusal("bad_request", f"unknown state {wanted[:40]!r}; there are: {', '.join(STATE_FILTERS)}")
    limit = whole_number(request, "limit", least=1, most=1_000_000)
    ended = request.query_params.get("all") == "1" or wanted in ("terminated", *state.ALIASES)
    details = request.query_params.get("details") != "0"
    with parts.database.read() as connection:
        project = scope(connection, parts, request)
        fleet = read.fleet(connection, project, ended=ended)
        around = background(connection)
        fresh = freshness(connection, parts)
    groups = _by_bid(fleet.instances.values())
    shown = []
    for fid, record in fleet.bids.items():
        if not ended and not views.is_shown(record):
            continue
        view = views.bid_view(record, groups.get(fid, ()), around, ended=ended)
        if not details:
            del view["instance_details"]
        if not wanted or state.matches_filter(wanted, record.value, view["state"]):
            shown.append(view)
    return answer({"freshness": fresh, "bids": views.sort_bids(shown)[:limit]})


def show_bid(parts: Parts, request: Request) -> Response:
    with parts.database.read() as connection:
        record = find_bid(connection, parts, request)
        view, names = one_bid(connection, record, ended=request.query_params.get("all") == "1")
        steps = [views.step_view(row, names) for row in read.steps(connection, record.value.fid, last=LAST_STEPS)]
        return answer({"freshness": freshness(connection, parts), "bid": view, "transitions": steps})


def show_history(parts: Parts, request: Request) -> Response:
    with parts.database.read() as connection:
        record = find_bid(connection, parts, request)
        view, names = one_bid(connection, record, ended=True)
        steps = [views.step_view(row, names) for row in read.steps(connection, record.value.fid)]
        return answer({"freshness": freshness(connection, parts), "bid": view, "steps": steps})


def list_instances(parts: Parts, request: Request) -> Response:
    ended = request.query_params.get("all") == "1"
    with parts.database.read() as connection:
        project = scope(connection, parts, request)
        fleet = read.fleet(connection, project, ended=ended)
        around = background(connection)
        fresh = freshness(connection, parts)
    names = {fid: record.value.name for fid, record in fleet.bids.items()}
    shown = [
        views.instance_view(record, around) | {"bid_name": names.get(record.value.bid or "")}
        for record in fleet.instances.values()
        if ended or views.is_shown(record)
    ]
    shown.sort(key=lambda view: (view["bid_name"] or "", view["created_at"], view["name"], view["fid"]))
    return answer({"freshness": fresh, "instances": shown})


def find_bid(connection: Connection, parts: Parts, request: Request) -> Record[Bid]:
    """The bid of a name or fid. A live bid stands before ended ones of its name; the newest of those is next."""
    wanted = request.path_params["bid"]
    project = scope(connection, parts, request)
    found = [one for one in read.bids_named(connection, wanted) if project in (None, one.value.project)]
    exact = [one for one in found if one.value.fid == wanted]
    live = [one for one in found if is_live(one.value.status, one.gone)]
    choices = exact or live or sorted(found, key=lambda one: one.value.created_at)[-1:]
    if not choices:
        ask_again_if_nothing_is_known(connection, parts)
        raise Refusal(
            "not_found", f"no bid on record is called {wanted[:200]!r}; `ml instance list --all` shows them all"
        )
    if len(choices) > 1:
        listed = [{"fid": one.value.fid, "project": one.value.project} for one in choices]
        places = ", ".join(f"{one['fid']} in {one['project']}" for one in listed)
        message = f"{len(choices)} bids are called {wanted[:200]!r} ({places}): name one by its fid, or a project by -p"
        raise Refusal("ambiguous", message, choices=listed)
    return choices[0]


def ask_again_if_nothing_is_known(connection: Connection, parts: Parts) -> None:
    """Raises the reason why nothing was ever seen: then nobody can say that a thing is not there."""
    rows = read.projects(connection)
    if rows and all(row["baseline_at"] for row in rows):
        return
    if parts.health.key in ("missing", "refused"):
        raise Refusal("key_refused", parts.health.key_message or "there is no API key; `ml setup` takes one")
    why = f": {parts.health.last_error}" if parts.health.last_error else ""
    raise Refusal("marketplace_away", f"nothing is known yet, the first look has not been completed{why}; try again")


def read_bid(connection: Connection, fid: str) -> list[Record[Bid]]:
    return [one for one in read.bids_named(connection, fid) if one.value.fid == fid]


def scope(connection: Connection, parts: Parts, request: Request) -> str | None:
    """The fid of the project that is meant, None for all: an answer stays inside one unless it is asked across.

    Without a word it is the configured one, else the first that is watched. What changes something (every request
    but GET, and a GET with `strict=1` that prepares one) takes no first of several: that has to be named.
    """
    wanted = request.query_params.get("project")
    if wanted is not None and not wanted.strip():
        raise Refusal("bad_request", "a project cannot be empty: leave -p out, or name one")
    if request.query_params.get("all_projects") == "1":
        return None
    rows = read.projects(connection)

    def find(name: str) -> str | None:
        return next((str(row["fid"]) for row in rows if name in (row["fid"], row["name"])), None)

    config = parts.config()
    if not wanted:
        if config.project and (fid := find(config.project)):
            return fid
        strict = request.method != "GET" or request.query_params.get("strict") == "1"
        if strict and len(rows) > 1:
            names = ", ".join(f"{row['name']} ({row['fid']})" for row in rows)
            raise Refusal("bad_request", f"in which project? name one with -p: {names}")
        return next((fid for fid in map(find, config.projects) if fid), None) or (rows[0]["fid"] if rows else None)
    found = find(wanted)
    if found is None:
        watched = ", ".join(f"{row['name']} ({row['fid']})" for row in rows) or "none yet"
        raise Refusal("not_found", f"project {wanted[:200]!r} is not watched; watched are: {watched}")
    return found


def background(connection: Connection) -> views.Background:
    return views.Background(
        notices=read.open_notices(connection),
        market=read.market(connection),
        types=read.instance_types(connection),
        members=read.members(connection),
        projects={row["fid"]: row["name"] for row in read.projects(connection)},
    )


def one_bid(connection: Connection, record: Record[Bid], *, ended: bool) -> tuple[Json, dict[str, str]]:
    instances = read.instances_of(connection, [record.value.fid])
    view = views.bid_view(record, instances.values(), background(connection), ended=ended)
    names = {fid: one.value.name for fid, one in instances.items()} | {record.value.fid: record.value.name}
    return view, names


def _by_bid(instances: Iterable[Record[Instance]]) -> dict[str, list[Record[Instance]]]:
    groups: dict[str, list[Record[Instance]]] = {}
    for record in instances:
        if record.value.bid is not None:
            groups.setdefault(record.value.bid, []).append(record)
    return groups
