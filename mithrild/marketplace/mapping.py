"""From the wire to the fleet: one function a noun, each giving the value and notes on what it lacks.

They raise Unreadable for an item that cannot be a value at all. `project` is what stands in for an item's
own project where the listing asked for one and the item does not say.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from pydantic import SecretStr

from mithrild.fleet.model import (
    Account,
    Auction,
    Bid,
    BidEvent,
    Cluster,
    Instance,
    InstanceStatus,
    InstanceType,
    Member,
    Project,
    Quota,
    SshKey,
    Volume,
)
from mithrild.fleet.order import Order
from mithrild.fleet.price import cents, dollars, verbatim
from mithrild.fleet.timeline import InstanceStory, Told
from mithrild.marketplace import schema
from mithrild.marketplace.schema import Unreadable, read


class JoinCommand(NamedTuple):
    """No fleet value: a secret must not become one, and so never a row or a line of a log."""

    fid: str
    command: SecretStr | None


Noun = TypeVar("Noun")
Mapped = tuple[Noun, list[str]]


def moment(words: object) -> datetime:
    """RFC 3339 with any offset, as a time in UTC. One without an offset is taken as UTC already."""
    if not isinstance(words, str):
        raise Unreadable(f"{_shown(words)} is not a time")
    try:
        time = datetime.fromisoformat(words.strip().upper())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # an offset can carry year 1 or 9999 out of the calendar
        raise Unreadable(f"{_shown(words)} is not a time") from None


def bid(raw: object, project: str | None = None) -> Mapped[Bid]:
    wire, notes = read(schema.BidWire, raw)
    launch, launch_notes = schema.LaunchWire(), ["launch_specification: it is not an object"]
    if isinstance(wire.launch_specification, dict):
        launch, launch_notes = read(schema.LaunchWire, wire.launch_specification)
    notes += launch_notes
    value = Bid(
        fid=wire.fid,
        project=_project(wire.project, project),
        name=wire.name,
        status=wire.status,
        instance_quantity=wire.instance_quantity,
        instance_type=wire.instance_type,
        region=wire.region,
        limit_price=verbatim(wire.limit_price),
        limit_price_cents=_price("limit_price", wire.limit_price, notes),
        created_at=_created(wire.created_at),
        created_by=wire.created_by,
        deactivated_at=_moment_or_none("deactivated_at", wire.deactivated_at, notes),
        instances=wire.instances,
        volumes=launch.volumes,
        ssh_keys=launch.ssh_keys,
        memory_gb=launch.memory_gb,
        kubernetes_cluster=launch.kubernetes_cluster,
    )
    return value, notes


def instance(raw: object, project: str | None = None) -> Mapped[Instance]:
    wire, notes = read(schema.InstanceWire, raw)
    value = Instance(
        fid=wire.fid,
        project=_project(wire.project, project),
        name=wire.name,
        status=wire.status,
        bid=wire.bid,
        instance_type=wire.instance_type,
        region=wire.region,
        created_at=_created(wire.created_at),
        created_by=wire.created_by,
        reservation=wire.reservation,
        ssh_destination=wire.ssh_destination,
        private_ip=wire.private_ip,
    )
    return value, notes


def instance_status(raw: object) -> Mapped[InstanceStatus]:
    """A deadline that cannot be read is None, with a note: it is estimated then, as if none were known."""
    wire, notes = read(schema.InstanceStatusWire, raw)
    end_time = _moment_or_none("end_time", wire.end_time, notes)
    return InstanceStatus(fid=wire.fid, status=wire.status, end_time=end_time), notes


def bid_event(raw: object) -> Mapped[BidEvent]:
    wire, notes = read(schema.BidEventWire, raw)
    price = None if wire.limit_price is None else verbatim(wire.limit_price)
    return BidEvent(wire.event_type, moment(wire.timestamp), price, wire.memory_gb), notes


def status_history(raw: object) -> Mapped[InstanceStory]:
    wire, notes = read(schema.StatusHistoryWire, raw)
    steps: list[Told] = []
    for event in wire.events:
        try:
            one, _ = read(schema.StatusEventWire, event)
            steps.append(Told(one.status, moment(one.timestamp)))
        except Unreadable as error:
            notes.append(str(error))
    return InstanceStory(wire.instance_fid, wire.bid_fid, tuple(steps)), notes


def cluster(raw: object, project: str | None = None) -> Mapped[Cluster]:
    wire, notes = read(schema.ClusterWire, raw)
    value = Cluster(
        fid=wire.fid,
        project=_project(wire.project, project),
        name=wire.name,
        status=wire.status,
        region=wire.region,
        created_at=_created(wire.created_at),
        k8s_version=wire.k8s_version,
        kube_host=wire.kube_host,
        deleted_at=_moment_or_none("deleted_at", wire.deleted_at, notes),
        instances=wire.instances,
        ssh_keys=wire.ssh_keys,
    )
    return value, notes


def auction(raw: object) -> Mapped[Auction]:
    """The win price is null where nothing is allocated; the spot price is promised always."""
    wire, notes = read(schema.AuctionWire, raw)
    spot, win = wire.last_instance_price, wire.lowest_allocated_price
    value = Auction(
        region=wire.region,
        instance_type=wire.instance_type,
        capacity=wire.capacity,
        spot_price=None if spot is None else verbatim(spot),
        spot_price_cents=_price("last_instance_price", spot, notes),
        win_price=None if win is None else verbatim(win),
        win_price_cents=None if win is None else _price("lowest_allocated_price", win, notes),
    )
    return value, notes


def instance_type(raw: object) -> Mapped[InstanceType]:
    wire, notes = read(schema.InstanceTypeWire, raw)
    return InstanceType(**wire.model_dump()), notes


def member(raw: object) -> Mapped[Member]:
    wire, notes = read(schema.MemberWire, raw)
    return Member(fid=wire.fid, name=wire.user_name or wire.email or wire.fid), notes


def project(raw: object) -> Mapped[Project]:
    wire, notes = read(schema.ProjectWire, raw)
    return Project(fid=wire.fid, name=wire.name or wire.fid), notes


def ssh_key(raw: object, project: str) -> Mapped[SshKey]:
    wire, notes = read(schema.SshKeyWire, raw)
    key = SshKey(wire.fid, wire.name or wire.fid, wire.project or project, wire.public_key, wire.required)
    return key, notes


def volume(raw: object, project: str) -> Mapped[Volume]:
    wire, notes = read(schema.VolumeWire, raw)
    return Volume(wire.fid, wire.name or wire.fid, wire.project or project, wire.region), notes


def quota(raw: object) -> Mapped[Quota]:
    wire, notes = read(schema.QuotaWire, raw)
    return Quota(wire.instance_type, wire.product_type, wire.total_quantity, wire.used_quantity), notes


def join_command(raw: object) -> Mapped[JoinCommand]:
    wire, notes = read(schema.JoinWire, raw)
    return JoinCommand(wire.fid, SecretStr(wire.join_command) if wire.join_command else None), notes


def order_body(order: Order) -> dict[str, object]:
    """What POST /spot/bids takes."""
    launch: dict[str, object] = {"volumes": list(order.volumes), "ssh_keys": list(order.ssh_keys)}
    if order.kubernetes_cluster is not None:
        launch["kubernetes_cluster"] = order.kubernetes_cluster
    if order.startup_script is not None:
        launch["startup_script"] = order.startup_script
    return {
        "project": order.project,
        "region": order.region,
        "instance_type": order.instance_type,
        "limit_price": dollars(order.limit_cents),
        "instance_quantity": order.quantity,
        "name": order.name,
        "launch_specification": launch,
    }


def account(raw: object) -> Mapped[Account]:
    wire, notes = read(schema.AccountWire, raw)
    return Account(organization=wire.organization_id, user=wire.fid, email=wire.email), notes


def _project(own: str | None, asked: str | None) -> str:
    named = own or asked
    if named is None:
        raise Unreadable("project is missing")
    return named


def _created(words: object) -> datetime:
    try:
        return moment(words)
    except Unreadable as error:
        raise Unreadable(f"created_at: {error}") from None


def _moment_or_none(name: str, words: object, notes: list[str]) -> datetime | None:
    if words is None:
        return None
    try:
        return moment(words)
    except Unreadable as error:
        notes.append(f"{name}: {error}")
        return None


def _price(name: str, words: object, notes: list[str]) -> int | None:
    exact = cents(words)
    if exact is None:
        notes.append(f"{name}: {_shown(words)} is not an exact number of cents")
    return exact


def _shown(words: object) -> str:
    """A value in a note. Lists and objects are only named: they may be huge, or nested to the last level."""
    if words is None:
        return "null"
    if isinstance(words, str):
        return repr(words[:60])
    return str(words) if isinstance(words, int | float) else f"a {type(words).__name__}"
