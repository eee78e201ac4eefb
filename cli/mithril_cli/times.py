"""Moments and durations, read from the wire and said in few letters. Moments are epoch seconds here."""

from __future__ import annotations

import time
from datetime import UTC, datetime

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(stamp: object) -> float | None:
    """An RFC 3339 time as epoch seconds; None for null and for what cannot be read. Without a zone it is UTC."""
    if not isinstance(stamp, str):
        return None
    try:
        read = datetime.fromisoformat(stamp)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def since(text: str, now: float) -> str:
    """`--since` as an RFC 3339 time in UTC: an age (`2h`, `1h30m`) or a time (local, where it names no zone).

    Raises ValueError for anything else.
    """
    age = span(text.strip().lower())
    try:
        start = datetime.fromisoformat(text.strip()).timestamp() if age is None else now - age
        return datetime.fromtimestamp(start, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, OSError) as error:
        raise ValueError(text) from error


def stamp(at: float) -> str:
    """A moment as an RFC 3339 time in UTC, to the second."""
    return datetime.fromtimestamp(int(at), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def next_wall(text: str, now: float) -> float | None:
    """The next moment at which a clock here shows `07:00`; or a time with its date, local where it names no zone.

    None for anything else. A time that a change to summer time leaves out, or brings twice, is one of the two that
    may be meant.
    """
    clock = text.strip()
    hours, colon, minutes = clock.partition(":")
    digits = (hours + minutes).isascii() and hours.isdigit() and minutes.isdigit()
    if not (colon and digits and len(hours) <= 2 and len(minutes) == 2):
        return moment_here(clock)
    if int(hours) > 23 or int(minutes) > 59:
        return None
    here = time.localtime(now)
    for day in (here.tm_mday, here.tm_mday + 1):
        # mktime knows the calendar, and whether it is summer then.
        at = time.mktime((here.tm_year, here.tm_mon, day, int(hours), int(minutes), 0, 0, 0, -1))
        if at > now:
            return at
    return None


def moment_here(text: str) -> float | None:
    """A time with its date as epoch seconds, local where it names no zone."""
    try:
        return datetime.fromisoformat(text).timestamp() if "-" in text else None
    except (ValueError, OverflowError, OSError):
        return None


def span(text: str) -> int | None:
    """What `2h`, `1h30m` and the like last; None for anything else."""
    total, digits = 0, ""
    for character in text:
        if character.isascii() and character.isdigit():
            digits += character
        elif character in UNITS and 0 < len(digits) < 10:
            total += int(digits) * UNITS[character]
            digits = ""
        else:
            return None
    return None if digits or not text else total


def duration(seconds: float) -> str:
    """Two units, for something that is counted down or was timed: `45s`, `3m12s`, `2h05m`, `3d04h`."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def age(seconds: float) -> str:
    """One unit, for how old something is: `45s`, `4m`, `2h`, `3d`."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    return f"{whole // 3600}h" if whole < 86400 else f"{whole // 86400}d"


def local(at: float | None, now: float) -> str:
    """A moment on this machine's clock: `14:02:11`, with the date in front when it is not today's."""
    if at is None:
        return "-"
    try:
        there, here = time.localtime(at), time.localtime(now)
    except (ValueError, OverflowError, OSError):
        return "-"
    clock = time.strftime("%H:%M:%S", there)
    return clock if there[:3] == here[:3] else time.strftime("%Y-%m-%d ", there) + clock
