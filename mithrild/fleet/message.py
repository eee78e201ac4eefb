"""What a person is told of events, at 3 a.m., on a telephone: what, which, how long is left, what it costs. Pure.

A title of at most 60 characters and at most four lines. Several nodes of one bid make one message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal

LONGEST_TITLE = 60
LONGEST_NAME = 28
MOST_NAMES = 4  # of nodes; of more, how many they are

Mood = Literal["info", "success", "warning", "failure"]
Event = Mapping[str, Any]

# What each type of event is called, of one node or of the bid itself; whose type is not here is called by its own word.
_WORDS: dict[str, tuple[str, Mood]] = {
    "bid.placed": ("placed", "info"),
    "bid.allocated": ("allocated", "info"),
    "bid.preempting": ("preempted", "warning"),
    "bid.reprieved": ("reprieved, it goes on", "success"),
    "bid.reopened": ("stopped, competes again", "warning"),
    "bid.paused": ("paused", "info"),
    "bid.resumed": ("resumed", "info"),
    "bid.terminated": ("ended", "info"),
    "bid.limit_changed": ("limit price changed", "info"),
    "bid.memory_changed": ("memory changed", "info"),
    "bid.volumes_changed": ("volumes changed", "info"),
    "bid.gone": ("gone from the marketplace", "warning"),
    "bid.running": ("all nodes run", "success"),
    "bid.degraded": ("not all nodes run any more", "warning"),
    "instance.preempting": ("preempted", "warning"),
    "instance.relocating": ("relocated", "warning"),
    "instance.reprieved": ("reprieved", "success"),
    "instance.preempted": ("stopped by the preemption", "warning"),
    "instance.running": ("running", "success"),
    "instance.error": ("in error", "failure"),
    "instance.gone": ("gone from the marketplace", "warning"),
    "instance.deadline_changed": ("deadline moved", "warning"),
    "instance.host_key_changed": ("another host key", "failure"),
    "marketplace.unreachable": ("the marketplace cannot be reached", "failure"),
    "marketplace.recovered": ("the marketplace answers again", "success"),
    "credentials.rejected": ("the API key is refused", "failure"),
    "watch.gap": ("nobody watched for a while", "warning"),
    "hook.dead": ("gave up", "failure"),
    "hook.disabled": ("switched off", "failure"),
}


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    body: str
    mood: Mood


def compose(events: Sequence[Event], *, deadline: datetime | None, now: datetime, zone: tzinfo | None) -> Message:
    """One message of one event, or of the same event of several nodes of a bid.

    `deadline` is that of their notice as it stands now; `zone` is the reader's, None for this machine's own.
    """
    first = events[0]
    data = first["data"]
    words, mood = _WORDS.get(first["type"], (first["type"].replace("_", " "), "info"))
    left = None if deadline is None else _left((deadline - now).total_seconds())
    title = _title(events, words, left)
    lines = [
        _which(events, first["type"]),
        _until(data, deadline, zone) or _when(first, zone),
        _price(data),
        _what_to_do(first),
    ]
    return Message(title, "\n".join(line for line in lines if line), mood)


def _title(events: Sequence[Event], words: str, left: str | None) -> str:
    first = events[0]
    family, data = first["type"].partition(".")[0], first["data"]
    if family == "hook":
        bid = f" on {_short(data['bid']['name'])}" if data["bid"] else ""
        title = f"hook {_short(data['hook']['name'])} {words}{bid}"
    elif family == "instance" and len(events) > 1:
        title = f"{_name(first)}: {len(events)} nodes {words}"
    elif family in ("bid", "instance", "cluster"):
        title = f"{_name(first)}: {words}"
    else:
        title = words[:1].upper() + words[1:]
    if data["provenance"] == "simulated":
        title = f"DRILL {title}"
    end = f", {left}" if left else ""
    return _cut(title, LONGEST_TITLE - len(end)) + end


def _name(event: Event) -> str:
    """Of several nodes the bid's; of one its own, which mostly tells the bid too."""
    data = event["data"]
    thing = data["bid"] or data["instance"] or data["cluster"]
    return _short(thing["name"] or thing["fid"]) if thing else _short(event["subject"])


def _which(events: Sequence[Event], type: str) -> str:
    data = events[0]["data"]
    if type.startswith("hook."):
        return _short(data["hook"]["reason"], 200)
    names = [(one["data"]["instance"] or {}).get("name") for one in events]
    nodes = [_short(name) for name in names if name]
    shown = ", ".join(nodes[:MOST_NAMES]) + (f" and {len(nodes) - MOST_NAMES} more" if len(nodes) > MOST_NAMES else "")
    place = " in ".join(part for part in (data["instance_type"] or data["instance_type_fid"], data["region"]) if part)
    return " – ".join(part for part in (shown, place) if part)


def _left(seconds: float) -> str:
    if seconds < 0:
        return "its time is over"
    if seconds < 60:
        return f"{int(seconds)} s left"
    return f"{int(seconds // 60)} min left"


def _until(data: Mapping[str, Any], deadline: datetime | None, zone: tzinfo | None) -> str | None:
    if deadline is None:
        return None
    about = "about " if data["deadline_estimated"] else ""
    return f"Until {about}{_time(deadline, zone)}"


def _when(event: Event, zone: tzinfo | None) -> str:
    data = event["data"]
    at = f"At {_time(datetime.fromisoformat(event['time']), zone)}"
    if event["type"] == "bid.limit_changed" and data["from"]:
        return f"{data['from']} → {data['to']}, {at[:1].lower()}{at[1:]}"
    return at


def _time(moment: datetime, zone: tzinfo | None) -> str:
    return f"{moment.astimezone(zone):%H:%M:%S %Z}".strip()


def _price(data: Mapping[str, Any]) -> str | None:
    """Verbatim figures: what an hour is an hour of (an instance, a GPU) nobody outside knows for certain."""
    spot, limit = data["spot_price_cents"], (data["bid"] or {}).get("limit_price_cents")
    parts = [
        f"{word} ${cents // 100}.{cents % 100:02d}"
        for word, cents in (("spot price", spot), ("limit", limit))
        if cents is not None
    ]
    return (", ".join(parts)[:1].upper() + ", ".join(parts)[1:] + " an hour") if parts else None


def _what_to_do(event: Event) -> str | None:
    """The one command that helps now, where there is one."""
    bid = event["data"]["bid"]
    match event["type"]:
        case "bid.preempting" | "instance.preempting" | "bid.reopened" if bid:
            return f"To outbid: ml instance update {_word(bid['name'])} -m PRICE"
        case "bid.running" if bid:
            return f"Log in: ml ssh {_word(bid['name'])}"
        case "hook.dead" | "hook.disabled":
            return f"More: ml hooks show {event['data']['hook']['delivery']}"
        case "credentials.rejected":
            return "More: ml setup --check"
        case _:
            return None


def _word(name: str) -> str:
    """A name as it can be pasted, or what is meant by it."""
    return name if name and all(sign.isalnum() or sign in "-._" for sign in name) and name[0] != "-" else "NAME"


def _short(name: str, most: int = LONGEST_NAME) -> str:
    """One printable line: a name may hold anything, and this goes to telephones."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())
    return _cut(line, most)


def _cut(line: str, most: int) -> str:
    return line if len(line) <= most else line[: most - 1] + "…"
