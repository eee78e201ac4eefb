"""Steps that did not happen: what a test or a drill tells the hooks. Pure.

The event of an imagined step has the very shape of a real one, with the provenance *simulated*. In the record its
subject and its bid bear a mark, so that whoever asks for the steps, the notices or the deliveries of a thing by its
name never meets what was only imagined of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mithrild.fleet import lifecycle
from mithrild.fleet.model import Bid, Cluster, Fleet, Instance, Kind, Notice, Record, Thing, Transition
from mithrild.fleet.notices import NOTICE

SIGN = "~"
GONE = "gone"
_BID_STEPS: Mapping[str, tuple[str, str | None, str]] = {
    "placed": ("status", None, "Open"),
    "allocated": ("status", "Open", "Allocated"),
    "preempting": ("status", "Allocated", "Preempting"),
    "reprieved": ("status", "Preempting", "Allocated"),
    "reopened": ("status", "Preempting", "Open"),
    "paused": ("status", "Allocated", "Paused"),
    "resumed": ("status", "Paused", "Open"),
    "terminated": ("status", "Allocated", "Terminated"),
    "gone": ("status", "Allocated", GONE),
    "limit_changed": ("limit_price", "$8.00", "$9.00"),
    "memory_changed": ("memory", "1024", "2048"),
    "volumes_changed": ("volumes", "", "vol_example"),
    "running": ("health", "none", "running"),
    "degraded": ("health", "running", "degraded"),
}


def mark(rehearsal: str, name: str) -> str:
    """What the record calls a thing in a test or a drill."""
    return f"{SIGN}{rehearsal}/{name}"


def rehearsal_of(subject: str) -> str | None:
    """The test or drill that a subject of the record belongs to."""
    return subject[len(SIGN) :].partition("/")[0] if subject.startswith(SIGN) else None


def unmarked(name: str) -> str:
    return name.partition("/")[2] if name.startswith(SIGN) else name


def as_told(step: Transition) -> Transition:
    """A step of the record as its event tells it: by the names of what it is about."""
    if step.provenance != "simulated":
        return step
    return replace(step, subject=unmarked(step.subject), bid=None if step.bid is None else unmarked(step.bid))


@dataclass(frozen=True, slots=True)
class Cast:
    """Whom imagined steps are about. `instances` are those of the bid, the oldest first."""

    project: str
    bid: Bid
    instances: tuple[Instance, ...]
    cluster: Cluster | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Imagined steps of one moment, the fleet as they leave it, and the notices that stand then, by subject."""

    steps: tuple[Transition, ...]
    fleet: Fleet
    notices: Mapping[str, Notice] = field(default_factory=dict)


def example(project: str, now: datetime) -> Cast:
    """A bid that there is not, on a machine with an address that leads nowhere."""
    bid = Bid(
        fid="bid_example",
        project=project,
        name="example",
        status="Allocated",
        instance_quantity=1,
        instance_type="it_example",
        region="us-central1-a",
        limit_price="$8.00",
        limit_price_cents=800,
        created_at=now - timedelta(hours=1),
        created_by="user_example",
    )
    instance = Instance(
        fid="inst_example",
        project=project,
        name="example-0",
        status=lifecycle.RUNNING,
        bid=bid.fid,
        instance_type=bid.instance_type,
        region=bid.region,
        created_at=bid.created_at,
        created_by=bid.created_by,
        ssh_destination="192.0.2.1",  # kept free for documentation
    )
    cluster = Cluster("clust_example", project, "example", "Available", "us-central1-a", bid.created_at, "1.31")
    return Cast(project, bid, (instance,), cluster)


def imagine(type: str, cast: Cast, now: datetime, notice: timedelta = NOTICE) -> Scene:
    """One step of a type: of the bid, of its first instance, of a cluster, or of the watch itself."""
    family, _, word = type.partition(".")
    if family == "bid":
        aspect, before, after = _BID_STEPS.get(word, ("status", "Allocated", word.capitalize()))
        return _scene(cast, now, notice, [(cast.bid, aspect, before, after, type)])
    if family == "instance" and cast.instances:
        if word == "deadline_changed":
            was, is_ = now + notice - timedelta(minutes=1), now + notice
            moved: _Step = (cast.instances[0], "deadline", was.isoformat(), is_.isoformat(), type)
            return _scene(cast, now, notice, [moved])
        before, after = _instance_step(word)
        return _scene(cast, now, notice, [(cast.instances[0], "status", before, after, type)])
    if family == "cluster" and cast.cluster is not None:
        before, after = {"pending": (None, "Pending"), "available": ("Pending", "Available")}.get(
            word, ("Available", GONE if word == GONE else word.capitalize())
        )
        return _scene(cast, now, notice, [(cast.cluster, "status", before, after, type)])
    # mypy does not narrow a text by what it is found in.
    kind: Kind = family if family in ("marketplace", "credentials", "watch") else "hook"  # type: ignore[assignment]
    subject = "example" if kind == "hook" else kind
    project = cast.project if kind in ("watch", "hook") else ""
    step = Transition(kind, subject, project, None, "status", None, word, type, now, None, provenance="simulated")
    return Scene((step,), Fleet())


def under_notice(cast: Cast, now: datetime, notice: timedelta) -> Scene:
    """A bid is preempted: it, and each of its instances."""
    steps: list[_Step] = [(cast.bid, "status", "Allocated", "Preempting", "bid.preempting")]
    steps += [(one, "status", lifecycle.RUNNING, "STATUS_PREEMPTING", "instance.preempting") for one in cast.instances]
    return _scene(cast, now, notice, steps)


def run_out(cast: Cast, now: datetime) -> Scene:
    """The notice of a bid runs out."""
    steps: list[_Step] = [(cast.bid, "status", "Preempting", "Open", "bid.reopened")]
    steps += [(one, "status", "STATUS_PREEMPTING", "STATUS_PREEMPTED", "instance.preempted") for one in cast.instances]
    return _scene(cast, now, NOTICE, steps)


def taken_back(cast: Cast, now: datetime) -> Scene:
    """The notice of a bid is taken back in time."""
    steps: list[_Step] = [(cast.bid, "status", "Preempting", "Allocated", "bid.reprieved")]
    steps += [(one, "status", "STATUS_PREEMPTING", lifecycle.RUNNING, "instance.reprieved") for one in cast.instances]
    return _scene(cast, now, NOTICE, steps)


_Step = tuple[Bid | Instance | Cluster, str, str | None, str, str]  # of what, aspect, before, after, type


def _scene(cast: Cast, now: datetime, notice: timedelta, steps: Sequence[_Step]) -> Scene:
    bids, instances, clusters = {cast.bid.fid: cast.bid}, {one.fid: one for one in cast.instances}, {}
    made: list[Transition] = []
    notices: dict[str, Notice] = {}
    for thing, aspect, before, after, type in steps:
        kind: Kind = "bid" if isinstance(thing, Bid) else "instance" if isinstance(thing, Instance) else "cluster"
        if isinstance(thing, Bid):
            bids[thing.fid] = _changed(thing, aspect, after)
        elif isinstance(thing, Instance):
            instances[thing.fid] = _changed(thing, aspect, after)
        else:
            clusters[thing.fid] = _changed(thing, aspect, after)
        bid = None if isinstance(thing, Cluster) else cast.bid.fid
        made.append(
            Transition(
                kind, thing.fid, thing.project, bid, aspect, before, after, type, now, None, provenance="simulated"
            )
        )
        if aspect == "deadline" or (aspect == "status" and after in lifecycle.NOTICED):
            what = lifecycle.NOTICED.get(after, "preemption")
            notices[thing.fid] = Notice(
                thing.fid, 1, "relocation" if what == "relocation" else "preemption", now, now + notice, False
            )
    fleet = Fleet(
        {fid: Record(one, now) for fid, one in bids.items()},
        {fid: Record(one, now) for fid, one in instances.items()},
        {fid: Record(one, now) for fid, one in clusters.items()},
    )
    return Scene(tuple(made), fleet, notices)


def _changed(thing: Thing, aspect: str, after: str) -> Thing:
    """A thing as a step leaves it. What is gone keeps the status that it had."""
    return replace(thing, status=after) if aspect == "status" and after != GONE else thing


def _instance_step(word: str) -> tuple[str, str]:
    """From which status an instance comes to a word, and to which: as the tables know it, else from running."""
    if word == "reprieved":
        return "STATUS_PREEMPTING", lifecycle.RUNNING
    after = GONE if word == GONE else f"STATUS_{word.upper()}"
    usual = (lifecycle.RUNNING, "STATUS_STARTING", "STATUS_STOPPING", *lifecycle.INSTANCE)
    before = next((one for one in usual if after in lifecycle.INSTANCE[one]), lifecycle.RUNNING)
    return before, after
