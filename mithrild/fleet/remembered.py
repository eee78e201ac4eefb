"""The marketplace's own history in the terms of the record: which of its words means which step. Pure.

What it has no word for is inferred, and marked so, or is known only as a poll saw it: `UNNAMED` says which.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from mithrild.fleet.lifecycle import FINAL
from mithrild.fleet.model import Bid, BidEvent
from mithrild.fleet.notices import NOTICE
from mithrild.fleet.price import spelled
from mithrild.fleet.timeline import Told


class Meaning(NamedTuple):
    """What one word of a bid's history says: of which aspect of the bid, what it became, and by which event it is told.

    `after` None: the line itself says it, or nothing does."""

    aspect: str
    after: str | None
    event: str


BID_WORDS: Mapping[str, Meaning] = {
    "Placed": Meaning("status", "Open", "bid.placed"),
    "Allocated": Meaning("status", "Allocated", "bid.allocated, or bid.reprieved within a notice"),
    "Preempted": Meaning("status", "Preempting", "bid.preempting"),
    "Paused": Meaning("status", "Paused", "bid.paused"),
    "Resumed": Meaning("status", "Open", "bid.resumed"),
    "Terminated": Meaning("status", "Terminated", "bid.terminated"),
    "Limit Price Changed": Meaning("limit_price", None, "bid.limit_changed"),
    "Memory Adjusted": Meaning("memory", None, "bid.memory_changed"),
    "Volumes Attached": Meaning("volumes", None, "as a poll saw it: bid.volumes_changed"),
    "Volumes Removed": Meaning("volumes", None, "as a poll saw it: bid.volumes_changed"),
}

UNNAMED: Mapping[str, str] = {
    "a bid's return from Preempting to Open": "inferred from its instances, which stop then; else as a poll saw it",
    "the end of an instance's notice": "the next status of the instance: running within its time is a reprieve",
    "the deadline of a notice that nobody saw": "estimated: its beginning and five minutes",
    "volumes": "as a poll saw them: what there was before the words does not tell",
    "clusters": "as a poll saw them; when one was made and deleted it says itself",
    "gone": "as two polls saw it: two 404s, which the history may explain by how it ended",
}


def status_steps(
    events: Sequence[BidEvent],
    bid: Bid,
    instances: Sequence[Sequence[Told]],
    *,
    alone: bool = False,
    stood: datetime | None = None,
) -> list[Told]:
    """What the bid went through. `alone`: the record has no row of it. Then its own times stand in for a history that
    does not tell, or no longer tells, when it was placed and when it ended. `stood`: when the bid was seen as it is,
    after all of this: an open one whose notice came last is open again, whatever its instances tell."""
    steps = []
    for event in events:
        meaning = BID_WORDS.get(event.word)
        if meaning is not None and meaning.aspect == "status" and meaning.after is not None:
            steps.append(Told(meaning.after, event.at))
    steps = in_order(steps)
    if alone and all(event.word != "Placed" for event in events):
        steps = in_order([Told("Open", bid.created_at), *steps])
    over = bid.status in FINAL and all(one.after != bid.status for one in steps)
    if alone and over and bid.deactivated_at is not None:
        steps = in_order([*steps, Told(bid.status, bid.deactivated_at)])
    steps = reopened(steps, instances)
    if stood is not None and bid.status == "Open" and steps and steps[-1].after == "Preempting":
        steps.append(Told("Open", max(steps[-1].at, min(steps[-1].at + NOTICE, stood)), inferred=True))
    return steps


def reopened(story: Sequence[Told], instances: Sequence[Sequence[Told]]) -> list[Told]:
    """A bid's story with the returns to Open that its history has no word for, inferred.

    The notice of a bid ran out when its instances went on from PREEMPTING to a stop; where they ran on, it was taken
    back. Where no instance tells, nothing is inferred.
    """
    steps: list[Told] = []
    ends = sorted(end for one in instances for end in _ends_of_notices(one))
    for at, told in enumerate(story):
        steps.append(told)
        if told.after != "Preempting":
            continue
        limit = story[at + 1].at if at + 1 < len(story) else None
        its_end = [end for end in ends if end[0] >= told.at and (limit is None or end[0] <= limit)]
        # While one of its instances is under notice so is the bid, though another has stopped by itself.
        stands = limit is None and any(one and one[-1].after == "STATUS_PREEMPTING" for one in instances)
        if stands or not its_end:
            continue
        stopped = its_end[0][0]
        # A bid that is paused or ended takes its instances with it, at that very moment and out of its notice, even if
        # one of them had stopped by itself; unless that one says that its notice ran out.
        taken = any(end == limit for end, _ in its_end) and story[at + 1].after != "Allocated"
        if not taken or (stopped, _RAN_OUT) in its_end:
            steps.append(Told("Open", stopped, inferred=True))
    return steps


def _ends_of_notices(story: Sequence[Told]) -> Iterator[tuple[datetime, str]]:
    """When an instance went on from its notice to a stop, and what it was once it had stopped."""
    for at, (before, after) in enumerate(itertools.pairwise(story)):
        if before.after == "STATUS_PREEMPTING" and after.after in _STOPS:
            stopped = itertools.dropwhile(lambda step: step.after in _ON_THE_WAY, story[at + 1 :])
            yield after.at, next(stopped, after).after


def limit_steps(events: Sequence[BidEvent]) -> list[Told]:
    """The limit price when the bid was placed, and after each change. Nothing where the first is not told."""
    priced = [event for event in events if event.limit_price is not None]
    steps = in_order([Told(spelled(event.limit_price or ""), event.at) for event in priced])
    return steps if any(event.word == "Placed" for event in priced) else []


def memory_steps(events: Sequence[BidEvent]) -> list[Told]:
    """The memory after each change."""
    return in_order([Told(str(event.memory_gb), event.at) for event in events if event.memory_gb is not None])


def in_order(steps: Sequence[Told]) -> list[Told]:
    """The oldest first; steps of one moment in the order in which they were told."""
    told = list(steps)
    if told and told[0].at > told[-1].at:
        told.reverse()
    return sorted(told, key=lambda one: one.at)


def table() -> str:
    """What the words mean, as a table for ARCHITECTURE.md."""
    lines = ["| the marketplace's history says | the record |", "|---|---|"]
    lines += [f"| of a bid: {word} | {meaning.event} |" for word, meaning in BID_WORDS.items()]
    lines += ["| of an instance: its status | instance. and the status in lower case |"]
    return "\n".join([*lines, *(f"| nothing: {what} | {how} |" for what, how in UNNAMED.items())])


_RAN_OUT = "STATUS_PREEMPTED"
_ON_THE_WAY = ("STATUS_STOPPING", "STATUS_STOPPED")
_STOPS = tuple(
    f"STATUS_{word}" for word in ("STOPPING", "STOPPED", "PREEMPTED", "REPLACED", "TERMINATED", "PAUSED", "ERROR")
)
