"""Writes the ends of tries down: all that wait, in one transaction.

Where hundreds of tries end within a second, a transaction for each would keep the disk, and every claim behind it.
Nobody goes on before his end is kept, so a stop of the daemon, which waits for all tries, leaves none behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mithrild.store.outbox import End


class Settler:
    """`write` keeps some ends together, or raises. It runs in a thread, once at a time."""

    def __init__(self, write: Callable[[Sequence[End]], None]) -> None:
        self._write = write
        self._waiting: list[tuple[End, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def settle(self, end: End) -> None:
        """Returns when it is kept. Raises what `write` raised for it."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((end, kept))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._work())
        await kept

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            if not await self._kept(batch) and len(batch) > 1:
                for one in batch:  # what cannot be kept must not keep the others from it
                    await self._kept([one], last=True)

    async def _kept(self, batch: list[tuple[End, asyncio.Future[None]]], *, last: bool = False) -> bool:
        """Whether they are. Only of one alone, or in the last go, is it told if they are not."""
        try:
            await asyncio.to_thread(self._write, [end for end, _ in batch])
        except Exception as error:
            if last or len(batch) == 1:
                _tell(batch[0][1], error)
            return False
        for _, kept in batch:
            _tell(kept, None)
        return True


def _tell(kept: asyncio.Future[None], error: Exception | None) -> None:
    if kept.done():
        return  # nobody waits any more
    if error is None:
        kept.set_result(None)
    else:
        kept.set_exception(error)
