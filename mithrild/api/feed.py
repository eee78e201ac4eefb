"""The live feed. A follower reads rows by its own cursor; a commit only tells it to look.

So nothing is queued for anybody: a follower that is slow costs no memory, and one that does not read at all
is cut off after a while and goes on later from its last event id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mithrild.store import read
from mithrild.store.database import Database

BATCH = 200
ALIVE_EVERY = 15.0  # seconds of silence until a comment shows that the line stands
STALLED = 15.0  # seconds that a follower may leave a write unread

Send = Callable[[bytes], Awaitable[None]]


class Feed:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        """After a commit: every follower looks. The event is replaced, so that each sees every wake-up."""
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        self._closed = True
        self.wake()

    async def follow(
        self,
        after: int,
        patterns: list[str],
        project: str | None,
        bid: str | None,
        send: Send,
        *,
        imagined: bool = False,
    ) -> None:
        """Sends events from a cursor on, as server-sent events, until the feed closes or the follower stalls."""
        cursor = after
        clock = asyncio.get_running_loop().time
        written = clock()
        while not self._closed:
            news = self._news
            rows, cursor = await asyncio.to_thread(self._read, cursor, patterns, project, bid, imagined)
            if rows:
                await self._write(send, "".join(_block(id, type, body) for _, id, type, body in rows))
                written = clock()
                continue
            # News that this follower's filter leaves out are silence to it, however many there are.
            try:
                await asyncio.wait_for(news.wait(), max(written + ALIVE_EVERY - clock(), 0))
            except TimeoutError:
                await self._write(send, ": alive\n\n")
                written = clock()

    async def _write(self, send: Send, text: str) -> None:
        await asyncio.wait_for(send(text.encode()), STALLED)

    def _read(
        self, after: int, patterns: list[str], project: str | None, bid: str | None, imagined: bool
    ) -> tuple[list[tuple[int, str, str, str]], int]:
        """The next rows, and the cursor behind them: behind everything that the filter left out, too."""
        with self._database.read_kept() as connection:
            rows = read.events(
                connection,
                after=after,
                patterns=patterns,
                project=project,
                bid=bid,
                limit=BATCH,
                imagined=imagined,
            )
            return rows, rows[-1][0] if rows else max(after, read.last_sequence(connection))


def _block(id: str, type: str, body: str) -> str:
    """One event. The marketplace's own word stands in the type, and must not begin a line of its own."""
    return f"id: {id}\nevent: {' '.join(type.split())}\ndata: {body}\n\n"
