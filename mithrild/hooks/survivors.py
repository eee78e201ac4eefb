"""Finds and ends what an earlier daemon's hooks left running, by a mark in the environment.

The dispatcher gives every command `MITHRILD_DELIVERY=<id>`. A child inherits it even when it leaves the
group, and after a crash of the daemon it is the only tie that is left: a command is repeated only when nothing
of its last try still runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loguru import logger

DELIVERY_MARK = "MITHRILD_DELIVERY"

_LOOK_EVERY = 0.05
_KILL_LIMIT = 2.0


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process whose environment holds the mark. `value` is the id of its delivery."""

    pid: int
    value: str


def survivors(mark: str, values: Collection[str]) -> list[Survivor]:
    """Processes of this uid that were started with the variable `mark` set to one of `values`.

    Left out: this process, and every process whose environment may not be read. The environment is the one
    of the exec: a process that has written over it is not found.
    """
    wanted = frozenset(values)
    found = []
    for name in os.listdir("/proc") if wanted else ():
        if name.isdecimal() and int(name) != os.getpid():
            value = _value(int(name), mark)
            if value in wanted:
                found.append(Survivor(int(name), value))
    return found


async def end_survivors(ids: Collection[str], *, kill_after: float = 2.0) -> dict[str, int]:
    """Ends the survivors of these deliveries: SIGTERM, `kill_after` seconds of grace, SIGKILL.

    Returns how many processes were ended for each id that had any.
    """
    seen: set[Survivor] = set()
    begun = time.monotonic()
    # Looking anew each time finds what was forked in between, and never trusts a number seen before.
    while left := survivors(DELIVERY_MARK, ids):
        waited = time.monotonic() - begun
        if waited > kill_after + _KILL_LIMIT:
            logger.warning("{} processes of earlier hooks could not be ended: {}", len(left), left)
            break
        for survivor in left:
            if waited >= kill_after:
                _signal(survivor, signal.SIGKILL)
            elif survivor not in seen:
                _signal(survivor, signal.SIGTERM)
                _signal(survivor, signal.SIGCONT)
        seen.update(left)
        await asyncio.sleep(_LOOK_EVERY)
    return dict(Counter(survivor.value for survivor in seen.difference(left)))


def _value(pid: int, mark: str) -> str | None:
    """The value of the variable in the environment of a process of ours, or None."""
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return None
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except OSError:
        return None
    start = os.fsencode(mark) + b"="
    for entry in environment.split(b"\0"):
        if entry.startswith(start):
            return os.fsdecode(entry.removeprefix(start))
    return None


def _signal(survivor: Survivor, number: signal.Signals) -> None:
    """Signals the process if it still is the one that was found."""
    with _pidfd(survivor.pid) as pidfd:
        # The number may have gone to another process since it was found. A pidfd stands for one process for
        # ever, so what is read after it was opened is true of the process that gets the signal.
        if _value(survivor.pid, DELIVERY_MARK) != survivor.value:
            return
        try:
            if pidfd is None:
                os.kill(survivor.pid, number)
            else:
                signal.pidfd_send_signal(pidfd, number)
        except (ProcessLookupError, PermissionError):
            return


@contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    """None where the kernel has no pidfds (before Linux 5.3, some sandboxes), or the process is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        yield pidfd
    finally:
        os.close(pidfd)
