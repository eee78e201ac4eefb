"""(what the record holds, what a poll saw) -> what happened, and the records as they are afterwards.

Pure, and total: any snapshot gives an answer, whatever words stand in it. What has not been seen is left
alone, so half a listing is still good evidence for what it shows (and none for what it lacks). A snapshot
that shows what the record holds gives nothing. Each aspect of a subject makes a chain: a step's `before`
is the `after` of the step before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mithrild.fleet import lifecycle, state
from mithrild.fleet.completeness import GONE_AFTER, is_live
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

Stamp = Callable[[str], datetime | None]


@dataclass(frozen=True, slots=True)
class Changes:
    """The records that differ from those that stand, and the transitions that made them differ."""

    transitions: tuple[Transition, ...]
    records: Fleet

    def __bool__(self) -> bool:
        return bool(self.transitions or self.records.bids or self.records.instances or self.records.clusters)


def apply(known: Fleet, changes: Changes) -> Fleet:
    """The fleet after the changes."""
    new = changes.records
    return Fleet(
        {**known.bids, **new.bids},
        {**known.instances, **new.instances},
        {**known.clusters, **new.clusters},
        known.past,
    )


def diff(
    known: Fleet,
    seen: Snapshot,
    *,
    notices: Mapping[str, Notice],
    window: Stamp,
    first_sight: frozenset[Kind] = frozenset(),
) -> Changes:
    """What happened between `known` and `seen`.

    `notices`: the open notices by subject; they tell a reprieve from a restart. `window(fid)`: when the
    last poll that could have seen a change of this subject was begun, None if there was none. Transitions
    of the kinds in `first_sight` become the baseline: recorded, and no news.
    """
    step = _Steps(seen, notices, window, first_sight)
    bids = _compare(known.bids, seen.bids, seen.absent, step, _bid_steps)
    instances = _compare(known.instances, seen.instances, seen.absent, step, _instance_steps)
    clusters = _compare(known.clusters, seen.clusters, seen.absent, step, _cluster_steps)
    after = apply(known, Changes((), Fleet(bids, instances, clusters)))
    bids |= _judge_health(after, step)
    return Changes(tuple(step.taken), Fleet(bids, instances, clusters))


class _Steps:
    """Collects the transitions of one diff, and knows what they have in common."""

    def __init__(
        self, seen: Snapshot, notices: Mapping[str, Notice], window: Stamp, first_sight: frozenset[Kind]
    ) -> None:
        self.seen, self.notices, self.window, self.first_sight = seen, notices, window, first_sight
        self.taken: list[Transition] = []

    def in_time(self, subject: str) -> bool:
        notice = self.notices.get(subject)
        return notice is not None and self.seen.observed_at <= notice.deadline

    def take(
        self,
        kind: Kind,
        thing: Bid | Instance | Cluster,
        aspect: str,
        before: str | None,
        after: str,
        type: str,
        occurred_at: datetime | None = None,
    ) -> None:
        self.taken.append(
            Transition(
                kind=kind,
                subject=thing.fid,
                project=thing.project,
                bid=thing.fid if isinstance(thing, Bid) else thing.bid if isinstance(thing, Instance) else None,
                aspect=aspect,
                before=before,
                after=after,
                type=type,
                observed_at=self.seen.observed_at,
                window_start=self.window(thing.fid),
                occurred_at=occurred_at,
                baseline=kind in self.first_sight,
            )
        )


def _compare(
    known: Mapping[str, Record[Thing]],
    seen: Mapping[str, Seen[Thing]],
    absent: frozenset[str],
    step: _Steps,
    steps: Callable[[_Steps, Record[Thing] | None, Thing], None],
) -> dict[str, Record[Thing]]:
    """The changed records of one kind. Items are taken by age, so that the order of a listing means nothing."""
    changed: dict[str, Record[Thing]] = {}
    for item in sorted(seen.values(), key=lambda item: (item.value.created_at, item.value.fid)):
        thing, record = item.value, known.get(item.value.fid)
        if record is not None and _lags_behind(record.value, thing):
            continue
        if record is not None and record.value == thing and not record.misses and not record.gone:
            continue
        begun = len(step.taken)
        steps(step, record, thing)
        moves = [taken for taken in step.taken[begun:] if taken.aspect == "status"]
        since = record.since if record is not None else step.seen.observed_at
        if moves:
            since = moves[-1].occurred_at or step.seen.observed_at
        health = record.health if record else "none"
        changed[thing.fid] = Record(thing, since, health)
    for fid in sorted(absent - seen.keys()):
        # What has ended may well be forgotten by the marketplace; that adds nothing to its end.
        if fid in known and is_live(known[fid].value.status, known[fid].gone):
            changed[fid] = _miss(known[fid], step)
    return changed


def _lags_behind(held: Bid | Instance | Cluster, shown: Bid | Instance | Cluster) -> bool:
    return held.status == "Terminated" and shown.status != "Terminated"


def _miss(record: Record[Thing], step: _Steps) -> Record[Thing]:
    """One more 404. Enough of them in a row, and the thing is gone (which is not *terminated*: nobody said so)."""
    misses = record.misses + 1
    if misses < GONE_AFTER:
        return replace(record, misses=misses)
    kind: Kind = _kind(record.value)
    step.take(kind, record.value, "status", record.value.status, "gone", f"{kind}.gone")
    return replace(record, misses=misses, gone=True, since=step.seen.observed_at, health="none")


def _kind(thing: Bid | Instance | Cluster) -> Kind:
    return "bid" if isinstance(thing, Bid) else "instance" if isinstance(thing, Instance) else "cluster"


def _held_status(record: Record[Thing] | None) -> str | None:
    return None if record is None else "gone" if record.gone else record.value.status


def _bid_steps(step: _Steps, record: Record[Bid] | None, bid: Bid) -> None:
    before = _held_status(record)
    if before is None and "bid" not in step.first_sight:
        # Every bid was placed, at a moment that the marketplace tells, even if it has moved on since.
        step.take("bid", bid, "status", None, "Open", "bid.placed", bid.created_at)
        before = "Open"
    if before != bid.status:
        type = lifecycle.bid_event(before, bid.status, in_time=step.in_time(bid.fid))
        step.take(
            "bid", bid, "status", before, bid.status, type, bid.deactivated_at if bid.status == "Terminated" else None
        )
    if record is None:
        return
    held = record.value
    if (held.limit_price_cents, bid.limit_price_cents) == (None, None):
        moved = held.limit_price != bid.limit_price
    else:
        moved = held.limit_price_cents != bid.limit_price_cents
    if moved:
        step.take("bid", bid, "limit_price", held.limit_price, bid.limit_price, "bid.limit_changed")
    if held.memory_gb != bid.memory_gb:
        step.take("bid", bid, "memory", _text(held.memory_gb), _text(bid.memory_gb), "bid.memory_changed")
    if set(held.volumes) != set(bid.volumes):
        step.take("bid", bid, "volumes", _names(held.volumes), _names(bid.volumes), "bid.volumes_changed")


def _instance_steps(step: _Steps, record: Record[Instance] | None, instance: Instance) -> None:
    before = _held_status(record)
    if before != instance.status:
        type = lifecycle.instance_event(before, instance.status, in_time=step.in_time(instance.fid))
        step.take("instance", instance, "status", before, instance.status, type)


def _cluster_steps(step: _Steps, record: Record[Cluster] | None, cluster: Cluster) -> None:
    before = _held_status(record)
    if before != cluster.status:
        told = {"Terminated": cluster.deleted_at, "Pending": cluster.created_at if before is None else None}
        type = lifecycle.cluster_event(cluster.status)
        step.take("cluster", cluster, "status", before, cluster.status, type, told.get(cluster.status))


def _judge_health(after: Fleet, step: _Steps) -> dict[str, Record[Bid]]:
    """The derived state of each bid, and `bid.running` and `bid.degraded` at its edges."""
    of_bid: dict[str, list[str]] = {}
    for one in after.instances.values():
        if one.value.bid is not None and not one.gone and one.value.status not in lifecycle.FINAL:
            of_bid.setdefault(one.value.bid, []).append(one.value.status)
    moving = {taken.bid for taken in step.taken if taken.aspect == "status"}
    restarted = {taken.bid for taken in step.taken if _is_restart(taken)}
    changed: dict[str, Record[Bid]] = {}
    for fid, record in after.bids.items():
        if record.gone:
            continue
        # A poll that did not look at the bid (of clusters, or of deadlines) cannot know whether it has ended.
        settled = fid in step.seen.bids and fid not in moving
        previous = "none" if fid in restarted else record.health
        judged = state.health(previous, record.value, of_bid.get(fid, ()), settled=settled)
        if judged != record.health:
            changed[fid] = replace(record, health=judged)
        if judged not in (previous, "none"):
            step.take("bid", record.value, "health", previous, judged, f"bid.{judged}")
    return changed


def _is_restart(taken: Transition) -> bool:
    """Whether machines came back after their notice had run out. They stopped in between: no reprieve."""
    back = taken.aspect == "status" and taken.after in ("Allocated", lifecycle.RUNNING)
    noticed = taken.before is not None and lifecycle.NOTICED.get(taken.before) == "preemption"
    return back and noticed and not taken.type.endswith(".reprieved")


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


def _names(values: Iterable[str]) -> str:
    return ",".join(sorted(values))
