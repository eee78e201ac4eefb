"""The event: one CloudEvents 1.0 object, rendered once and then kept as those bytes for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mithrild.fleet import lifecycle
from mithrild.fleet.matching import Facts
from mithrild.fleet.model import Auction, Bid, Fleet, Instance, Notice, Transition

# What news of a hook takes over from the event whose delivery it is about: the same hooks are to match it.
_CARRIED = (
    "bid",
    "instance",
    "instances",
    "cluster",
    "project_name",
    "region",
    "instance_type",
    "instance_type_fid",
    "spot_price_cents",
)


@dataclass(frozen=True, slots=True)
class HookNews:
    """The delivery that news of a hook is about, and `event`, what it was to deliver."""

    hook: str
    action: str
    delivery: str
    reason: str
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GapNews:
    """What a gap left open: of which bids (None: of the whole project), of how many, and why of the first of them."""

    bids: tuple[str, ...] | None
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an event tells beside its own step: the fleet and the market as the same commit leaves them."""

    fleet: Fleet
    of_bid: Mapping[str, Sequence[Instance]] = field(default_factory=dict)  # live instances, the oldest first
    notices: Mapping[str, Notice] = field(default_factory=dict)  # open ones, by subject
    market: Mapping[tuple[str | None, str], Auction] = field(default_factory=dict)
    type_names: Mapping[str, str] = field(default_factory=dict)
    project_names: Mapping[str, str] = field(default_factory=dict)
    news: HookNews | None = None
    gap: GapNews | None = None


def stamp(moment: datetime | None) -> str | None:
    """A moment in the event's own form: RFC 3339 in UTC, with a fraction only where there is one."""
    if moment is None:
        return None
    # Not strftime, which writes the year 1 (some servers' zero) without its leading zeros.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def status_word(aspect: str, value: str | None) -> str | None:
    """`from` and `to` are lower-case words for a status, and the marketplace's own words for all else."""
    return lifecycle.word(value) if aspect == "status" and value is not None else value


def event_id(store: str, sequence: int) -> str:
    """Stable for ever: sequences are never used again, and stores have different names."""
    return f"evt_{store}_{sequence}"


def sequence_of(store: str, id: str) -> int | None:
    """The sequence in an event id, None where the id comes from another store."""
    head, _, tail = id.rpartition("_")
    # No sequence has more than eighteen digits; SQLite and int() both raise for some that are longer.
    if head != f"evt_{store}" or not (tail.isascii() and tail.isdigit()) or len(tail) > 18:
        return None
    return int(tail)


def render(step: Transition, sequence: int, store: str, host: str, around: Surroundings) -> dict[str, Any]:
    """The event of a step."""
    bid, instance = _parties(step, around.fleet)
    cluster = around.fleet.clusters.get(step.subject) if step.kind == "cluster" else None
    about = instance or bid
    region, type_fid = (about.region, about.instance_type) if about else (None, None)
    if cluster is not None:
        region = cluster.value.region
    auction = around.market.get((region, type_fid)) if type_fid else None
    notice = around.notices.get(step.subject)
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id(store, sequence),
        "source": f"mithrild://{host}/{step.project}",
        "type": step.type,
        "subject": step.subject,
        "time": stamp(step.occurred_at or step.observed_at),
        "datacontenttype": "application/json",
        "sequence": str(sequence),
        "data": {
            "from": status_word(step.aspect, step.before),
            "to": status_word(step.aspect, step.after),
            "provenance": step.provenance,
            "inferred": step.inferred,
            "observed_at": stamp(step.observed_at),
            "occurred_at": stamp(step.occurred_at),
            "deadline": stamp(notice.deadline) if notice else None,
            "deadline_estimated": notice.estimated if notice else False,
            "bid": _bid_part(bid),
            "instance": _instance_part(instance),
            "instances": [one.fid for one in around.of_bid.get(bid.fid, ())] if bid else [],
            "cluster": {"fid": cluster.value.fid, "name": cluster.value.name} if cluster else None,
            "hook": None,
            "project": step.project,
            "project_name": around.project_names.get(step.project),
            "region": region,
            "instance_type": around.type_names.get(type_fid) if type_fid else None,
            "instance_type_fid": type_fid,
            "spot_price_cents": auction.spot_price_cents if auction else None,
        },
    }
    if around.news is not None:
        event["data"] |= _about_a_hook(around.news)
    if around.gap is not None:
        bids = around.gap.bids
        open_of = {"bids": None if bids is None else list(bids), "reason": around.gap.reason, "count": around.gap.count}
        event["data"]["gap"] = open_of
    return event


def _about_a_hook(news: HookNews) -> dict[str, Any]:
    told = news.event["data"]
    return {key: told[key] for key in _CARRIED} | {
        "hook": {
            "name": news.hook,
            "action": news.action,
            "delivery": news.delivery,
            "event": news.event["id"],
            "event_type": news.event["type"],
            "reason": news.reason,
        }
    }


def is_about_a_notice(step: Transition) -> bool:
    """Whether this step opens a notice or moves its deadline. Only such events run out with it."""
    return step.aspect == "deadline" or (step.aspect == "status" and step.after in lifecycle.NOTICED)


def encode(event: Mapping[str, Any]) -> str:
    """The text that is stored and sent. ASCII only, so that no reader trips over an encoding."""
    return json.dumps(event, separators=(",", ":"))


def facts(event: Mapping[str, Any], step: Transition, now: datetime, ahead: timedelta = timedelta(0)) -> Facts:
    """What routing asks of an event. Its age counts from when it happened or from the last look without it, whichever
    is later.

    `ahead`: the marketplace's clock minus ours. When something happened is told by that clock; but all that its answers
    say of it may be wrong, and what was otherwise a moment ago is news. That a thing was not there is no sign: it may
    have been set aside.
    """
    data = event["data"]
    bid = data["bid"] or {}
    known = [step.occurred_at - ahead] if step.occurred_at else []
    known += [step.window_start] if step.window_start and (not known or step.before is not None) else []
    deadline = data["deadline"] if is_about_a_notice(step) else None
    return Facts(
        type=event["type"],
        bid=bid.get("fid"),
        bid_name=bid.get("name"),
        region=data["region"],
        instance_type=data["instance_type"],
        instance_type_fid=data["instance_type_fid"],
        project=step.project or None,  # the watch's own conditions are of no project
        project_name=data["project_name"],
        provenance=step.provenance,
        nodes=bid.get("instance_quantity"),
        limit_cents=bid.get("limit_price_cents"),
        age=max(now - max(known, default=step.observed_at), timedelta(0)),
        left=None if deadline is None else datetime.fromisoformat(deadline) - now,
    )


def _parties(step: Transition, fleet: Fleet) -> tuple[Bid | None, Instance | None]:
    bid = fleet.bids.get(step.bid) if step.bid else None
    instance = fleet.instances.get(step.subject) if step.kind == "instance" else None
    return (bid.value if bid else None), (instance.value if instance else None)


def group_by_bid(fleet: Fleet) -> dict[str, list[Instance]]:
    """The live instances of each bid, the oldest first: the order in which nodes are numbered."""
    groups: dict[str, list[Instance]] = {}
    for record in fleet.instances.values():
        instance = record.value
        if instance.bid is not None and not record.gone and instance.status not in lifecycle.FINAL:
            groups.setdefault(instance.bid, []).append(instance)
    for group in groups.values():
        group.sort(key=lambda one: (one.created_at, one.name, one.fid))
    return groups


def _bid_part(bid: Bid | None) -> dict[str, Any] | None:
    if bid is None:
        return None
    return {
        "fid": bid.fid,
        "name": bid.name,
        "limit_price_cents": bid.limit_price_cents,
        "instance_quantity": bid.instance_quantity,
        "status": lifecycle.word(bid.status),
    }


def _instance_part(instance: Instance | None) -> dict[str, Any] | None:
    if instance is None:
        return None
    return {"fid": instance.fid, "name": instance.name, "ssh_destination": instance.ssh_destination}
