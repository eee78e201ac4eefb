"""The live feed: nothing lost, nothing twice, and no follower in another's way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mithrild import __version__
from mithrild.api import feed as module
from tests.integration.api_on_socket import Api, Follower, on_socket, serving
from tests.integration.store_builders import (
    PREEMPTING,
    RUNNING,
    STARTING,
    a_bid,
    an_instance,
    keep,
    opened,
    poll,
    sql,
    until,
)


def first_sight(api: Api) -> None:
    """A bid that wants more machines than it has, so that its own health is never news."""
    keep(api.database, poll(0, a_bid(instance_quantity=9), an_instance(status=STARTING)))


def step(api: Api, n: int, status: str | None = None) -> None:
    """The nth poll sees a step of the machine, and everybody is told to look."""
    status = status or (RUNNING if n % 2 else STARTING)
    keep(api.database, poll(60 * n, an_instance(status=status), whole=frozenset()))
    api.feed.wake()


def stored(api: Api) -> list[dict[str, str]]:
    rows = sql(api.database, "SELECT id, type, body FROM events ORDER BY sequence")
    return [{"id": id, "event": type, "data": body} for id, type, body in rows]


def followers() -> int:
    """How many the server attends to at this moment."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return sum(getattr(one, "__qualname__", "") == module.Feed.follow.__qualname__ for one in coroutines)


def test_event_arrives_as_it_is_stored(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        first_sight(api)
        async with Follower.of(api) as follower:
            assert follower.status == "200 OK"
            assert follower.headers["content-type"] == "text/event-stream"
            assert follower.headers["mithrild-version"] == __version__
            assert await follower.blocks(1) == [": connected"]
            step(api, 1)
            (event,) = await follower.events(1)
            assert event == stored(api)[0]
            assert json.loads(event["data"])["id"] == event["id"]
            step(api, 2)
            step(api, 3)
            assert await follower.events(2) == stored(api)[1:]
        await until(lambda: followers() == 0)

    on_socket(tmp_path, test)


def test_without_a_cursor_the_feed_begins_at_the_present(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        first_sight(api)
        step(api, 1)
        async with Follower.of(api) as follower:
            step(api, 2)
            assert await follower.events(1) == stored(api)[1:]

    on_socket(tmp_path, test)


def test_follower_goes_on_behind_the_event_that_it_names(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        first_sight(api)
        for n in range(1, 6):
            step(api, n)
        everyone = stored(api)
        third = everyone[2]["id"]
        for query, headers in (
            ("", {"Last-Event-ID": third}),
            (f"?after={third}", {}),
            (f"?after={third.rpartition('_')[2]}", {}),
            ("?after=0", {"Last-Event-ID": third}),
        ):
            async with Follower.of(api, query, headers) as follower:
                assert await follower.events(2) == everyone[3:]
        async with Follower.of(api, "?after=0") as follower:
            assert await follower.events(5) == everyone

    on_socket(tmp_path, test)


def test_follower_that_loses_its_connection_again_and_again_misses_nothing(tmp_path: Path) -> None:
    rounds = 60

    async def test(api: Api) -> None:
        first_sight(api)

        async def write() -> None:
            for n in range(1, rounds + 1):
                seen = poll(60 * n, an_instance(status=f"STATUS_{n}"), whole=frozenset())
                await asyncio.to_thread(keep, api.database, seen)
                api.feed.wake()

        writing = asyncio.create_task(write())
        got: list[dict[str, str]] = []
        while len(got) < rounds:
            headers = {"Last-Event-ID": got[-1]["id"]} if got else {}
            async with Follower.of(api, "?after=0", headers) as follower:
                got += await follower.events(min(7, rounds - len(got)))
        await writing
        assert got == stored(api)

    on_socket(tmp_path, test)


def test_feed_is_filtered_by_type_and_bid(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        first_sight(api)
        keep(api.database, poll(1, a_bid("bid_2", "Open", name="other")))
        async with (
            Follower.of(api, "?type=*.preempting&type=bid.*") as by_type,
            Follower.of(api, "?bid=other") as by_bid,
            Follower.of(api, "?bid=name-of-bid_1&type=instance.starting") as by_both,
        ):
            step(api, 1)
            step(api, 2, PREEMPTING)
            step(api, 4)
            keep(api.database, poll(300, a_bid("bid_2", "Paused", name="other"), whole=frozenset()))
            api.feed.wake()
            assert [event["event"] for event in await by_type.events(2)] == ["instance.preempting", "bid.paused"]
            assert [event["event"] for event in await by_bid.events(1)] == ["bid.paused"]
            assert [event["event"] for event in await by_both.events(1)] == ["instance.starting"]

    on_socket(tmp_path, test)


def test_silent_line_shows_that_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALIVE_EVERY", 0.05)
    looks: list[int] = []
    look = module.Feed._read

    def counted(feed: module.Feed, after: int, *filters: Any) -> Any:
        looks.append(after)
        return look(feed, after, *filters)

    monkeypatch.setattr(module.Feed, "_read", counted)

    async def test(api: Api) -> None:
        first_sight(api)
        async with Follower.of(api) as follower:
            assert await follower.blocks(4) == [": connected", ": alive", ": alive", ": alive"]
            step(api, 1)
            assert await follower.events(1) == stored(api)
            await follower.blocks(3)
        # It looks when it is told to, and when it has shown that it is alive: never in circles.
        assert len(looks) < 20

    on_socket(tmp_path, test)


def test_news_that_a_follower_does_not_want_are_silence_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALIVE_EVERY", 0.3)

    async def test(api: Api) -> None:
        first_sight(api)
        async with Follower.of(api, "?type=bid.gone") as follower:

            async def chatter() -> None:
                while True:
                    api.feed.wake()
                    await asyncio.sleep(0.01)

            chattering = asyncio.create_task(chatter())
            assert await follower.blocks(3) == [": connected", ": alive", ": alive"]
            chattering.cancel()

    on_socket(tmp_path, test)


def many_and_large(api: Api, count: int) -> None:
    """More than all buffers between server and follower hold."""
    bids = [a_bid(f"bid_{n}", "Open", name="x" * 20_000) for n in range(count)]
    keep(api.database, poll(1, *bids, whole=frozenset()))
    api.feed.wake()


def test_follower_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        first_sight(api)
        async with (
            Follower.of(api, read=False),
            Follower.of(api) as reading,
        ):
            await until(lambda: followers() == 2)
            many_and_large(api, 150)
            assert await reading.events(150) == stored(api)
            step(api, 1)
            assert await reading.events(1) == stored(api)[150:]
            assert len((await api.get("/bids", limit=1))["bids"]) == 1

    on_socket(tmp_path, test)


def test_follower_that_does_not_read_is_cut_off_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALLED", 0.2)
    monkeypatch.setattr(module, "BATCH", 10)

    async def test(api: Api) -> None:
        first_sight(api)
        async with Follower.of(api, read=False) as stalled:
            await until(lambda: followers() == 1)
            many_and_large(api, 150)
            await until(lambda: followers() == 0)
            await stalled.head()
            blocks = (await stalled.to_the_end()).split("\n\n")
        whole = [block for block in blocks[:-1] if not block.startswith(":")]
        assert 0 < len(whole) < 150
        last = whole[-1].split("\n")[0].removeprefix("id: ")
        async with Follower.of(api, headers={"Last-Event-ID": last}) as follower:
            rest = await follower.events(150 - len(whole))
        ids = [block.split("\n")[0].removeprefix("id: ") for block in whole] + [event["id"] for event in rest]
        assert ids == [event["id"] for event in stored(api)]

    on_socket(tmp_path, test)


def test_end_of_the_feed_ends_the_answer(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        first_sight(api)
        async with Follower.of(api) as follower:
            await follower.blocks(1)
            api.feed.close()
            assert await follower.to_the_end() == ""
        await until(lambda: followers() == 0)

    on_socket(tmp_path, test)


@pytest.mark.parametrize("word", ["EVIL\nid: evt_0_9\ndata: {}\n\nid: x", "CR\rdata: {}", "TWO WORDS"])
def test_word_of_the_marketplace_cannot_break_out_of_its_line(tmp_path: Path, word: str) -> None:
    async def test(api: Api) -> None:
        first_sight(api)
        async with Follower.of(api) as follower:
            step(api, 1, f"STATUS_{word}")
            (event,) = await follower.events(1)
            assert list(event) == ["id", "event", "data"]
            assert event["id"] == stored(api)[0]["id"]
            assert "\r" not in event["event"]
            assert json.loads(event["data"])["type"] == stored(api)[0]["event"]
            step(api, 2)
            assert await follower.events(1) == stored(api)[1:]

    on_socket(tmp_path, test)


def test_daemon_stops_with_a_follower_at_the_line(tmp_path: Path) -> None:
    async def main() -> None:
        with opened(tmp_path / "state") as database:
            async with serving(database, tmp_path) as api:
                first_sight(api)
                reader, writer = await asyncio.open_unix_connection(api.path)
                writer.write(b"GET /v1/events/stream HTTP/1.1\r\nhost: mithrild\r\n\r\n")
                await until(lambda: followers() == 1)
            assert (await reader.read()).endswith(b"0\r\n\r\n")
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())
