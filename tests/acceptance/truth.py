"""Compares what the daemon recorded with what the sandbox says really happened."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

Step = dict[str, Any]
NOTICES = ("instance.preempting", "instance.relocating", "bid.preempting")


def word(status: str) -> str:
    return status.removeprefix("STATUS_").lower()


def status_events(events: list[Step]) -> list[Step]:
    """The events that stand for a change of status of a bid or an instance: what the timeline has too."""
    derived = {"bid.running", "bid.degraded", "instance.deadline_changed", "bid.limit_changed"}
    return [
        event
        for event in events
        if event["type"].partition(".")[0] in ("bid", "instance") and event["type"] not in derived
    ]


def unmatched(
    timeline: list[Step], events: list[Step], *, since: datetime, poll: timedelta
) -> tuple[list[Step], list[Step]]:
    """(what lasted over two polls and is no event, events that nothing on the timeline stands for).

    A step is matched by at most one event: the latest one of its subject with its target status that was
    seen while the step was so (or within a poll of its end: answers travel). An event from the marketplace's
    history was not seen: its own time says which step it is.
    """
    steps = [step for step in timeline if step["kind"] in ("bid", "instance") and step["aspect"] == "status"]
    taken: set[int] = set()
    invented = []
    for event in status_events(events):
        seen = _time(event["data"]["observed_at"])
        told = event["data"]["occurred_at"] if event["data"]["provenance"] == "backfilled" else None
        fits = [
            step
            for step in steps
            if step["subject"] == event["subject"]
            and word(step["to"]) == event["data"]["to"]
            and step["seq"] not in taken
            and (told is None or abs(_time(step["at"]) - _time(told)) <= timedelta(seconds=1))
            and _time(step["at"]) <= seen
            and (told or event["type"] == "bid.placed" or _end(step, steps) >= seen - 4 * poll)
        ]
        if fits:
            taken.add(fits[-1]["seq"])
        else:
            invented.append(event)
    missed = [
        step
        for step in steps
        if step["seq"] not in taken and _time(step["at"]) > since and _end(step, steps) - _time(step["at"]) > 2 * poll
    ]
    return missed, invented


def was_overtaken(event: Step, timeline: list[Step], *, by: str) -> bool:
    """Whether a hook may put it aside: a notice, or what was told late, whose subject had gone on by then."""
    may = event["type"] in NOTICES or event["data"]["provenance"] == "backfilled"
    return may and any(
        _time(event["time"]) < _time(step["at"]) <= _time(by)
        for step in timeline
        if step["subject"] == event["subject"]
    )


def _end(step: Step, steps: list[Step]) -> datetime:
    """When the subject went on to its next status."""
    later = (
        _time(other["at"]) for other in steps if other["subject"] == step["subject"] and other["seq"] > step["seq"]
    )
    return min(later, default=datetime.max.replace(tzinfo=_time(step["at"]).tzinfo))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
