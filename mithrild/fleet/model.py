"""The nouns of the fleet, as frozen values. No I/O, no clock, no randomness in this whole package.

Times are aware datetimes in UTC. Prices are the marketplace's own words beside integer cents: what a
limit price counts (an instance-hour or a GPU-hour) is not certain, so nothing here multiplies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

Kind = Literal["bid", "instance", "cluster", "marketplace", "credentials", "watch", "hook"]
Provenance = Literal["observed", "backfilled", "simulated"]


@dataclass(frozen=True, slots=True)
class Bid:
    fid: str
    project: str
    name: str
    status: str  # the API's word: Open, Allocated, Preempting, Paused, Terminated, or one we do not know
    instance_quantity: int
    instance_type: str  # a fid; the same type name may have a different fid in each region
    region: str | None
    limit_price: str  # verbatim, such as "$15.60"
    limit_price_cents: int | None  # None where the words are not an exact number of cents
    created_at: datetime
    created_by: str
    deactivated_at: datetime | None = None
    instances: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    memory_gb: int | None = None
    kubernetes_cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    fid: str
    project: str
    name: str
    status: str  # the API's word: STATUS_RUNNING and so on, or one we do not know
    bid: str | None  # None for reserved instances
    instance_type: str
    region: str | None
    created_at: datetime
    created_by: str
    reservation: str | None = None
    ssh_destination: str | None = None  # host, host:port or user@host; None until it is ready
    private_ip: str | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    fid: str
    project: str
    name: str
    status: str  # Pending, Available, Terminated, or one we do not know
    region: str
    created_at: datetime
    k8s_version: str
    kube_host: str | None = None
    deleted_at: datetime | None = None
    instances: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    # The join command is a secret: it never becomes a fleet value, and so never a row.


Thing = TypeVar("Thing", Bid, Instance, Cluster)  # what the fleet is made of


@dataclass(frozen=True, slots=True)
class Auction:
    """One line of the market: an instance type in a region. Keyed by (region, instance type fid)."""

    region: str
    instance_type: str
    capacity: int
    spot_price: str | None  # verbatim last_instance_price
    spot_price_cents: int | None
    win_price: str | None  # verbatim lowest_allocated_price
    win_price_cents: int | None


@dataclass(frozen=True, slots=True)
class InstanceType:
    fid: str
    name: str
    num_gpus: int
    gpu_type: str
    gpu_memory_gb: int
    ram_gb: int


@dataclass(frozen=True, slots=True)
class Member:
    """Someone whose fid may stand in `created_by`."""

    fid: str
    name: str


@dataclass(frozen=True, slots=True)
class Project:
    fid: str
    name: str


@dataclass(frozen=True, slots=True)
class SshKey:
    fid: str
    name: str
    project: str
    public_key: str  # as in an authorized_keys file: kind, body, and mostly a comment
    required: bool = False  # the project puts it on every instance


@dataclass(frozen=True, slots=True)
class Volume:
    fid: str
    name: str
    project: str
    region: str


@dataclass(frozen=True, slots=True)
class Quota:
    """How many instances of a type a project may have allocated at once. `instance_type` None: of any."""

    instance_type: str | None
    product_type: str
    total: int
    used: int


@dataclass(frozen=True, slots=True)
class Account:
    """Whose key this is. One store belongs to one (API address, organization)."""

    organization: str
    user: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """The answer about one instance: the only place where the deadline of a notice stands."""

    fid: str
    status: str
    end_time: datetime | None


@dataclass(frozen=True, slots=True)
class BidEvent:
    """One line of a bid's history, in the marketplace's words: Placed, Allocated, Preempted …"""

    word: str
    at: datetime
    limit_price: str | None = None
    memory_gb: int | None = None


Noun = TypeVar("Noun")


@dataclass(frozen=True, slots=True)
class Seen(Generic[Noun]):
    """A thing as one answer showed it. `ticket` was drawn when the request was *sent*: of two answers
    about one thing the larger ticket is the newer, whatever the order in which they arrived."""

    value: Noun
    ticket: int


@dataclass(frozen=True, slots=True)
class Listing(Generic[Noun]):
    """All pages of one listing. `broken` says why it ends early: then absence from it means nothing."""

    items: tuple[Seen[Noun], ...]
    set_aside: tuple[str, ...] = ()  # one line for each item or value that could not be read
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class Record(Generic[Noun]):
    """What our record holds of one thing."""

    value: Noun
    since: datetime  # when the present status was first seen, or happened where that is known
    health: str = "none"  # bids only: none, running or degraded
    misses: int = 0  # 404s in a row, one a poll; two make it gone
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the record holds of one project: every live thing, and every ended one that was asked for."""

    bids: Mapping[str, Record[Bid]] = field(default_factory=dict)
    instances: Mapping[str, Record[Instance]] = field(default_factory=dict)
    clusters: Mapping[str, Record[Cluster]] = field(default_factory=dict)
    past: frozenset[str] = frozenset()  # fids of ended instances of live bids: known, and of no further interest


@dataclass(frozen=True, slots=True)
class Notice:
    """Five minutes' warning of one instance (or of a bid as a whole), and how it ended."""

    subject: str
    ordinal: int  # 1 for the first notice of this subject
    kind: Literal["preemption", "relocation"]
    opened_at: datetime
    deadline: datetime
    estimated: bool
    ended_at: datetime | None = None
    ended_how: str | None = None  # reprieved, or the status that followed


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one poll of one project saw. `whole` names the listings whose absences may be believed."""

    project: str
    asked_at: datetime  # before the first request: nothing that was absent had happened by then
    observed_at: datetime  # after the last answer: everything seen had happened by then
    bids: Mapping[str, Seen[Bid]] = field(default_factory=dict)
    instances: Mapping[str, Seen[Instance]] = field(default_factory=dict)
    clusters: Mapping[str, Seen[Cluster]] = field(default_factory=dict)
    whole: frozenset[Kind] = frozenset()
    complete: bool = False  # everything that this poll set out to ask was answered
    absent: frozenset[str] = frozenset()  # fids that answered 404 when asked for by name
    deadlines: Mapping[str, datetime] = field(default_factory=dict)  # subject -> end_time, by our clock
    ahead: timedelta = timedelta(0)  # the marketplace's clock minus ours
    bearing: timedelta | None = None  # of our clock, before anything was asked; None: `ahead` may be from before that


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of one subject in one aspect: the row that is kept for ever."""

    kind: Kind
    subject: str
    project: str
    bid: str | None
    aspect: str  # status, limit_price, memory, volumes, health, deadline
    before: str | None
    after: str
    type: str  # the event's type
    observed_at: datetime
    window_start: datetime | None  # the last complete poll without it
    occurred_at: datetime | None = None  # by the marketplace's own clock, where it is known
    provenance: Provenance = "observed"
    inferred: bool = False  # no word of the marketplace says so: it must have been, by what else it tells
    baseline: bool = False  # first sight: recorded, but no news
