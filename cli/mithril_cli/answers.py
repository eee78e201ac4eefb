"""Reading what the daemon answered, without trusting its shape, and saying how old it is."""

from __future__ import annotations

import time

from mithril_cli import output, times
from mithril_cli.errors import BrokenAnswer

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from typing import Any

    Object = dict[str, Any]


def objects(answer: Object, key: str) -> list[Object]:
    """The list of objects under `key`. Raises BrokenAnswer if it is anything else."""
    found = answer.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BrokenAnswer(f"the daemon's answer has no list of {key}: are both of the same version? (ml --version)")
    return found


def one(answer: Object, key: str) -> Object:
    """The object under `key`. Raises BrokenAnswer if it is anything else."""
    found = answer.get(key)
    if not isinstance(found, dict):
        raise BrokenAnswer(f"the daemon's answer has no {key}: are both of the same version? (ml --version)")
    return found


def part(answer: Object, key: str) -> Object:
    """The object under `key`, or an empty one: for what an answer may lack."""
    found = answer.get(key)
    return found if isinstance(found, dict) else {}


def words(value: object, absent: str = "-") -> str:
    """A value as a cell shows it."""
    if isinstance(value, str):
        return value or absent
    return absent if value is None else str(value)


def number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def status_word(status: object) -> str:
    """The API's word for a status as tables show it: `STATUS_RUNNING` is `running`, `Open` is `open`."""
    return words(status).removeprefix("STATUS_").lower()


def stale_line(freshness: Object) -> str | None:
    """What to say of an answer that is older than it should be, or is not written down; None for any other."""
    warning = words(freshness.get("warning"), "")
    if not freshness.get("stale"):
        return warning or None
    seconds, reason = number(freshness.get("age_seconds")), words(freshness.get("reason"), "")
    reasons = "; ".join(each for each in dict.fromkeys((reason, warning)) if each)
    why = f": {reasons}" if reasons else ""
    if seconds is None:
        untold = "the age of this cannot be told" if freshness.get("as_of") else "no poll has been completed yet"
        return f"{untold}{why}"
    return f"this is {times.age(seconds)} old{why}"


def tell_freshness(answer: Object) -> None:
    line = stale_line(part(answer, "freshness"))
    if line:
        output.note(line)


def remaining(thing: Object, now: float) -> str:
    """The time left until a deadline: `3m12s`, `~3m12s` where it is estimated, "" where there is none."""
    deadline = times.moment(thing.get("deadline"))
    if deadline is None:
        return ""
    return ("~" if thing.get("deadline_estimated") else "") + times.duration(deadline - now)


def present() -> float:
    return time.time()
