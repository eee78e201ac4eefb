"""Sees to the disk, beside everything else: what is held in memory is written down as soon as the disk takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mithrild.clock import Clock
from mithrild.store.database import Database

MEND_EVERY = 2.0  # seconds


async def mind_the_disk(database: Database, clock: Clock, on_commit: Callable[[], None]) -> None:
    """For ever. `on_commit` is called after what was held has been written."""
    mended = database.mended
    while True:
        await asyncio.to_thread(database.mend)
        if database.mended != mended:
            mended = database.mended
            on_commit()
        await clock.sleep(MEND_EVERY)
