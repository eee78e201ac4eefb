"""Asks the marketplace how long is left. Its answers are worth a short wait, never a long one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from loguru import logger

from mithrild.clock import Clock
from mithrild.errors import MarketplaceError
from mithrild.fleet.lifecycle import NOTICED
from mithrild.fleet.notices import in_our_time
from mithrild.marketplace.client import Marketplace

AT_ONCE = 8


async def ask_deadlines(
    marketplace: Marketplace, clock: Clock, instances: Sequence[str], *, seconds: float
) -> dict[str, datetime]:
    """fid -> deadline, for those that answered within `seconds` in all. The others keep their estimate.

    The marketplace says when by its own clock. Where that clearly differs from ours, the deadline is told in
    ours: it is compared with ours from here on, and shown to a person who looks at ours. A refused or failed
    request is no trouble of its own: the poll around it has met the same marketplace.
    """
    if not instances:
        return {}
    places = asyncio.Semaphore(AT_ONCE)
    told: dict[str, datetime] = {}

    async def ask(fid: str) -> None:
        async with places:
            try:
                answer = (await marketplace.instance_status(fid, urgent=True)).value
            except MarketplaceError as error:
                logger.debug("no deadline of {}: {}", fid, error)
                return
            if answer.end_time is not None and answer.status in NOTICED:
                told[fid] = in_our_time(answer.end_time, marketplace.skew or timedelta(), clock.now())

    tasks = [asyncio.create_task(ask(fid)) for fid in instances]
    try:
        await asyncio.wait(tasks, timeout=seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return told
