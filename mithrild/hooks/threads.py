"""Threads for libraries that block: so many at once, and none that the daemon's end would wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """At most `limit` at a time. A place is free again when its thread has ended, not when nobody waits any more:
    what hangs may hang for long, but there is never more of it."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._places = asyncio.Semaphore(limit)

    async def call(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Cancelling ends the waiting, not the work."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            self._places.release()
            if answer.done():
                return  # nobody waits any more
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]  # None is a result where T is None

        def main() -> None:
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:
                failure = error
            with suppress(RuntimeError):  # the loop is closed: the daemon has ended
                loop.call_soon_threadsafe(settle, result, failure)

        # Not an executor's: Python waits for those at its end.
        threading.Thread(target=main, name=self._name, daemon=True).start()
        return await answer
