"""What `ml ssh` waits for, what it says meanwhile, and when it gives up; a real sshd comes up late."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.sshd import Sshd
from tests.integration import ssh_rig
from tests.integration.cli_fake_daemon import FRESH, Request, ago, answer, refusal
from tests.integration.ssh_rig import Client, bid_answer, named, node


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def client(tmp_path: Path, sshd: Sshd) -> Iterator[Client]:
    with ssh_rig.client(tmp_path, sshd) as running:
        yield running


def in_turn(client: Client, name: str, *answers: bytes) -> None:
    """The daemon gives each answer once, and the last for ever."""
    left = list(answers)

    def next_one(_: Request) -> bytes:
        return left.pop(0) if len(left) > 1 else left[0]

    client.daemon.answers |= named(name, next_one)


def state(client: Client, *statuses: str, wanted: int = 0, **changes: Any) -> bytes:
    there = [
        node(f"train-{number}", client.sshd.address if status == "RUNNING" else None, status=f"STATUS_{status}")
        for number, status in enumerate(statuses)
    ]
    count = wanted or len(statuses)
    return bid_answer("train", there, instances_wanted=count, instance_quantity=count, **changes)


def notes(err: str) -> list[str]:
    return [line.removeprefix("ml: ") for line in err.splitlines() if line.startswith("ml: ")]


def test_it_says_what_it_waits_for_once_and_again_when_that_changes(client: Client) -> None:
    in_turn(
        client, "train",
        state(client, wanted=2, status="Open"),
        state(client, wanted=2, status="Open"),
        state(client, "STARTING", "STARTING"),
        refusal(503, "internal", "the record is being moved"),
        state(client, "RUNNING", "STARTING"),
        state(client, "RUNNING", "RUNNING"),
    )  # fmt: skip
    done = client.ml("ssh", "train", "echo here")
    assert (done.code, sorted(done.out.splitlines())) == (0, ["[node-0] here", "[node-1] here"])
    assert notes(done.err) == [
        "waiting for train: it is open, and has no instance yet",
        "waiting for train-0: it is starting; train-1: it is starting",
        "waiting for train-0: it is starting; train-1: it is starting; the daemon: the record is being moved",
        "waiting for train-1: it is starting",
    ]


def test_only_the_wanted_node_is_waited_for(client: Client) -> None:
    client.daemon.answers |= named("train", state(client, "RUNNING", "ERROR"))
    assert client.ml("ssh", "train", "--node", "0", "exit 3").code == 3
    done = client.ml("ssh", "train", "true")
    assert (done.code, done.err) == (255, "ml: train-1 is in ERROR and cannot be reached; see: ml history train\n")
    done = client.ml("ssh", "--no-wait", "train", "echo here")
    assert (done.code, done.out, notes(done.err)) == (255, "[node-0] here\n", ["cannot reach train-1: it is in ERROR"])


def test_an_address_is_not_taken_for_readiness(client: Client, sshd: Sshd) -> None:
    starting = bid_answer("one", [node("one-0", sshd.address, status="STATUS_STARTING")])
    in_turn(client, "one", starting, bid_answer("one", [node("one-0", sshd.address)]))
    done = client.ml("ssh", "one", "exit 3")
    assert (done.code, notes(done.err)) == (3, ["waiting for one-0: it is starting"])


def test_ssh_is_waited_for_too(client: Client, sshd: Sshd) -> None:
    sshd.stop()
    run = client.begin("ssh", "one", "exit 3")
    try:
        assert run.stderr is not None
        assert run.stderr.readline() == f"ml: waiting for one-0: 127.0.0.1:{sshd.port} does not answer on SSH\n"
    finally:
        sshd.start()
    run.communicate(timeout=30)
    assert run.returncode == 3


def test_an_instance_that_moves_is_dialled_where_it_has_moved_to(client: Client, sshd: Sshd) -> None:
    before = bid_answer("one", [node("one-0", "127.0.0.1:9")])  # the port of nobody
    in_turn(client, "one", before, bid_answer("one", [node("one-0", sshd.address)]))
    done = client.ml("ssh", "one", "exit 3")
    assert (done.code, notes(done.err)) == (3, ["waiting for one-0: 127.0.0.1:9 does not answer on SSH"])


@pytest.mark.parametrize("words", [("train", "true"), ("train",), ("train", "--node", "1", "true")])
def test_waiting_ends_after_the_time_out(client: Client, words: tuple[str, ...]) -> None:
    client.daemon.answers |= named("train", state(client, "STARTING", "STARTING"))
    done = client.ml("ssh", "--timeout", "1", *words)
    assert (done.code, done.out) == (255 if "true" in words else 8, "")
    assert notes(done.err)[-1].startswith("waited 1s for train-")


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ({"status": "Terminated"}, "train is terminated: there is nothing to log in to"),
        ({"gone": True}, "train is terminated: there is nothing to log in to"),
        ({"status": "Paused"}, "train is paused; to go on: ml instance update train --resume"),
    ],
)
def test_what_will_not_come_is_not_waited_for(client: Client, answered: dict[str, Any], said: str) -> None:
    client.daemon.answers |= named("train", state(client, "STOPPED", **answered))
    for words in (("train", "true"), ("train",), ("--no-wait", "train", "true")):
        done = client.ml("ssh", *words)
        assert (done.code, done.out, done.err) == (255 if "true" in words else 1, "", f"ml: {said}\n")


def test_what_ends_while_it_is_waited_for_ends_the_waiting(client: Client) -> None:
    ended = state(client, "TERMINATED", status="Terminated")
    in_turn(client, "train", state(client, "STARTING"), ended)
    done = client.ml("ssh", "train", "true")
    assert (done.code, notes(done.err)[-1]) == (255, "train is terminated: there is nothing to log in to")


def test_without_waiting_it_fails_at_once(client: Client) -> None:
    client.daemon.answers |= named("train", state(client, "STARTING", wanted=2))
    done = client.ml("ssh", "train", "--no-wait")
    assert (done.code, done.err) == (255, "ml: train-0: it is starting; without --no-wait it is waited for\n")
    done = client.ml("ssh", "train", "--no-wait", "true")
    assert done.code == 255
    assert notes(done.err) == [
        "cannot reach train-0: it is starting",
        "cannot reach train: it is allocated, and has 1 of its 2 instances",
    ]


def test_without_waiting_an_address_that_is_silent_is_given_up(client: Client) -> None:
    """Where nothing is waited for ssh is told so, too: of itself it takes two minutes, or as long as a server does."""
    client.daemon.answers |= named("one", bid_answer("one", [node("one-0", "192.0.2.1")]))
    shown = client.folder / "argv"
    program = client.folder / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {shown}\n')
    program.chmod(0o755)
    client.env["PATH"] = f"{program.parent}:{client.env['PATH']}"
    assert client.ml("ssh", "one", "--no-wait", "true").code == 0
    assert "ConnectTimeout=10" in shown.read_text().splitlines()


def test_during_a_notice_the_machine_is_dialled_at_once_and_the_time_left_is_said(client: Client, sshd: Sshd) -> None:
    going = node("one-0", sshd.address, status="STATUS_PREEMPTING", deadline=ago(seconds=-200))
    client.daemon.answers |= named("one", bid_answer("one", [going], status="Preempting"))
    done = client.ml("ssh", "one", "exit 3")
    assert done.code == 3
    assert re.fullmatch(r"one-0 is preempting: 3m\d\ds left", notes(done.err)[0])


def test_an_old_record_is_said_to_be_old(client: Client, sshd: Sshd) -> None:
    stale = {**FRESH, "stale": True, "age_seconds": 90.0, "reason": "the marketplace does not answer"}
    client.daemon.answers |= named("one", bid_answer("one", [node("one-0", sshd.address)], freshness=stale))
    done = client.ml("ssh", "one", "true")
    assert (done.code, notes(done.err)) == (0, ["this is 1m old: the marketplace does not answer"])


def test_an_address_that_is_none_is_not_dialled(client: Client) -> None:
    client.daemon.answers |= named("one", bid_answer("one", [node("one-0", "-oProxyCommand=reboot")]))
    done = client.ml("ssh", "one", "true")
    assert (done.code, done.err.count("\n")) == (255, 1)
    assert "is no address that ssh could dial" in done.err


def test_a_bid_that_does_not_exist_is_not_waited_for(client: Client) -> None:
    assert client.ml("ssh", "nobody").code == 6
    client.daemon.answers |= named("train", answer({"freshness": FRESH}))
    assert client.ml("ssh", "train").code == 1


def test_no_failure_before_a_remote_command_is_taken_for_its_own(client: Client) -> None:
    assert client.ml("ssh", "nobody", "true").code == 255
    assert client.ml("k8s", "ssh", "nobodys", "true").code == 255
    client.daemon.answers |= named("train", answer({"freshness": FRESH}))
    assert client.ml("ssh", "train", "true").code == 255
    assert client.ml("ssh", "train", " ").code == 2, "which no command was begun with"
    assert client.ml("ssh", "nobody", "--show", "true").code == 6, "nor with this"


def test_ctrl_c_ends_the_waiting(client: Client) -> None:
    client.daemon.answers |= named("train", state(client, "STARTING"))
    run = client.begin("ssh", "train")
    assert run.stderr is not None
    assert "waiting" in run.stderr.readline()
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 130
