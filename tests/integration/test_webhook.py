"""Webhooks: the stored bytes, signed as every Standard Webhooks library can check, to receivers good and bad."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from standardwebhooks import Webhook as Library

from mithrild.clock import Clock, SystemClock
from mithrild.config import Hook
from mithrild.hooks import webhook as module
from mithrild.store.database import Database
from tests.integration.store_builders import (
    PREEMPTING,
    STARTING,
    HandClock,
    a_bid,
    a_rule,
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
from tests.integration.webhook_server import Behaviour, Message, Receiver, head, says

KEYS = [b"the new key: 32 bytes of secret!", b"the old key: 24 bytes .."]
SECRETS = ["whsec_" + base64.b64encode(key).decode() for key in KEYS]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """One delivery of one webhook is due."""
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), an_instance()))
        see(database, STARTING)
        yield database


def see(database: Database, status: str, seconds: float = 10) -> None:
    rule = a_rule("hook", actions=("webhook",))
    keep(database, poll(seconds, an_instance(status=status), whole=frozenset()), [rule])


def a_hook(url: str, *, timeout: str = "1m", tries: int = 10, **webhook: Any) -> Hook:
    values = {"name": "hook", "on": ["*"], "webhook": {"url": url} | webhook, "timeout": timeout, "tries": tries}
    return Hook.model_validate(values | {"max_age": "365d"})


def posted(
    database: Database, *behaviours: Behaviour, path: str = "", clock: Clock | None = None, **hook: Any
) -> list[Message]:
    """What a receiver that behaves like this was sent until the delivery had an end, or waits for another try."""

    async def main() -> list[Message]:
        async with Receiver(*behaviours) as receiver:
            with_hook = a_hook(receiver.url + path, **hook)
            async with dispatching(database, with_hook, clock=clock or HandClock(60)):
                await until(lambda: sql(database, "SELECT 1 FROM attempts WHERE ended_at IS NOT NULL"))
            return receiver.messages

    return asyncio.run(main())


def a_secret(folder: Path, *secrets: str) -> str:
    file = folder / "webhook.secret"
    file.write_text("\n".join(secrets) + "\n")
    file.chmod(0o600)
    return str(file)


def test_body_is_the_stored_event_and_any_library_can_check_who_sent_it(database: Database, tmp_path: Path) -> None:
    [message] = posted(database, clock=SystemClock(), secret_file=a_secret(tmp_path, *SECRETS))
    ((body, id),) = sql(database, "SELECT body, d.id FROM deliveries d JOIN events USING (sequence)")
    assert message.body == body.encode()
    assert message.headers["content-type"] == "application/cloudevents+json"
    assert message.headers["webhook-id"] == id
    for secret in SECRETS:  # while a receiver changes from the old one to the new one, either will do
        assert Library(secret).verify(message.body, message.headers) == json.loads(body)
    assert deliveries(database, "state, reason") == [("done", None)]


def test_id_and_body_stay_and_try_and_time_left_change(database: Database) -> None:
    see(database, PREEMPTING, seconds=20)
    sql(database, "DELETE FROM deliveries WHERE notice IS NULL")
    clock = HandClock(60)

    async def main() -> list[Message]:
        async with Receiver(says(503), says(200)) as receiver:
            async with dispatching(database, a_hook(receiver.url), clock=clock) as dispatcher:
                await until_it_says(database, "state, attempts", ("pending", 1))
                clock.turn_to(62)
                dispatcher.wake()
                await until_it_says(database, "state", ("done",))
            return receiver.messages

    first, second = asyncio.run(main())
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    told = [
        [one.headers[f"mithrild-{name}"] for name in ("attempt", "deadline", "remaining-seconds", "hook")]
        for one in (first, second)
    ]
    assert told == [["1", "2026-11-23T12:05:21Z", "261", "hook"], ["2", "2026-11-23T12:05:21Z", "259", "hook"]]


@pytest.mark.parametrize(
    ("status", "headers", "state", "reason"),
    [
        (200, {}, "done", None),
        (204, {}, "done", None),
        (299, {}, "done", None),
        (
            301,
            {"Location": "https://elsewhere.example.org/s3cret"},
            "failed",
            "301 and points to elsewhere.example.org;",
        ),
        (302, {"Location": "http://10.0.0.5/s3cret"}, "failed", "302 and points to 10.0.0.5 (a private address);"),
        (307, {"Location": "/other"}, "failed", "307; redirects are not followed"),
        (400, {}, "failed", "answered 400"),
        (401, {}, "failed", "answered 401"),
        (404, {}, "failed", "answered 404"),
        (408, {}, "pending", "answered 408"),
        (410, {}, "failed", "answered 410: it wants no more of these"),
        (425, {}, "pending", "answered 425"),
        (429, {}, "pending", "answered 429"),
        (500, {}, "pending", "answered 500"),
        (503, {}, "pending", "answered 503"),
    ],
)
def test_answer_decides(
    database: Database, status: int, headers: dict[str, str], state: str, reason: str | None
) -> None:
    [message] = posted(database, says(status, b"" if status == 204 else b"its words", **headers), path="?token=s3cret")
    assert message.path == "/hook?token=s3cret"
    ((found, why),) = deliveries(database, "state, reason")
    assert found == state
    assert (why or "").partition("/hook")[0] == (why or ""), "no more than the host is shown"
    assert reason is None or reason in why
    ((output,),) = sql(database, "SELECT output FROM attempts")
    assert output == ("" if status == 204 else "its words")


@pytest.mark.parametrize(("asked", "waits"), [("120", 120), ("1", 5), ("99999", 3600), ("soon", 5)])
def test_a_receiver_that_asks_for_more_time_gets_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, asked: str, waits: int
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    posted(database, says(429, Retry_After=asked))
    assert deliveries(database, "next_at") == [((HandClock(60 + waits).time).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),)]


async def hangs(_: Message, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(1000)


async def hangs_up(_: Message, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def breaks_off(_: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 O")
    writer.close()


async def speaks_in_tongues(_: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.org ESMTP\r\n")
    writer.close()


async def drips_its_head(_: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def answers_at_last(_: Message, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.4)
    writer.write(head(200, {"Content-Length": "0"}))


async def drips_its_body(_: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(head(200, {"Content-Length": "1000000"}))
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


GIGABYTE = 1_000_000_000


async def says_a_gigabyte(_: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(head(200, {"Content-Length": str(GIGABYTE)}))
    for _mb in range(GIGABYTE // 1_000_000):
        writer.write(b"x" * 1_000_000)
        await writer.drain()


async def says_a_packed_gigabyte(_: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(head(200, {"Content-Encoding": "gzip", "Content-Length": str(10_000_000)}))
    writer.write(b"\x1f\x8b\x08" + b"\0" * 9_999_997)
    await writer.drain()


@pytest.mark.parametrize(
    ("behaviour", "state", "reason"),
    [
        (hangs, "pending", "did not answer within 0.5 s"),
        (drips_its_head, "pending", "did not answer within 0.5 s"),
        (hangs_up, "pending", "the answer broke off, or was not HTTP"),
        (breaks_off, "pending", "the answer broke off, or was not HTTP"),
        (speaks_in_tongues, "pending", "the answer broke off, or was not HTTP"),
        # Its status is what counts, however long the rest would take.
        (answers_at_last, "done", None),
        (drips_its_body, "done", None),
        (says_a_gigabyte, "done", None),
        (says_a_packed_gigabyte, "done", None),
    ],
)
def test_receivers_that_misbehave(
    database: Database, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, state: str, reason: str | None
) -> None:
    if reason and "within 0.5 s" in reason:  # else it has all the time that it has in life
        monkeypatch.setattr(module, "TIMEOUT", 0.5)
    monkeypatch.setattr(module, "READ_PATIENCE", 0.1)
    posted(database, behaviour)
    ((found, why),) = deliveries(database, "state, reason")
    assert found == state
    assert reason is None or reason in why
    ((length,),) = sql(database, "SELECT length(output) FROM attempts")
    assert length <= module.MOST_WORDS


def test_nobody_there_is_tried_again(database: Database) -> None:
    async def main() -> None:
        async with Receiver() as gone:
            pass
        async with dispatching(database, a_hook(gone.url)):
            await until_it_says(database, "state", ("pending",))
            await until(lambda: sql(database, "SELECT 1 FROM attempts WHERE ended_at IS NOT NULL"))

    asyncio.run(main())
    ((reason,),) = deliveries(database, "reason")
    assert "cannot be reached: the connection was refused" in reason


def test_proxy_of_the_environment_is_not_asked_for_this_machine(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert len(posted(database)) == 1
    assert deliveries(database, "state") == [("done",)]


def test_stop_interrupts_and_does_not_count(database: Database) -> None:
    async def main() -> None:
        async with Receiver(hangs) as receiver, dispatching(database, a_hook(receiver.url)) as dispatcher:
            await until(lambda: receiver.messages)
            await dispatcher.stop(timedelta(0))

    asyncio.run(main())
    assert deliveries(database, "state, attempts, reason") == [
        ("pending", 0, "the daemon is stopping: the answer was not waited for")
    ]


def test_receiver_that_is_gone_switches_the_action_off_until_it_is_changed(database: Database) -> None:
    see(database, PREEMPTING, seconds=20)

    async def main() -> None:
        async with Receiver(says(410), says(200)) as receiver:
            async with dispatching(database, a_hook(receiver.url)) as dispatcher:
                await until_it_says(database, "state", ("failed",), ("cancelled",))
                assert len(receiver.messages) == 1
                _, (why,) = deliveries(database, "reason")
                assert why.startswith("switched off since 2026-11-23 12:01 UTC: http://127.0.0.1")
                await asyncio.to_thread(see, database, STARTING, 30)
                dispatcher.wake()
                await until_it_says(database, "state", ("failed",), ("cancelled",), ("cancelled",))
            async with dispatching(database, a_hook(receiver.url + "/new"), run="run_2") as dispatcher:
                await asyncio.to_thread(see, database, "STATUS_RUNNING", 40)
                dispatcher.wake()
                await until_it_says(database, "state", ("failed",), ("cancelled",), ("cancelled",), ("done",))

    asyncio.run(main())
    assert sql(database, "SELECT * FROM disabled_actions") == []
    ((body,),) = sql(database, "SELECT body FROM events WHERE type = 'hook.disabled'")
    event = json.loads(body)
    assert (event["subject"], event["data"]["to"], event["data"]["instance"]["fid"]) == ("hook", "disabled", "inst_1")
    assert event["data"]["hook"]["reason"].endswith("answered 410: it wants no more of these")
    assert (event["data"]["hook"]["action"], event["data"]["hook"]["event_type"]) == ("webhook", "instance.starting")


def test_no_secret_is_in_a_row_or_in_the_log(database: Database, tmp_path: Path) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(str(message)), level="TRACE", format="{message} {exception}")

    async def echoes(message: Message, writer: asyncio.StreamWriter) -> None:
        body = f"you sent {message.path}, signed with {SECRETS[0]}, {SECRETS[1][6:]}".encode()
        await says(500, body)(message, writer)

    try:
        posted(database, echoes, path="/t0ken-in-path?key=t0ken-in-query", secret_file=a_secret(tmp_path, *SECRETS))
    finally:
        logger.remove(sink)
    rows = str([sql(database, f"SELECT * FROM {table}") for table in ("deliveries", "attempts", "events")])
    assert "you sent /hook/***?***, signed with ***, ***" in rows
    for hidden in ("t0ken", SECRETS[0], SECRETS[1][6:]):
        assert hidden not in rows
        assert hidden not in "".join(said)


def test_secret_is_read_anew_at_each_try(database: Database, tmp_path: Path) -> None:
    clock = HandClock(60)
    file = a_secret(tmp_path, SECRETS[0])

    async def main() -> list[Message]:
        async with Receiver() as receiver:
            os.unlink(file)
            async with dispatching(database, a_hook(receiver.url, secret_file=file), clock=clock) as dispatcher:
                await until_it_says(database, "state, attempts", ("pending", 1))
                assert receiver.messages == []  # nothing goes out unsigned that should be signed
                a_secret(tmp_path, SECRETS[1])
                clock.turn_to(80)
                dispatcher.wake()
                await until_it_says(database, "state", ("done",))
            return receiver.messages

    [message] = asyncio.run(main())
    assert message.headers["webhook-signature"].startswith("v1,")
    assert sql(database, "SELECT reason FROM attempts WHERE number = 1") == [
        (f"{file} cannot be read: No such file or directory",)
    ]
