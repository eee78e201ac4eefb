"""Everything the marketplace remembers, with the indexes that keep a listing from reading all of it.

Every bid and instance has a `seq`, its place in the order of creation. Lists of seqs, always sorted, are the
indexes; a page is a walk along a few of them. Times are seconds since the epoch.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from string import ascii_letters, digits
from typing import Literal

from mithrild.sandbox import catalog
from mithrild.sandbox.lifecycle import FINAL, BidEvent, BidStatus, ClusterStatus, Temper
from mithrild.sandbox.models import LaunchSpecification, PersistentDiskChange

Hold = Literal["allocated", "preempted"]
REMEMBERED = 10_000
"""Events kept of one bid or instance."""
FOUNDED = 200 * 86_400.0
"""Seconds before the start at which the account and its first keys came into being."""


@dataclass(slots=True)
class HistoryEvent:
    at: float
    kind: BidEvent
    user: str | None = None
    limit_cents: int | None = None
    memory_gb: int | None = None
    disk: PersistentDiskChange | None = None


@dataclass(slots=True)
class PricePeriod:
    cents: int
    start: float
    end: float | None = None


@dataclass(slots=True)
class Bid:
    seq: int
    fid: str
    name: str
    project: str
    created_by: str
    created_at: float
    limit_cents: int
    quantity: int
    instance_type: str
    region: str
    launch: LaunchSpecification
    temper: Temper
    status: BidStatus = BidStatus.OPEN
    deactivated_at: float | None = None
    instances: list[str] = field(default_factory=list)
    history: list[HistoryEvent] = field(default_factory=list)
    prices: list[PricePeriod] = field(default_factory=list)
    boot_disks: dict[str, str] = field(default_factory=dict)
    """By the name of the instance: they outlive it, until the bid ends."""
    hold: Hold | None = None
    relocating: bool = False
    allocations: int = 0
    turn: int = 0
    """Grows with every change; an action planned in an earlier turn no longer counts."""

    @property
    def market(self) -> tuple[str, str]:
        return (self.region, self.instance_type)


@dataclass(slots=True)
class Instance:
    seq: int
    fid: str
    name: str
    project: str
    created_by: str
    created_at: float
    instance_type: str
    region: str
    bid: str | None
    reservation: str | None = None
    status: str = ""
    before_notice: str = ""
    end_time: float | None = None
    address: str | None = None
    private_ip: str | None = None
    boot_disk: str | None = None
    history: list[tuple[float, str]] = field(default_factory=list)
    turn: int = 0


@dataclass(slots=True)
class Cluster:
    fid: str
    name: str
    project: str
    region: str
    created_at: float
    status: ClusterStatus
    ssh_keys: list[str]
    kube_host: str | None = None
    join_command: str | None = None
    deleted_at: float | None = None
    user: str | None = None


@dataclass(slots=True)
class SshKey:
    """`created_at` is None for a key that is as old as the account."""

    fid: str
    name: str
    project: str
    public_key: str
    required: bool
    created_at: float | None = None


class Lanes:
    """Sorted lists of seqs, by key."""

    def __init__(self) -> None:
        self._lanes: defaultdict[tuple[str | None, ...], list[int]] = defaultdict(list)

    def __getitem__(self, key: tuple[str | None, ...]) -> list[int]:
        return self._lanes.get(key, [])

    def add(self, seq: int, *keys: tuple[str | None, ...]) -> None:
        for key in keys:
            insort(self._lanes[key], seq)

    def discard(self, seq: int, *keys: tuple[str | None, ...]) -> None:
        for key in keys:
            lane = self._lanes[key]
            del lane[bisect_left(lane, seq)]


class Registry:
    def __init__(self, random: Random) -> None:
        self._random = random
        self.bids: list[Bid] = []
        self.bid_by_fid: dict[str, Bid] = {}
        self.bid_by_name: dict[tuple[str, str], Bid] = {}
        self.bid_lanes = Lanes()
        self.live_bids: defaultdict[tuple[str, str], dict[str, Bid]] = defaultdict(dict)
        self.instances: list[Instance] = []
        self.instance_by_fid: dict[str, Instance] = {}
        self.instance_lanes = Lanes()
        self.instances_of: defaultdict[str, list[Instance]] = defaultdict(list)
        self.clusters: dict[str, Cluster] = {}
        self.ssh_keys = {
            key.fid: SshKey(key.fid, key.name, key.project, key.public_key, key.required) for key in catalog.SSH_KEYS
        }

    def fid(self, prefix: str) -> str:
        return f"{prefix}_{''.join(self._random.choices(ascii_letters + digits, k=14))}"

    def add_bid(self, bid: Bid) -> None:
        assert bid.seq == len(self.bids)
        self.bids.append(bid)
        self.bid_by_fid[bid.fid] = bid
        self.bid_by_name[bid.project, bid.name] = bid
        self.bid_lanes.add(bid.seq, (bid.project,), *_bid_keys(bid))
        if bid.status != BidStatus.TERMINATED:
            self.live_bids[bid.market][bid.fid] = bid

    def set_bid_status(self, bid: Bid, status: BidStatus) -> None:
        self.bid_lanes.discard(bid.seq, *_bid_keys(bid))
        bid.status = status
        self.bid_lanes.add(bid.seq, *_bid_keys(bid))
        if status == BidStatus.TERMINATED:
            self.live_bids[bid.market].pop(bid.fid, None)

    def add_instance(self, instance: Instance) -> None:
        assert instance.seq == len(self.instances)
        self.instances.append(instance)
        self.instance_by_fid[instance.fid] = instance
        self.instance_lanes.add(instance.seq, (instance.project,), (instance.project, instance.status))
        if instance.bid is not None:
            self.instances_of[instance.bid].append(instance)

    def set_instance_status(self, instance: Instance, status: str) -> None:
        self.instance_lanes.discard(instance.seq, (instance.project, instance.status))
        instance.status = status
        self.instance_lanes.add(instance.seq, (instance.project, status))

    def current(self, bid: Bid) -> list[Instance]:
        """The instances that the bid still has: neither ended nor replaced."""
        found = (self.instance_by_fid[fid] for fid in bid.instances)
        return [instance for instance in found if instance.status not in FINAL]

    def unended_bids(self, project: str | None = None) -> Iterator[Bid]:
        for bids in self.live_bids.values():
            for bid in bids.values():
                if project is None or bid.project == project:
                    yield bid


def _bid_keys(bid: Bid) -> tuple[tuple[str | None, str], tuple[str | None, str]]:
    return (None, bid.status), (bid.project, bid.status)


def trim(events: list[HistoryEvent] | list[tuple[float, str]] | list[PricePeriod]) -> None:
    if len(events) > REMEMBERED:
        del events[: REMEMBERED // 10]
