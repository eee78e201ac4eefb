"""Small builders of fleet values: what a test does not name is sensible, and the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mithrild.fleet.diff import Changes, apply, diff
from mithrild.fleet.model import (
    Bid,
    Cluster,
    Fleet,
    Instance,
    Kind,
    Notice,
    Record,
    Seen,
    Snapshot,
    Thing,
    Transition,
)
from mithrild.fleet.notices import NoticeChanges, follow

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
EVERYTHING: frozenset[Kind] = frozenset({"bid", "instance", "cluster"})


def moment(seconds: float) -> datetime:
    """So many seconds after noon; most things in these tests were made an hour before it."""
    return NOON + timedelta(seconds=seconds)


def bid(fid: str = "bid_1", status: str = "Allocated", **more: Any) -> Bid:
    made = Bid(
        fid=fid,
        project="proj_1",
        name="train",
        status=status,
        instance_quantity=1,
        instance_type="it_1",
        region="us-central5-a",
        limit_price="$8.00",
        limit_price_cents=800,
        created_at=moment(-3600),
        created_by="user_1",
    )
    return replace(made, **more)


def instance(fid: str = "inst_1", status: str = "STATUS_RUNNING", **more: Any) -> Instance:
    made = Instance(
        fid=fid,
        project="proj_1",
        name="train-0",
        status=status,
        bid="bid_1",
        instance_type="it_1",
        region="us-central5-a",
        created_at=moment(-3600),
        created_by="user_1",
    )
    return replace(made, **more)


def cluster(fid: str = "clust_1", status: str = "Available", **more: Any) -> Cluster:
    made = Cluster(
        fid=fid,
        project="proj_1",
        name="kube",
        status=status,
        region="us-central5-a",
        created_at=moment(-3600),
        k8s_version="1.31",
    )
    return replace(made, **more)


def snapshot(
    *things: Bid | Instance | Cluster,
    at: float = 0.0,
    whole: Iterable[Kind] = EVERYTHING,
    absent: Iterable[str] = (),
    deadlines: Mapping[str, datetime] | None = None,
) -> Snapshot:
    """What a poll saw that was begun a second before `at` (seconds after noon)."""
    return Snapshot(
        project="proj_1",
        asked_at=moment(at - 1),
        observed_at=moment(at),
        bids=_seen(Bid, things),
        instances=_seen(Instance, things),
        clusters=_seen(Cluster, things),
        whole=frozenset(whole),
        complete=True,
        absent=frozenset(absent),
        deadlines=deadlines or {},
    )


def fleet(*things: Bid | Instance | Cluster, health: str = "none", gone: Iterable[str] = ()) -> Fleet:
    """A record of these things, all as they are since noon; `health` is that of the bids."""
    ended = set(gone)
    return Fleet(
        bids={b.fid: Record(b, NOON, health, gone=b.fid in ended) for b in things if isinstance(b, Bid)},
        instances={i.fid: Record(i, NOON, gone=i.fid in ended) for i in things if isinstance(i, Instance)},
        clusters={c.fid: Record(c, NOON, gone=c.fid in ended) for c in things if isinstance(c, Cluster)},
    )


def notice(subject: str = "inst_1", **more: Any) -> Notice:
    made = Notice(subject=subject, ordinal=1, kind="preemption", opened_at=NOON, deadline=moment(300), estimated=False)
    return replace(made, **more)


def compare(
    known: Fleet, seen: Snapshot, *, notices: Iterable[Notice] = (), first_sight: Iterable[Kind] = ()
) -> Changes:
    """One diff; every subject was last looked at five seconds before it was seen now."""
    return diff(
        known,
        seen,
        notices={one.subject: one for one in notices},
        window=lambda _: seen.observed_at - timedelta(seconds=5),
        first_sight=frozenset(first_sight),
    )


def types(steps: Iterable[Transition]) -> list[str]:
    return [step.type for step in steps]


@dataclass
class Watch:
    """Polls one after the other, joined as the store joins them: diff, then apply, then the notices."""

    fleet: Fleet = field(default_factory=Fleet)
    notices: dict[str, Notice] = field(default_factory=dict)
    ordinals: dict[str, int] = field(default_factory=dict)
    steps: list[Transition] = field(default_factory=list)
    last: NoticeChanges = field(default_factory=NoticeChanges)

    def poll(self, seen: Snapshot, *, first_sight: Iterable[Kind] = ()) -> list[str]:
        """The types of the events of this poll."""
        changes = compare(self.fleet, seen, notices=self.notices.values(), first_sight=first_sight)
        self.fleet = apply(self.fleet, changes)
        self.last = follow(changes.transitions, self.fleet, seen, self.notices, self.ordinals)
        for one in self.last.ended:
            del self.notices[one.subject]
        for one in (*self.last.opened, *self.last.corrected):
            self.notices[one.subject] = one
            self.ordinals[one.subject] = one.ordinal
        new = (*changes.transitions, *self.last.transitions)
        self.steps += new
        return [step.type for step in new if not step.baseline]


def _seen(noun: type[Thing], things: Iterable[Bid | Instance | Cluster]) -> dict[str, Seen[Thing]]:
    return {thing.fid: Seen(thing, 1) for thing in things if isinstance(thing, noun)}
