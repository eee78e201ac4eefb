"""Notifications through apprise, to a service that we play on loopback, and to a desktop program of ours."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from mithrild.config import Hook
from mithrild.config.notifying import apprise
from mithrild.hooks import notify as module
from mithrild.store.database import Database
from tests.integration.store_builders import (
    PREEMPTING,
    HandClock,
    a_bid,
    a_rule,
    a_script,
    an_instance,
    deliveries,
    dispatching,
    keep,
    opened,
    poll,
    sql,
    until,
    until_it_says,
)
from tests.integration.webhook_server import Behaviour, Message, Receiver, says

apprise()  # takes a while, which must not count as a service's

NODES = ("inst_1", "inst_2", "inst_3", "inst_4")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), *(an_instance(fid) for fid in NODES)))
        yield database


def preempt(database: Database, *nodes: str, seconds: float = 10, actions: tuple[str, ...] = ("notify",)) -> None:
    seen = poll(seconds, *(an_instance(fid, PREEMPTING) for fid in nodes), whole=frozenset())
    keep(database, seen, [a_rule("hook", "instance.preempting", actions=actions)])


def a_hook(*urls: str, **rest: Any) -> Hook:
    return Hook.model_validate({"name": "hook", "on": ["*"], "notify": list(urls)} | rest)


def service(receiver: Receiver, scheme: str = "json") -> str:
    return receiver.url.replace("http://", f"{scheme}://") + "/t0ken-of-mine"


def told(message: Message) -> dict[str, Any]:
    return dict(json.loads(message.body))


def notified(database: Database, *behaviours: Behaviour, seconds: float = 60) -> list[Message]:
    """What a service that behaves like this was sent until every delivery has an end, or waits for another try."""

    async def main() -> list[Message]:
        async with Receiver(*behaviours) as receiver:
            async with dispatching(database, a_hook(service(receiver)), clock=HandClock(seconds)):
                await until(lambda: not sql(database, "SELECT 1 FROM deliveries WHERE attempts = 0"))
                await until(lambda: not sql(database, "SELECT 1 FROM attempts WHERE ended_at IS NULL"))
            return receiver.messages

    return asyncio.run(main())


def test_nodes_of_a_bid_come_as_one_message_and_are_settled_together(database: Database) -> None:
    preempt(database, *NODES)
    [message] = notified(database)
    assert told(message)["title"] == "name-of-bid_1: 4 nodes preempted, 4 min left"
    assert "name-of-inst_1, name-of-inst_2, name-of-inst_3, name-of-inst_4" in told(message)["message"]
    assert told(message)["type"] == "warning"
    assert deliveries(database, "subject, state, attempts") == [(fid, "done", 1) for fid in NODES]


def test_message_that_failed_is_tried_again_with_all_that_was_in_it(database: Database) -> None:
    preempt(database, *NODES)
    clock = HandClock(60)

    async def main() -> list[Message]:
        async with Receiver(says(403), says(200)) as receiver:
            async with dispatching(database, a_hook(service(receiver)), clock=clock) as dispatcher:
                await until_it_says(database, "state, attempts", *[("pending", 1)] * 4)
                clock.turn_to(62)
                dispatcher.wake()
                await until_it_says(database, "state, attempts", *[("done", 2)] * 4)
            return receiver.messages

    first, second = asyncio.run(main())
    assert told(first)["message"] == told(second)["message"]
    assert "4 min" in told(second)["title"]
    reasons = sql(database, "SELECT reason, output FROM attempts WHERE number = 1")
    assert {reason for reason, _ in reasons} == {"json did not take the message"}
    assert all("403" in output for _, output in reasons)


def test_each_address_is_a_delivery_of_its_own_and_hears_what_it_has_not_heard(database: Database) -> None:
    preempt(database, "inst_1", actions=("notify", "notify-2"))
    clock = HandClock(60)

    async def main() -> tuple[int, int]:
        async with Receiver() as good, Receiver(says(500), says(200)) as bad:
            hook = a_hook(service(good), service(bad))
            assert hook.actions == ("notify", "notify-2")
            async with dispatching(database, hook, clock=clock) as dispatcher:
                await until_it_says(
                    database, "action, state, attempts", ("notify", "done", 1), ("notify-2", "pending", 1)
                )
                clock.turn_to(62)
                dispatcher.wake()
                await until_it_says(database, "state, attempts", ("done", 1), ("done", 2))
            return len(good.messages), len(bad.messages)

    assert asyncio.run(main()) == (1, 2)


def test_service_that_hangs_holds_up_nobody_and_not_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.3)

    async def hangs(_: Message, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1000)

    preempt(database, "inst_1")
    [_] = notified(database, hangs)
    assert deliveries(database, "state, reason") == [("pending", "json did not answer within 0.3 s")]
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "notify")


def test_stop_interrupts(database: Database) -> None:
    async def hangs(_: Message, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1000)

    preempt(database, "inst_1")

    async def main() -> None:
        async with Receiver(hangs) as receiver, dispatching(database, a_hook(service(receiver))) as dispatcher:
            await until(lambda: receiver.messages)
            await dispatcher.stop(timedelta(0))

    asyncio.run(main())
    assert deliveries(database, "state, attempts, reason") == [
        ("pending", 0, "the daemon is stopping: the message may have been sent")
    ]


def test_nothing_of_an_address_is_kept_or_logged(database: Database) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(str(message)), level="TRACE", format="{message} {exception}")

    async def echoes(message: Message, writer: asyncio.StreamWriter) -> None:
        await says(500, message.path.encode())(message, writer)

    preempt(database, "inst_1")
    try:
        [message] = notified(database, echoes)
    finally:
        logger.remove(sink)
    assert message.path == "/hook/t0ken-of-mine"
    rows = str([sql(database, f"SELECT * FROM {table}") for table in ("deliveries", "attempts", "events")])
    assert "t0ken" not in rows + "".join(said)


def test_desktop_is_told_by_the_program_that_desktops_have(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_script(tmp_path / "notify-send", f'printf "%s\\n" "$@" > {tmp_path}/told')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    preempt(database, "inst_1")

    async def main() -> None:
        async with dispatching(database, a_hook("desktop://")):
            await until_it_says(database, "state", ("done",))

    asyncio.run(main())
    assert (tmp_path / "told").read_text().split("\n")[:5] == [
        "--app-name=mithrild",
        "--urgency=critical",
        "--",
        "name-of-bid_1: preempted, 4 min left",
        "name-of-inst_1 – it_h100 in us-central1-b",
    ]
