"""The words of bids and instances, how long each step takes, and which way a bid goes. Pure tables.

All durations are nominal seconds: what they would take at speed 1.
"""

from __future__ import annotations

import itertools
import zlib
from enum import StrEnum
from typing import Literal

AUCTION_EVERY = 120.0
FIRST_AUCTION = 15.0
NOTICE = 300.0
"""Between the notice of a preemption or a relocation and the stop."""
CLUSTER_READY = 1800.0


class BidStatus(StrEnum):
    OPEN = "Open"
    ALLOCATED = "Allocated"
    PREEMPTING = "Preempting"
    PAUSED = "Paused"
    TERMINATED = "Terminated"


class ClusterStatus(StrEnum):
    PENDING = "Pending"
    AVAILABLE = "Available"
    TERMINATED = "Terminated"


class BidEvent(StrEnum):
    """The words of a bid's history. It has none for a return to Open."""

    PLACED = "Placed"
    PAUSED = "Paused"
    RESUMED = "Resumed"
    TERMINATED = "Terminated"
    ALLOCATED = "Allocated"
    PREEMPTED = "Preempted"
    LIMIT_CHANGED = "Limit Price Changed"
    MEMORY_ADJUSTED = "Memory Adjusted"
    VOLUMES_ATTACHED = "Volumes Attached"
    VOLUMES_REMOVED = "Volumes Removed"


NEW = "STATUS_NEW"
CONFIRMED = "STATUS_CONFIRMED"
SCHEDULED = "STATUS_SCHEDULED"
INITIALIZING = "STATUS_INITIALIZING"
STARTING = "STATUS_STARTING"
RUNNING = "STATUS_RUNNING"
STOPPING = "STATUS_STOPPING"
TERMINATED = "STATUS_TERMINATED"
RELOCATING = "STATUS_RELOCATING"
PREEMPTING = "STATUS_PREEMPTING"
PREEMPTED = "STATUS_PREEMPTED"
REPLACED = "STATUS_REPLACED"
PAUSED = "STATUS_PAUSED"
ERROR = "STATUS_ERROR"

Queryable = Literal[
    "STATUS_NEW", "STATUS_CONFIRMED", "STATUS_INITIALIZING", "STATUS_STARTING", "STATUS_RUNNING", "STATUS_STOPPING",
    "STATUS_TERMINATED", "STATUS_RELOCATING", "STATUS_PREEMPTING", "STATUS_PREEMPTED", "STATUS_REPLACED",
    "STATUS_PAUSED", "STATUS_ERROR",
]  # fmt: skip
"""The statuses that a query may name. STATUS_SCHEDULED is shown all the same, as the vendor's documentation does."""

FINAL = frozenset((TERMINATED, REPLACED))
STOPPED = frozenset((PREEMPTED, PAUSED, "STATUS_STOPPED"))
NOTICED = frozenset((PREEMPTING, RELOCATING))

_BOOT = (NEW, CONFIRMED, SCHEDULED, INITIALIZING, STARTING, RUNNING)
_DWELL = {NEW: 10.0, CONFIRMED: 10.0, SCHEDULED: 15.0, INITIALIZING: 60.0, STARTING: 60.0, STOPPING: 20.0}

Plan = tuple[tuple[float, str], ...]
"""What comes next: (seconds in the status before, next status), step after step."""


def boot(status: str, *, scheduled: bool) -> Plan:
    """The way from `status` to RUNNING. Empty for a status that is no part of a boot."""
    if status not in _BOOT:
        return ()
    steps = [word for word in _BOOT if scheduled or word in (status, RUNNING) or word != SCHEDULED]
    ahead = steps[steps.index(status) :]
    return tuple((_DWELL[before], after) for before, after in itertools.pairwise(ahead))


def revival(status: str) -> Plan:
    """The way of an instance that was stopped, or is stopping, and whose bid is allocated again."""
    wait = _DWELL[STOPPING] if status == STOPPING else 0.0
    return ((wait, STARTING), (_DWELL[STARTING], RUNNING))


def stop(end: str) -> Plan:
    return ((0.0, STOPPING), (_DWELL[STOPPING], end))


def restart() -> Plan:
    """The end of a relocation: stop here, start there."""
    return (*stop(STARTING), (_DWELL[STARTING], RUNNING))


def after_reprieve(before: str) -> str:
    """The status to which a reprieve brings back an instance that was in `before` when the notice came."""
    if before in _BOOT:
        return before
    return STARTING if before == STOPPING else RUNNING


Fate = Literal["keep", "move", "replace"]
"""On re-allocation: the same fid and address; the same fid, another address; another fid."""
_FATES: tuple[Fate, Fate, Fate] = ("replace", "move", "keep")


class Temper:
    """What the marketplace does not promise, settled per bid and allocation so that a client meets every way.

    Nobody outside knows whether instances keep their fid or address after a preemption, or which statuses
    come between. The choice depends on the fid and the count alone, so the same seed shows the same life.
    """

    __slots__ = ("_salt",)

    def __init__(self, fid: str) -> None:
        self._salt = zlib.crc32(fid.encode())

    @property
    def scheduled(self) -> bool:
        """Whether its instances show STATUS_SCHEDULED while they boot."""
        return self._salt % 2 == 0

    def preempts_by_way_of_stopping(self, allocations: int) -> bool:
        return (self._salt // 2 + allocations) % 2 == 0

    def fate(self, allocations: int) -> Fate:
        """What a re-allocation makes of the instances that the bid still has."""
        return _FATES[(self._salt + allocations) % 3]
