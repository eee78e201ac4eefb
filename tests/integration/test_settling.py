"""Ends of tries are kept together, and one that cannot be kept harms none of the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from mithrild.errors import StoreError
from mithrild.hooks.settling import Settler
from mithrild.store.outbox import Claim, End, Outcome
from tests.integration.store_builders import at


def an_end(id: str) -> End:
    return End(Claim(id, "hook", "run", 1, 1, 1, "{}", None), Outcome("done", "done"), at(0))


class Writer:
    """Holds its first write until it is let go, and refuses what is called so."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, ends: Sequence[End]) -> None:
        ids = [end.claim.id for end in ends]
        self.batches.append(ids)
        self.begun.set()
        assert self.go_on.wait(60)
        if "bad" in ids:
            raise StoreError("the disk refuses")


def test_what_ends_while_something_is_written_is_written_together() -> None:
    writer = Writer()

    async def main() -> None:
        settler = Settler(writer)
        first = asyncio.create_task(settler.settle(an_end("1")))
        await asyncio.to_thread(writer.begun.wait, 60)
        others = [asyncio.create_task(settler.settle(an_end(id))) for id in ("2", "3", "4")]
        await asyncio.sleep(0)
        assert not first.done()
        writer.go_on.set()
        await asyncio.gather(first, *others)
        await settler.settle(an_end("5"))

    asyncio.run(main())
    assert writer.batches == [["1"], ["2", "3", "4"], ["5"]]


def test_one_that_cannot_be_kept_is_told_so_and_the_others_are_kept() -> None:
    writer = Writer()
    writer.go_on.set()

    async def main() -> list[BaseException | None]:
        settler = Settler(writer)
        ends = (settler.settle(an_end(id)) for id in ("1", "bad", "2"))
        return list(await asyncio.gather(*ends, return_exceptions=True))

    first, bad, second = asyncio.run(main())
    assert (first, second) == (None, None)
    assert isinstance(bad, StoreError)
    assert writer.batches == [["1", "bad", "2"], ["1"], ["bad"], ["2"]]


def test_single_one_that_cannot_be_kept_is_tried_once() -> None:
    writer = Writer()
    writer.go_on.set()
    with pytest.raises(StoreError):
        asyncio.run(Settler(writer).settle(an_end("bad")))
    assert writer.batches == [["bad"]]
