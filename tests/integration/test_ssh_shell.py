"""`ml ssh` as a person at a terminal meets it, and what is wrong usage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.sshd import Sshd, need_terminals
from tests.integration import ssh_rig
from tests.integration.cli_fake_daemon import FRESH, answer, bid
from tests.integration.cli_terminal import DOWN, ENTER, Terminal
from tests.integration.ssh_rig import Client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Sshd(tmp_path / "sshd") as sshd, ssh_rig.client(tmp_path, sshd) as running:
        yield running


def test_a_shell_is_opened_on_node_0_or_on_the_one_that_is_named(client: Client) -> None:
    need_terminals()
    for words, number in (((), 0), (("--node", "1"), 1)):
        shell = Terminal(client.env, "ssh", "train", *words)
        shell.send("echo is-$((6 * 7)); exit 3\r")
        shell.expect("is-42")
        assert shell.end() == 3
        assert f"inst_train-{number}" in client.known_hosts.read_text()
        assert len(client.known_hosts.read_text().splitlines()) == number + 1


def test_ctrl_c_in_a_shell_goes_to_the_shell(client: Client) -> None:
    need_terminals()
    shell = Terminal(client.env, "ssh", "one")
    shell.send("echo is-$((6 * 7)); sleep 60\r")
    shell.expect("is-42")
    shell.send("\x03")
    shell.send("echo is-$((6 * 8)); exit 3\r")
    shell.expect("is-48")
    assert shell.end() == 3


def test_ctrl_c_ends_a_command_on_one_node_and_on_all(client: Client) -> None:
    for name in ("one", "train"):
        run = Terminal(client.env, "ssh", name, "echo is-$((6 * 7)); while sleep 0.1; do echo; done")
        run.expect("is-42")
        run.send("\x03")
        assert run.end() == 130


def test_without_a_name_one_is_picked_among_those_that_run(client: Client) -> None:
    need_terminals()
    listed = [bid(0, fid="bid_train", name="train"), bid(1, fid="bid_one", name="one")]
    client.daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": listed})
    shell = Terminal(client.env, "ssh")
    shell.expect("train")
    shell.send(DOWN + ENTER)
    shell.send("echo is-$((6 * 7)); exit 3\r")
    shell.expect("is-42")
    assert shell.end() == 3
    asked = next(request for request in client.daemon.requests if request.path == "/v1/bids")
    assert asked.one("state") == "running"
    assert "inst_one-0" in client.known_hosts.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which bid? name one: ml ssh NAME"),
        (("train", "--node", "x", "true"), "'x' is not a number from 0 up"),
        (("--node", "-1", "train", "true"), "'-1' is not a number from 0 up"),
        (("train", "--node", "2"), "--node takes 0 to 1: train has 2 instances"),
        (("--timeout", "soon", "train"), "'soon' is not a time"),
        (("train", "--nonsense", "x"), "unrecognized arguments: --nonsense"),
        (("train", ""), "the command is empty"),
        (("-p", "x", "--all-projects", "train"), "exclude each other"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_dialled(client: Client, words: tuple[str, ...], said: str) -> None:
    done = client.ml("ssh", *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err
    assert client.sshd.logins() == 0


def test_help_is_there_before_and_after_the_name(client: Client) -> None:
    for words in (("-h",), ("train", "-h"), ("train", "--node", "1", "-h")):
        done = client.ml("ssh", *words)
        assert (done.code, done.err) == (0, "")
        assert "ml ssh train -- nvidia-smi -L" in done.out
