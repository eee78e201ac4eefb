"""The tries that are under way: how many in each lane, and how each is told to come to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from mithrild.store.outbox import Lane


class Try:
    """`stop` is set for its end at once; `overtaken` says why, where it is not the end of the daemon. `rehearsal` is
    the test or drill that it belongs to."""

    def __init__(self, rehearsal: str | None = None) -> None:
        self.rehearsal = rehearsal
        self.stop = asyncio.Event()
        self.overtaken: str | None = None


class UnderWay:
    def __init__(self) -> None:
        self._of: dict[Lane, dict[str, tuple[Try, asyncio.Task[None]]]] = {}

    def begin(
        self,
        lane: Lane,
        id: str,
        work: Callable[[Try], Coroutine[Any, Any, None]],
        freed: Callable[[], None],
        rehearsal: str | None = None,
    ) -> None:
        """`freed` is called when the try has ended, and its place in the lane is free again."""
        one = Try(rehearsal)
        task = asyncio.create_task(work(one), name=id)
        of_lane = self._of.setdefault(lane, {})
        of_lane[id] = (one, task)

        def ended(_: object) -> None:
            of_lane.pop(id, None)
            freed()

        task.add_done_callback(ended)

    def count(self, lane: Lane) -> int:
        return len(self._of.get(lane, ()))

    def tasks(self) -> list[asyncio.Task[None]]:
        return [task for of_lane in self._of.values() for _, task in of_lane.values()]

    def overtake(self, lane: Lane, id: str, why: str) -> None:
        """Ends a try for something newer. One that has just ended needs no ending."""
        one, _ = self._of.get(lane, {}).get(id, (None, None))
        if one is not None:
            _end(one, why)

    def end_rehearsal(self, rehearsal: str, why: str) -> int:
        """Ends what runs for a test or drill. How many tries that is."""
        found = [one for of_lane in self._of.values() for one, _ in of_lane.values() if one.rehearsal == rehearsal]
        for one in found:
            _end(one, why)
        return len(found)

    def stop(self) -> None:
        for of_lane in self._of.values():
            for one, _ in of_lane.values():
                one.stop.set()


def _end(one: Try, why: str) -> None:
    if not one.stop.is_set():
        one.overtaken = why
        one.stop.set()
