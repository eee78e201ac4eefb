"""What a hook's `match` asks of an event, and what events have to show for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from mithrild.fleet.bounds import Bounds
from mithrild.fleet.price import dollars

Patterns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """What an event must carry besides its type: for each key one of its patterns (shell patterns, and case
    counts), or a number within its bounds. What is left out asks for nothing."""

    bid: Patterns = ()  # the bid's name or fid
    region: Patterns = ()
    type: Patterns = ()  # the instance type's name or fid
    project: Patterns = ()  # the project's name or fid
    provenance: Patterns = ()
    nodes: Bounds | None = None  # how many instances the bid asks for
    price: Bounds | None = None  # the bid's limit price, in cents: an undo is of the same price as what it undoes
    remaining: Bounds | None = None  # before the deadline, in milliseconds; judged again before each try


@dataclass(frozen=True, slots=True)
class Facts:
    """What routing must know of one event at the moment of its commit. None: the event carries no such thing."""

    type: str
    bid_name: str | None
    region: str | None
    instance_type: str | None
    instance_type_fid: str | None
    project: str | None
    project_name: str | None
    age: timedelta  # may be below zero where the two clocks differ
    left: timedelta | None  # before the deadline of the notice that it is about; below zero once that has passed
    bid: str | None = None
    provenance: str = "observed"
    nodes: int | None = None
    limit_cents: int | None = None


_OF_BIDS = ("bid", "region", "type", "project", "provenance", "nodes", "price")
_CARRIED = {
    "bid": _OF_BIDS,
    "instance": _OF_BIDS,
    "cluster": ("region", "project", "provenance"),
    "watch": ("project", "provenance"),
    "marketplace": ("provenance",),
    "credentials": ("provenance",),
}
_OF_NOTICES = ("bid.preempting", "instance.preempting", "instance.relocating", "instance.deadline_changed")


def carries(event_type: str, key: str) -> bool:
    """Whether events of a type can have something to show for a key of `match`. Of a family that is not known
    here it is taken for granted."""
    if key == "remaining":
        return event_type in _OF_NOTICES
    return key in _CARRIED.get(event_type.partition(".")[0], (key,))


def is_of_a_notice(event_type: str) -> bool:
    """Whether events of a type belong to a notice: open it, move its deadline, or take it back."""
    return event_type in _OF_NOTICES or event_type.endswith(".reprieved")


def mismatch(match: Match, facts: Facts) -> str | None:
    """Why an event does not match, None if it does. The time that is left is not looked at: see `too_little`."""
    wanted: tuple[tuple[str, Patterns, tuple[str | None, ...]], ...] = (
        ("bid", match.bid, (facts.bid_name, facts.bid)),
        ("region", match.region, (facts.region,)),
        ("type", match.type, (facts.instance_type, facts.instance_type_fid)),
        ("project", match.project, (facts.project_name, facts.project)),
        ("provenance", match.provenance, (facts.provenance,)),
    )
    for key, patterns, carried in wanted:
        if patterns and (reason := _no_pattern(patterns, carried)):
            return f"match.{key}: {reason}"
    if match.nodes is not None and (reason := _outside(match.nodes, facts.nodes, str(facts.nodes))):
        return f"match.nodes: {reason}"
    if match.price is not None:
        shown = dollars(facts.limit_cents) if facts.limit_cents is not None else ""
        if reason := _outside(match.price, facts.limit_cents, shown):
            return f"match.price: {reason}"
    if match.remaining is not None and facts.left is None:
        return "match.remaining: the event has no deadline"
    return None


def too_little(match: Match, left: timedelta | None) -> str | None:
    """Why the time that is left is not what the hook asks for, None if it is. For each try anew: it runs out."""
    if match.remaining is None or left is None or match.remaining.admit(left // timedelta(milliseconds=1)):
        return None
    return f'{max(left.total_seconds(), 0):.0f} s left, match.remaining is "{match.remaining.written}"'


def _no_pattern(patterns: Sequence[str], carried: tuple[str | None, ...]) -> str | None:
    values = [value for value in carried if value is not None]
    if not values:
        return "the event carries none"
    if any(fnmatchcase(value, pattern) for value in values for pattern in patterns):
        return None
    if len(patterns) == 1:
        return f'"{patterns[0]}" does not match "{values[0]}"'
    return f'none of {", ".join(f"{chr(34)}{one}{chr(34)}" for one in patterns)} matches "{values[0]}"'


def _outside(bounds: Bounds, value: int | None, shown: str) -> str | None:
    if value is None:
        return "the event carries none"
    return None if bounds.admit(value) else f'{shown} is not "{bounds.written}"'
