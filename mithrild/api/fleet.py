"""Which projects are meant, and what all of the fleet is shown with; and /v1/instances."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import views
from mithrild.api.answers import Parts, Refusal, answer, freshness
from mithrild.store import read


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


def ask_again_if_nothing_is_known(connection: Connection, parts: Parts) -> None:
    """Raises the reason why nothing was ever seen: then nobody can say that a thing is not there."""
    rows = read.projects(connection)
    if rows and all(row["baseline_at"] for row in rows):
        return
    if parts.health.key in ("missing", "refused"):
        raise Refusal("key_refused", parts.health.key_message or "there is no API key; `ml setup` takes one")
    why = f": {parts.health.last_error}" if parts.health.last_error else ""
    raise Refusal("marketplace_away", f"nothing is known yet, the first look has not been completed{why}; try again")


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
    strict = request.method != "GET" or request.query_params.get("strict") == "1"
    if not wanted:
        if config.project and (fid := find(config.project)):
            return fid
        if strict and len(rows) > 1:
            names = ", ".join(f"{row['name']} ({row['fid']})" for row in rows)
            raise Refusal("bad_request", f"in which project? name one with -p: {names}")
        return next((fid for fid in map(find, config.projects) if fid), None) or (rows[0]["fid"] if rows else None)
    found = find(wanted)
    if found is None and not rows:
        # Before the first look nobody can say that a project is not watched: nothing is known of any.
        if strict:
            ask_again_if_nothing_is_known(connection, parts)
        return None
    if found is None:
        watched = ", ".join(f"{row['name']} ({row['fid']})" for row in rows)
        raise Refusal(
            "not_found",
            f"project {wanted[:200]!r} is not watched, and -p or MITHRIL_PROJECT names it; watched are: {watched}",
        )
    return found


def projects_in_scope(connection: Connection, parts: Parts, request: Request) -> list[str]:
    """The fids of all projects that are meant."""
    project = scope(connection, parts, request)
    return [str(row["fid"]) for row in read.projects(connection)] if project is None else [project]


def background(connection: Connection) -> views.Background:
    return views.Background(
        notices=read.open_notices(connection),
        market=read.market(connection),
        types=read.instance_types(connection),
        members=read.members(connection),
        projects={row["fid"]: row["name"] for row in read.projects(connection)},
    )
