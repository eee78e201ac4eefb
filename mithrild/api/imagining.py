"""What is imagined for a test, a drill or a question: an event of a type, of a bid on record or of an example."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from sqlalchemy import Connection
from starlette.requests import Request

from mithrild.api import bids, fleet
from mithrild.api.answers import Parts, Refusal
from mithrild.fleet import event as events
from mithrild.fleet import imagined
from mithrild.fleet.imagined import Cast, Scene
from mithrild.fleet.routing import takes
from mithrild.store import read
from mithrild.wire import EVENT_FAMILIES, EVENT_TYPES

USUAL = "instance.preempting"


def type_for(on: Sequence[str]) -> str:
    """The event that is imagined for a hook unless one is named: a preemption, where the hook takes that."""
    return next((one for one in (USUAL, *EVENT_TYPES) if takes(on, one)), USUAL)


def check_type(type: str) -> str:
    """A type that there is; the marketplace may invent statuses of instances, but hardly one that is a known one
    misspelt."""
    family, _, word = type.partition(".")
    near = get_close_matches(type[:100], EVENT_TYPES, 1, cutoff=0.8)
    invented = family == "instance" and word.replace("_", "").isalnum() and word.islower() and not near
    if type in EVENT_TYPES or invented:
        return type
    meant = f"did you mean {near[0]}?" if near else f"types begin with {', '.join(EVENT_FAMILIES)}"
    raise Refusal("bad_request", f"there is no event {type[:60]!r} ({meant})")


def cast(connection: Connection, parts: Parts, request: Request, bid: str | None) -> Cast:
    """The bid of a name or fid with its live instances; without a name, a bid that there is not."""
    if bid is None:
        project = fleet.scope(connection, parts, request) or "proj_example"
        return imagined.example(project, parts.clock.now())
    record, _ = bids.held_bid(parts, request, bid)
    if record is None:
        raise Refusal("not_found", f"no bid on record is called {bid[:200]!r}; `ml instance list` shows them")
    if record.gone or record.value.status == "Terminated":
        raise Refusal("conflict", f"the bid {record.value.name!r} has ended already")
    known = read.fleet(connection, record.value.project)
    instances = tuple(events.group_by_bid(known).get(record.value.fid, ()))
    clusters = [one.value for one in known.clusters.values() if one.value.fid == record.value.kubernetes_cluster]
    return Cast(record.value.project, record.value, instances, next(iter(clusters), None))


def scene(connection: Connection, parts: Parts, request: Request, type: str, bid: str | None) -> Scene:
    players = cast(connection, parts, request, bid)
    if type.startswith("instance.") and not players.instances:
        raise Refusal("conflict", f"the bid {players.bid.name!r} has no instances, so there is no {type} of it")
    if type.startswith("cluster.") and players.cluster is None:
        raise Refusal("conflict", f"the bid {players.bid.name!r} belongs to no cluster, so there is no {type} of it")
    return imagined.imagine(check_type(type), players, parts.clock.now())
