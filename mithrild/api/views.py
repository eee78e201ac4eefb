"""Fleet values as the JSON of the local API. Pure; the keys are those that the vendor's users know, and ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

from mithrild.fleet import lifecycle
from mithrild.fleet.event import stamp
from mithrild.fleet.model import Auction, Bid, Instance, InstanceType, Notice, Record
from mithrild.fleet.state import bid_state, count_running

Json = dict[str, Any]

# The vendor's order of a listing; words that nobody knows come last.
_ORDER = {status: place for place, status in enumerate(("Allocated", "Open", "Preempting", "Paused", "Terminated"))}


@dataclass(frozen=True, slots=True)
class Background:
    """What a bid is shown with."""

    notices: Mapping[str, Notice]
    market: Mapping[tuple[str | None, str], Auction]
    types: Mapping[str, InstanceType]
    members: Mapping[str, str]
    projects: Mapping[str, str]

    def type_name(self, fid: str) -> str:
        return self.types[fid].name if fid in self.types else fid


def bid_view(
    record: Record[Bid],
    instances: Iterable[Record[Instance]],
    around: Background,
    *,
    ended: bool,
    recorded: bool = True,
) -> Json:
    """A bid with its instances, the oldest first. Ended instances are shown only with `ended`. One that is not
    `recorded` is shown as the marketplace tells it at this moment."""
    bid = record.value
    mine = sorted(instances, key=lambda one: (one.value.created_at, one.value.name, one.value.fid))
    statuses = [one.value.status for one in mine if not one.gone]
    auction = around.market.get((bid.region, bid.instance_type))
    return {
        "fid": bid.fid,
        "name": bid.name,
        "project": bid.project,
        "project_name": around.projects.get(bid.project),
        "status": bid.status,
        "state": "terminated" if record.gone else bid_state(bid, statuses),
        "gone": record.gone,
        "recorded": recorded,
        "since": stamp(record.since),
        "instance_type": bid.instance_type,
        "instance_type_name": around.type_name(bid.instance_type),
        "region": bid.region,
        "limit_price": bid.limit_price,
        "limit_price_cents": bid.limit_price_cents,
        "spot_price": auction.spot_price if auction else None,
        "spot_price_cents": auction.spot_price_cents if auction else None,
        "instance_quantity": bid.instance_quantity,
        "instances": list(bid.instances),
        "instances_running": count_running(statuses),
        "instances_wanted": bid.instance_quantity,
        "created_at": stamp(bid.created_at),
        "created_by": bid.created_by,
        "created_by_name": around.members.get(bid.created_by),
        "deactivated_at": stamp(bid.deactivated_at),
        "kubernetes_cluster": bid.kubernetes_cluster,
        **_deadline(bid.fid, around),
        "instance_details": [instance_view(one, around) for one in mine if ended or is_shown(one)],
    }


def instance_view(record: Record[Instance], around: Background) -> Json:
    instance = record.value
    return {
        "fid": instance.fid,
        "name": instance.name,
        "bid": instance.bid,
        "project": instance.project,
        "status": instance.status,
        "state": "gone" if record.gone else lifecycle.word(instance.status),
        "gone": record.gone,
        "since": stamp(record.since),
        "region": instance.region,
        "instance_type": instance.instance_type,
        "instance_type_name": around.type_name(instance.instance_type),
        "created_at": stamp(instance.created_at),
        "created_by": instance.created_by,
        "private_ip": instance.private_ip,
        "ssh_destination": instance.ssh_destination,
        **_deadline(instance.fid, around),
    }


def is_shown(record: Record[Instance] | Record[Bid]) -> bool:
    """Whether a listing shows it without being asked for all."""
    return not record.gone and record.value.status not in lifecycle.HIDDEN


def sort_bids(views: list[Json]) -> list[Json]:
    """By status in the vendor's order, the newest first in each."""
    newest_first = sorted(views, key=lambda view: (view["created_at"], view["fid"]), reverse=True)
    return sorted(newest_first, key=lambda view: _ORDER.get(view["status"], len(_ORDER)))


def step_view(row: RowMapping, names: Mapping[str, str]) -> Json:
    """A transition of a timeline. Where the marketplace told no time, it happened after `not_before`."""
    exact = row["occurred_at"] is not None
    return {
        "sequence": row["sequence"],
        "event": row["event"],
        "at": stamp(row["position"]),
        "exact": exact,
        "not_before": None if exact else stamp(row["window_start"]),
        "subject": row["subject"],
        "subject_kind": row["kind"],
        "name": names.get(row["subject"]),
        "aspect": row["aspect"],
        "type": row["type"],
        "from": row["before"],
        "to": row["after"],
        "provenance": row["provenance"],
        "inferred": row["inferred"],
        "baseline": row["baseline"],
    }


def _deadline(subject: str, around: Background) -> Json:
    notice = around.notices.get(subject)
    return {
        "deadline": stamp(notice.deadline) if notice else None,
        "deadline_estimated": notice.estimated if notice else False,
    }
