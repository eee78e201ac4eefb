"""A bid's state in one word, from its own status and those of its instances."""

from __future__ import annotations

from collections.abc import Iterable

from mithrild.fleet import lifecycle
from mithrild.fleet.model import Bid

_STARTING = {"STATUS_INITIALIZING", "STATUS_STARTING"}
_NOTHING_YET = {"STATUS_NEW", "STATUS_CONFIRMED", "STATUS_SCHEDULED"}

# What `-s` takes beside the states themselves.
ALIASES = {"completed": "terminated", "cancelled": "terminated"}
OWN_STATUS = {"open": "Open", "allocated": "Allocated", "paused": "Paused", "preempting": "Preempting"}


def count_running(statuses: Iterable[str]) -> int:
    return sum(status == lifecycle.RUNNING for status in statuses)


def bid_state(bid: Bid, statuses: Iterable[str]) -> str:
    """The first word of `wire.BID_STATES` that fits. `statuses` are those of the bid's instances."""
    instances = [status for status in statuses if status not in lifecycle.FINAL]
    present = set(instances)
    if bid.status == "Terminated":
        return "terminated"
    if bid.status == "Paused":
        return "paused"
    if bid.status == "Preempting" or "STATUS_PREEMPTING" in present:
        return "preempting"
    if "STATUS_RELOCATING" in present:
        return "relocating"
    if "STATUS_ERROR" in present:
        return "failed"
    if bid.status != "Open" and count_running(instances) >= bid.instance_quantity:
        return "running"
    if present & _STARTING:
        return "starting"
    if bid.status == "Allocated" and present - _NOTHING_YET:
        return "allocated"
    return "pending" if bid.status in ("Open", "Allocated") else lifecycle.word(bid.status)


def health(previous: str, bid: Bid, statuses: Iterable[str], *, settled: bool) -> str:
    """`running` when all wanted instances run, `degraded` when they did and no longer do, else `none`.

    During a notice of either kind nothing is decided: the machines still run, and a reprieve then is no second
    `bid.running`. A bid is called degraded only in a poll that shows it, and in which neither it nor its
    instances changed (`settled`): bids and instances come from two requests, and a bid that is being terminated
    would pass for a degraded one in between.
    """
    instances = list(statuses)
    if any(status in lifecycle.NOTICED for status in (bid.status, *instances)):
        return previous
    if bid.status != "Allocated":
        return "none"
    if count_running(instances) >= bid.instance_quantity:
        return "running"
    if previous == "running" and settled:
        return "degraded"
    return previous


def matches_filter(wanted: str, bid: Bid, state: str) -> bool:
    """Whether `-s WANTED` shows this bid: by its state, and for a few words by the bid's own status too."""
    return state == ALIASES.get(wanted, wanted) or OWN_STATUS.get(wanted) == bid.status
