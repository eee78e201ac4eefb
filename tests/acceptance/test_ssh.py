"""Logging in, with everything real: sandbox, daemon, `ml`, the system's `ssh`, and an sshd where every machine is.

What a stand-in for the daemon shows better is in tests/integration/test_ssh_*.py.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.acceptance.harness import BIN, CAP, Daemon, Sandbox, wait_for, write_config
from tests.acceptance.sshd import Sshd, need_terminals

HOUR = {"advance_seconds": 3600}


class World:
    """Nothing moves in the sandbox but what a test moves."""

    def __init__(self, folder: Path, sshd: Sshd, sandbox: Sandbox, daemon: Daemon) -> None:
        self.sshd, self.sandbox, self.daemon = sshd, sandbox, daemon
        self.env = sshd.client_env(daemon.env, folder)

    def place(self, name: str, quantity: int = 1) -> None:
        self.sandbox.place(name, quantity)
        self.until(name, lambda bid: bid["state"] == "pending")

    def run(self, name: str, quantity: int = 1, **how: str) -> list[str]:
        """Have the bid placed, if it is not yet, and its instances run; their fids, by name."""
        if not any(bid["name"] == name for bid in self.sandbox.get("/sandbox/state")["bids"]):
            self.place(name, quantity)
        self.sandbox.post(f"/sandbox/bids/{name}/allocate", how or None)
        self.sandbox.post("/sandbox/clock", HOUR)
        self.until(name, lambda bid: bid["state"] == "running")
        return self.fids(name)

    def fids(self, name: str) -> list[str]:
        details = self.daemon.get(f"/v1/bids/{name}")["bid"]["instance_details"]
        return [one["fid"] for one in sorted(details, key=lambda one: str(one["name"]))]

    def until(self, name: str, so: Any) -> None:
        def look() -> bool:
            answer = self.daemon.get(f"/v1/bids/{name}")
            return "bid" in answer and bool(so(answer["bid"]))

        wait_for(f"the record of {name}", look)

    def ml(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "ml"), *words], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=CAP, start_new_session=True,
        )  # fmt: skip

    def begin(self, *words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [str(BIN / "ml"), *words], env=self.env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True,
            start_new_session=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("w")
    write_config(folder)
    with Sshd(folder / "sshd") as sshd:
        options = ("--paused", "--no-demo", "--ssh", sshd.address)
        with Sandbox(folder, *options, speed=1) as sandbox, Daemon(folder, sandbox) as daemon:
            wait_for("the first sight", daemon.watched)
            yield World(folder, sshd, sandbox, daemon)


def test_a_bid_is_waited_for_from_its_place_in_the_market_to_the_last_node(world: World) -> None:
    world.place("early", 2)
    run = world.begin("ssh", "early", "echo here; exit 3")
    assert run.stderr is not None
    assert run.stderr.readline() == "ml: waiting for early: it is open, and has no instance yet\n"
    world.sandbox.force("early", "allocate")
    assert run.stderr.readline().startswith("ml: waiting for early-0: it is ")
    world.sandbox.post("/sandbox/clock", HOUR)
    out, _ = run.communicate(timeout=CAP)
    assert (run.returncode, sorted(out.splitlines())) == (3, ["[node-0] here", "[node-1] here"])


def test_without_a_command_it_becomes_the_systems_ssh_on_node_0(world: World) -> None:
    need_terminals()
    world.run("shell", 2)
    child = pexpect.spawn(str(BIN / "ml"), ["ssh", "shell"], env=world.env, timeout=CAP, encoding="utf-8")
    child.sendline("tty; echo is-$((6 * 7))")
    child.expect_exact("is-42")
    assert "/dev/pts/" in str(child.before)
    assert Path(f"/proc/{child.pid}/comm").read_text() == "ssh\n"
    assert f"HostKeyAlias={world.fids('shell')[0]}" in Path(f"/proc/{child.pid}/cmdline").read_text()
    child.sendline("exit 3")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


def test_a_notice_is_no_hindrance_and_instances_that_were_replaced_are_looked_up_afresh(world: World) -> None:
    before = world.run("renewed", 2)
    world.sandbox.force("renewed", "preempt")
    world.until("renewed", lambda bid: bid["state"] == "preempting")
    done = world.ml("ssh", "renewed", "--node", "1", "exit 4")  # there is still time, and no waiting
    assert done.returncode == 4
    assert re.match(r"ml: renewed-1 is preempting: ~?\dm\d\ds left\n", done.stderr)
    world.sandbox.post("/sandbox/clock", HOUR)
    world.until("renewed", lambda bid: bid["status"] == "Open")
    after = world.run("renewed", instances="replace")
    assert not set(before) & set(after)
    shown = world.ml("ssh", "renewed", "--show", "echo", "a  b").stdout.splitlines()
    assert [f"HostKeyAlias={fid}" in line for fid, line in zip(after, shown, strict=True)] == [True, True]
    for line in shown:
        pasted = subprocess.run(["/bin/sh", "-c", line], env=world.env, capture_output=True, text=True, check=True)
        assert pasted.stdout == "a  b\n"


def test_an_instance_in_error_is_not_waited_for(world: World) -> None:
    fid = world.run("broken")[0]
    world.sandbox.post(f"/sandbox/instances/{fid}/status", {"status": "STATUS_ERROR"})
    world.until("broken", lambda bid: not bid["instance_details"])
    done = world.ml("ssh", "broken", "true")
    assert (done.returncode, done.stderr) == (
        255,
        "ml: broken-0 is in ERROR and cannot be reached; see: ml history broken\n",
    )


def test_a_paused_bid_and_a_terminated_one_are_not_waited_for(world: World) -> None:
    world.run("halted")
    for verb, said in (("pause", "halted is paused"), ("terminate", "halted is terminated")):
        world.sandbox.force("halted", verb)
        world.sandbox.post("/sandbox/clock", HOUR)
        world.until("halted", lambda bid, word=verb: bid["status"].lower().startswith(word))
        wait_for("its instances", lambda: not any(one.get("ssh_destination") for one in _instances(world, "halted")))
        done = world.ml("ssh", "halted", "true")
        assert (done.returncode, done.stdout) == (255, "")
        assert done.stderr.startswith(f"ml: {said}")


def test_instance_ssh_is_the_same(world: World) -> None:
    world.run("same")
    done = world.ml("instance", "ssh", "same", "--", "sh", "-c", "echo 'a  b'; exit 6")
    assert (done.returncode, done.stdout) == (6, "a  b\n")


def test_a_bid_is_found_by_its_fid(world: World) -> None:
    world.run("by-fid")
    fid = world.daemon.get("/v1/bids/by-fid")["bid"]["fid"]
    assert world.ml("ssh", fid, "exit 6").returncode == 6


def test_a_command_runs_on_the_control_node_of_a_cluster(world: World) -> None:
    cluster = _cluster(world, "eval")
    for name in (cluster["name"], cluster["fid"]):
        done = world.ml("k8s", "ssh", name, "--", "sh", "-c", "echo 'a  b'; exit 5")
        assert (done.returncode, done.stdout) == (5, "a  b\n")
    done = world.ml("k8s", "ssh", cluster["name"], "--show")
    words = shlex.split(done.stdout)
    assert f"HostKeyAlias={cluster['fid']}" in words
    assert words[-1] == world.sshd.address.rpartition(":")[0]
    child = pexpect.spawn(
        str(BIN / "ml"), ["k8s", "ssh", cluster["name"]], env=world.env, timeout=CAP, encoding="utf-8"
    )
    child.sendline("exit 4")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 4


def test_a_cluster_that_cannot_be_reached_is_told_so(world: World) -> None:
    pending = _cluster(world, "queued")
    done = world.ml("k8s", "ssh", pending["name"], "true")
    assert (done.returncode, done.stdout) == (255, "")
    assert "is pending, and has no address yet" in done.stderr
    assert world.ml("k8s", "ssh", "nobodys").returncode == 6
    assert world.ml("k8s", "ssh").returncode == 2


def _instances(world: World, name: str) -> list[dict[str, Any]]:
    return list(world.daemon.get(f"/v1/bids/{name}?all=1")["bid"]["instance_details"])


def _cluster(world: World, name: str) -> dict[str, Any]:
    return next(dict(one) for one in world.daemon.get("/v1/clusters")["clusters"] if one["name"] == name)
