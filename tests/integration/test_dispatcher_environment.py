"""What a command finds: the event on its standard input, and the documented variables in its environment."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mithrild.config import Hook
from mithrild.fleet.model import InstanceType, Transition
from mithrild.store.database import Database
from mithrild.store.inventory import keep_types
from mithrild.store.record import record_condition
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    a_bid,
    a_rule,
    a_script,
    an_instance,
    at,
    deliveries,
    dispatching,
    keep,
    opened,
    poll,
    sql,
    until,
)

DOCUMENTED = {
    "MITHRILD_EVENT_ID",
    "MITHRILD_EVENT_TYPE",
    "MITHRILD_HOOK",
    "MITHRILD_ATTEMPT",
    "MITHRILD_SUBJECT",
    "MITHRILD_PROJECT",
    "MITHRILD_BID",
    "MITHRILD_BID_NAME",
    "MITHRILD_INSTANCE",
    "MITHRILD_INSTANCE_NAME",
    "MITHRILD_HOST",
    "MITHRILD_REGION",
    "MITHRILD_INSTANCE_TYPE",
    "MITHRILD_FROM",
    "MITHRILD_TO",
    "MITHRILD_DEADLINE",
    "MITHRILD_REMAINING_SECONDS",
}


def delivered(database: Database, folder: Path) -> tuple[dict[str, str], bytes]:
    """Runs the hook for the one delivery there is: (its environment, its standard input)."""
    run = a_script(folder / "hook", f"cat > {folder}/stdin", f"cat /proc/self/environ > {folder}/environ")

    async def main() -> None:
        async with dispatching(database, Hook(name="hook", on=("*",), run=run)):
            await until(lambda: deliveries(database, "state") not in ([("pending",)], [("running",)]))

    asyncio.run(main())
    assert deliveries(database, "state, reason") == [("done", None)]
    pairs = (folder / "environ").read_bytes().decode().removesuffix("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs), (folder / "stdin").read_bytes()


def preempted(database: Database, name: str = "train", **instance: Any) -> None:
    bid = a_bid(name=name)
    keep(database, poll(0, bid, an_instance(**instance)))
    seen = poll(50, bid, an_instance(status=PREEMPTING, **instance), deadlines={"inst_1": at(240.75)})
    keep(database, seen, [a_rule("hook", "instance.preempting")])


def test_all_documented_variables_are_there(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as database:
        keep_types(database, [InstanceType("it_h100", "h100-80gb.sxm.8x", 8, "H100", 80, 2000)])
        preempted(database, ssh_destination="ubuntu@host.example.org:2222")
        ((event, delivery),) = sql(database, "SELECT e.id, d.id FROM deliveries d JOIN events e USING (sequence)")
        environment, _ = delivered(database, tmp_path)
    assert {name: value for name, value in environment.items() if name.startswith("MITHRILD_")} == {
        "MITHRILD_EVENT_ID": event,
        "MITHRILD_EVENT_TYPE": "instance.preempting",
        "MITHRILD_HOOK": "hook",
        "MITHRILD_ATTEMPT": "1",
        "MITHRILD_SUBJECT": "inst_1",
        "MITHRILD_PROJECT": "proj_demo",
        "MITHRILD_BID": "bid_1",
        "MITHRILD_BID_NAME": "train",
        "MITHRILD_INSTANCE": "inst_1",
        "MITHRILD_INSTANCE_NAME": "name-of-inst_1",
        "MITHRILD_HOST": "host.example.org",
        "MITHRILD_REGION": "us-central1-b",
        "MITHRILD_INSTANCE_TYPE": "h100-80gb.sxm.8x",
        "MITHRILD_FROM": "running",
        "MITHRILD_TO": "preempting",
        "MITHRILD_DEADLINE": "2026-11-23T12:04:00Z",
        "MITHRILD_REMAINING_SECONDS": "180",
        "MITHRILD_DELIVERY": delivery,
    }


@pytest.mark.parametrize(
    ("destination", "host"),
    [
        ("host.example.org", "host.example.org"),
        ("203.0.113.7:2222", "203.0.113.7"),
        ("ubuntu@203.0.113.7", "203.0.113.7"),
        ("ubuntu@host.example.org:2222", "host.example.org"),
        ("ubuntu@[2001:db8::7]:2222", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        (None, ""),
    ],
)
def test_host_is_taken_from_every_form_of_destination(tmp_path: Path, destination: str | None, host: str) -> None:
    with opened(tmp_path / "state") as database:
        preempted(database, ssh_destination=destination)
        environment, _ = delivered(database, tmp_path)
    assert environment["MITHRILD_HOST"] == host


def test_what_the_event_does_not_know_is_empty_and_never_missing(tmp_path: Path) -> None:
    step = Transition(
        kind="marketplace",
        subject="marketplace",
        project="",
        bid=None,
        aspect="status",
        before=None,
        after="unreachable",
        type="marketplace.unreachable",
        observed_at=at(30),
        window_start=None,
    )
    with opened(tmp_path / "state") as database:
        record_condition(database, step, [a_rule("hook")], host=HOST)
        environment, _ = delivered(database, tmp_path)
    told = {name for name in DOCUMENTED if environment[name]}
    assert told == {f"MITHRILD_{name}" for name in ("EVENT_ID", "EVENT_TYPE", "HOOK", "ATTEMPT", "SUBJECT", "TO")}


def test_no_secret_of_the_daemon_reaches_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "fkey_this_must_never_be_seen"
    for name in ("MITHRIL_API_KEY", "MITHRILD_API_KEY", "FLOW_API_KEY", "SOMETHING_ELSE"):
        monkeypatch.setenv(name, secret)
    with opened(tmp_path / "state") as database:
        preempted(database)
        environment, _ = delivered(database, tmp_path)
    assert secret not in str(environment)
    assert environment["PATH"]
    assert {name for name in environment if name.startswith("MITHRILD_")} == DOCUMENTED | {"MITHRILD_DELIVERY"}


def test_command_gets_the_variables_that_its_hook_lists_and_cannot_print_what_is_secret_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")
    run = a_script(tmp_path / "hook", 'echo "$AWS_PROFILE $AWS_SECRET_ACCESS_KEY $NOT_SET."')
    hook = Hook(name="hook", on=("*",), run=run, env=("AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "NOT_SET"))
    with opened(tmp_path / "state") as database:
        preempted(database)

        async def main() -> None:
            async with dispatching(database, hook):
                await until(lambda: deliveries(database, "state") == [("done",)])

        asyncio.run(main())
        assert sql(database, "SELECT output FROM attempts") == [("production *** .\n",)]


def test_program_that_others_may_change_by_now_is_not_started(tmp_path: Path) -> None:
    run = a_script(tmp_path / "hook", f"touch {tmp_path}/ran")
    (tmp_path / "hook").chmod(0o777)
    with opened(tmp_path / "state") as database:
        preempted(database)

        async def main() -> None:
            async with dispatching(database, Hook(name="hook", on=("*",), run=run)):
                await until(lambda: deliveries(database, "state") == [("failed",)])

        asyncio.run(main())
        [(reason,)] = deliveries(database, "reason")
    assert reason == f"not started: anyone may write to {run[0]}; type: chmod o-w {run[0]}"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name",
    [
        'it\'s "quoted" `id` $(id) ; rm -rf / & | > <',
        "two\nlines\r\nMITHRILD_HOST=evil.example.org",
        "\x1b[31mred\x1b[0m\x07\x08\x7f",
        "nul\0in the middle",
        "",
        " ",
        "ünïcode 学習 🚂 \u2028\u202e",
        "x" * 10_000,
        "🚂" * 40_000,
    ],
    ids=["quotes", "newlines", "escapes", "nul", "empty", "blank", "unicode", "long", "very long"],
)
def test_hostile_name_reaches_the_hook_whole_on_standard_input(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / "state") as database:
        preempted(database, name=name)
        ((body,),) = sql(database, "SELECT body FROM events")
        environment, stdin = delivered(database, tmp_path)
    assert stdin == body.encode() + b"\n"
    assert stdin.count(b"\n") == 1
    assert stdin.isascii()
    assert json.loads(stdin)["data"]["bid"]["name"] == name
    longest = 32_000
    assert environment["MITHRILD_BID_NAME"] == name.replace("\0", "")[:longest]
    assert environment["MITHRILD_HOST"] == ""
