"""Waiting for work of ours: until it is done, for so long, or until the daemon stops."""

from __future__ import annotations

import asyncio
from typing import Any, Literal


async def wait_for(work: asyncio.Task[Any], stop: asyncio.Event, seconds: float) -> Literal["done", "stop", "timeout"]:
    """What ended the waiting. The work itself goes on, unless it is done."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    if work.done():
        return "done"
    return "stop" if stop.is_set() else "timeout"
