"""`ml ssh NAME COMMAND`: what a remote command prints and how it ends, against a real sshd.

The daemon is a stand-in. The names of some tests are those of weaknesses that another client has.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import wait_for
from tests.acceptance.sshd import Sshd
from tests.integration import ssh_rig
from tests.integration.ssh_rig import Client, bid_answer, dialling, named, node


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def client(tmp_path: Path, sshd: Sshd) -> Iterator[Client]:
    with ssh_rig.client(tmp_path, sshd) as running:
        yield running


def test_the_exit_code_of_a_remote_command_is_not_lost(client: Client) -> None:
    assert client.ml("ssh", "one", "exit 7").code == 7
    assert client.ml("ssh", "--node", "1", "train", "--", "sh", "-c", "exit 9").code == 9
    assert client.ml("ssh", "train", "true").code == 0


def test_the_quoting_of_a_remote_command_is_not_lost(client: Client) -> None:
    assert client.ml("ssh", "one", "--", "python3", "-c", 'print("a b", "$HOME")').out == "a b $HOME\n"
    assert client.ml("ssh", "one", "printf", "[%s]", "", "*", "it's").out == "[][*][it's]"


def test_one_word_is_a_line_for_the_shell_there(client: Client) -> None:
    assert client.ml("ssh", "one", "cd / && pwd | tr / x").out == "x\n"


def test_on_one_node_the_streams_are_those_of_the_command(client: Client) -> None:
    client.ml("ssh", "one", "true")  # ssh tells of the new host key only once
    done = client.ml("ssh", "one", r"cat; printf '\001\377' | od -An -tx1; echo oops >&2", typed=b"no end")
    assert (done.code, done.out, done.err) == (0, "no end 01 ff\n", "oops\n")


@pytest.mark.parametrize(
    "words",
    [
        ("--node", "1", "train", "echo", "-n", "x"),
        ("train", "--node", "1", "echo", "-n", "x"),
        ("train", "--node", "1", "--", "echo", "-n", "x"),
        ("--node", "1", "train", "--", "echo", "-n", "x"),
        ("train", "--no-wait", "--node=1", "echo", "-n", "x"),
    ],
)
def test_our_own_options_stand_before_or_after_the_name(client: Client, words: tuple[str, ...]) -> None:
    done = client.ml("ssh", *words)
    assert (done.code, done.out) == (0, "x")
    assert "inst_train-1" in done.err


def test_the_output_of_nodes_is_not_held_until_all_are_done(client: Client, tmp_path: Path) -> None:
    there, go = shlex.quote(str(tmp_path / "there")), tmp_path / "go"
    line = (
        f"mkdir {there} 2>/dev/null && {{ echo first; echo oops >&2; printf rest; exit 3; }};"
        f"echo second; until [ -e {shlex.quote(str(go))} ]; do sleep 0.05; done; exit 5"
    )
    run = client.begin("ssh", "train", line)
    assert run.stdout is not None
    assert run.stderr is not None
    said = sorted(run.stdout.readline() for _ in range(3))
    assert run.poll() is None
    quick, slow = ("0", "1") if said[0].startswith("[node-0] f") else ("1", "0")
    assert sorted([f"[node-{quick}] first\n", f"[node-{quick}] rest\n", f"[node-{slow}] second\n"]) == said
    go.touch()
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (5, "")  # the highest of both
    assert f"[node-{quick}] oops\n" in err


def test_lines_of_several_nodes_are_not_mixed(client: Client) -> None:
    done = client.ml("ssh", "train", 'for i in $(seq 300); do printf "%s" aaaaaaaaaa "" bbbbbbbbbb; echo; done')
    assert sorted(done.out.splitlines()) == sorted([f"[node-{n}] aaaaaaaaaabbbbbbbbbb" for n in (0, 1)] * 300)


def test_a_node_without_an_address_is_not_skipped_silently(client: Client) -> None:
    there = [node("train-0", client.sshd.address), node("train-1", None, status="STATUS_STARTING")]
    client.daemon.answers |= named("train", bid_answer("train", there))
    done = client.ml("ssh", "--no-wait", "train", "echo here")
    assert (done.code, done.out) == (255, "[node-0] here\n")
    assert "ml: cannot reach train-1: it is starting\n" in done.err


def test_node_numbers_do_not_count_dead_instances_and_old_addresses_are_not_dialled(client: Client) -> None:
    old = "203.0.113.1"  # nobody is there
    there = [
        node("train-0", old, status="STATUS_TERMINATED"),
        node("train-1", old, gone=True),
        node("train-10", client.sshd.address),
        node("train-2", client.sshd.address),
        node("train-3", old, status="STATUS_PREEMPTED"),
    ]
    client.daemon.answers |= named("train", bid_answer("train", there, instances_wanted=2))
    assert "inst_train-2" in client.ml("ssh", "train", "--node", "0", "true").err
    assert "inst_train-10" in client.ml("ssh", "train", "--node", "1", "true").err
    assert sorted(client.ml("ssh", "train", "echo x").out.splitlines()) == ["[node-0] x", "[node-1] x"]
    done = client.ml("ssh", "train", "--node", "2", "true")
    assert (done.code, done.err) == (2, "ml: --node takes 0 to 1: train has 2 instances\n")


def test_what_show_prints_can_be_pasted(client: Client) -> None:
    done = client.ml("ssh", "train", "--show", "printf", "%s|", "a  b", "$HOME", "it's")
    assert done.code == 0
    assert len(done.out.splitlines()) == 2
    for number, line in enumerate(done.out.splitlines()):
        assert f"HostKeyAlias=inst_train-{number}" in line
        pasted = subprocess.run(["/bin/sh", "-c", line], env=client.env, capture_output=True, text=True, check=True)
        assert pasted.stdout == "a  b|$HOME|it's|"
    assert client.ml("ssh", "--show", "--node", "1", "train").out.count("\n") == 1


def test_show_names_the_nodes_that_it_has_no_line_for(client: Client) -> None:
    there = [node("train-0", client.sshd.address), node("train-1", None)]
    client.daemon.answers |= named("train", bid_answer("train", there))
    done = client.ml("ssh", "train", "--show")
    assert (done.code, done.out.count("\n")) == (255, 1)
    assert done.err == "ml: cannot reach train-1: it is running, and has no address\n"


def test_a_state_folder_of_any_name_holds_the_host_keys_for_their_owner_alone(client: Client) -> None:
    client.configure(XDG_STATE_HOME=str(client.folder / "a b%h'\"#"))
    assert client.ml("ssh", "one", "exit 4").code == 4
    kept = client.folder / "a b%h'\"#" / "mithrild" / "known_hosts"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(kept.read_text().splitlines()) == 1
    assert client.ml("ssh", "one", "true").err == ""


def test_an_interrupted_run_leaves_no_program_behind(client: Client) -> None:
    run = client.begin("ssh", "train", "echo here; while sleep 0.1; do echo; done")
    assert run.stdout is not None
    assert {run.stdout.readline(), run.stdout.readline()} == {"[node-0] here\n", "[node-1] here\n"}
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 130
    wait_for("the end of ssh", lambda: not dialling("inst_train-0") and not dialling("inst_train-1"))


def test_a_closed_pipe_ends_the_run(client: Client) -> None:
    run = client.begin("ssh", "train", "yes")
    assert run.stdout is not None
    assert run.stdout.readline().endswith("] y\n")
    run.stdout.close()
    assert run.wait(30) == 141
    assert run.stderr is not None
    assert "Traceback" not in run.stderr.read()
    run.stderr.close()


def test_a_machine_without_ssh_is_told_what_to_install(client: Client) -> None:
    empty = client.folder / "empty"
    empty.mkdir()
    client.env["PATH"] = os.fspath(empty)
    for words in (("one", "true"), ("--no-wait", "one", "true"), ("--no-wait", "one"), ("train", "true")):
        done = client.ml("ssh", *words)
        assert (done.code, done.out, done.err.count("\n")) == (255, "", 1)
        assert "install the OpenSSH client" in done.err
