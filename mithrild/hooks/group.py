"""The process group of a hook: who is still in it, and how it is ended.

A hook is started as the leader of its own session, so its process id is also the id of its group. That id
stays taken for as long as one member lives, even after the leader has been reaped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

_FIRST_LOOK = 0.01
_SLOWEST_LOOK = 0.1
# What SIGKILL does not end in this many seconds hangs in the kernel, and no waiting helps.
_KILL_LIMIT = 2.0


def group_members(group: int) -> list[int]:
    """Process ids of the living members. A zombie is not one: its parent may never reap it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return []
    except PermissionError:
        pass  # members there are, none of which we may signal
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _lives_in(name, group)]


def _lives_in(pid: str, group: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return False
    # The name in parentheses may itself hold parentheses and spaces: the fields start behind the last one.
    state, _parent, of_group, *_ = text.rpartition(b")")[2].split()
    return int(of_group) == group and state not in (b"Z", b"X")


def signal_group(group: int, number: signal.Signals) -> None:
    """Signals every member that we may signal. A group that is gone is no error."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


async def wait_for_group(group: int, seconds: float) -> list[int]:
    """Waits until no member lives, at most `seconds`. Returns those that still do."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_LOOK
    while (members := group_members(group)) and (left := deadline - time.monotonic()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 2, _SLOWEST_LOOK)
    return members


async def end_group(group: int, kill_after: float) -> list[int]:
    """SIGTERM, up to `kill_after` seconds of grace, SIGKILL. Returns the members that live even then."""
    signal_group(group, signal.SIGTERM)
    # A stopped process takes its SIGTERM only once it goes on.
    signal_group(group, signal.SIGCONT)
    if not await wait_for_group(group, kill_after):
        return []
    signal_group(group, signal.SIGKILL)
    return await wait_for_group(group, _KILL_LIMIT)
