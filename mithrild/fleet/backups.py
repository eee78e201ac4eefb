"""Which backups there are, when the next is due, and which may go: from the names of files alone. Pure.

A backup's time stands in its name, so nothing that a restart forgets is needed, and a copy keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

_NAME = re.compile(r"mithrild-([0-9]{8}T[0-9]{6}Z)\.db")
_HALF_MADE = re.compile(r"mithrild-[0-9]{8}T[0-9]{6}Z\.db\.(copy|partial)(-journal|-wal|-shm)?")
_STAMP = "%Y%m%dT%H%M%SZ"

FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=10), timedelta(hours=6)


def name_of(at: datetime) -> str:
    return f"mithrild-{at.astimezone(UTC).strftime(_STAMP)}.db"


def taken(names: Iterable[str]) -> dict[str, datetime]:
    """When each backup among these files was taken, the oldest first; other files are none of ours."""
    found: dict[str, datetime] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        try:
            if match is not None:
                found[name] = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
        except ValueError:  # the month of 13, say
            continue
    return dict(sorted(found.items(), key=lambda entry: entry[1]))


def half_made(names: Iterable[str]) -> list[str]:
    """Files that a daemon left behind which was killed while it made a backup."""
    return [name for name in names if _HALF_MADE.fullmatch(name)]


def free_moment(now: datetime, names: Iterable[str]) -> datetime:
    """The second whose name the next backup gets: now, or the first after it that no file has."""
    held, at = set(taken(names).values()), now.astimezone(UTC).replace(microsecond=0)
    while at in held:
        at += timedelta(seconds=1)
    return at


def due_at(backups: Mapping[str, datetime], every: timedelta | None, now: datetime) -> datetime | None:
    """When the next is due: in the past where it should have been made already; None where none ever is.

    One that bears a time which is still to come was made by a clock that has been set back since: it does not count.
    """
    if every is None:
        return None
    past = [at for at in backups.values() if at <= now]
    return max(past) + every if past else now


def after_failures(count: int) -> timedelta:
    """How long to wait after so many failures in a row, from 1."""
    return min(FIRST_RETRY * (1 << min(max(count, 1) - 1, 10)), LONGEST_RETRY)


def surplus(backups: Mapping[str, datetime], keep: int, made: str) -> list[str]:
    """What may go, the oldest first, now that `made` is there and verified. It is kept whatever its name says."""
    others = [name for name in sorted(backups, key=lambda name: backups[name]) if name != made]
    return others[: max(len(others) - (keep - 1), 0)]
