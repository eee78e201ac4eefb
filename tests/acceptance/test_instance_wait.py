"""`ml instance create --wait`: until everything runs, or will not; through whatever happens meanwhile."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.acceptance.harness import Daemon, wait_for
from tests.acceptance.instance_rig import CREATE, Rig, Running, open_rig


class Server:
    """Something that listens where all machines of the marketplace are said to be: at first it is no SSH server."""

    def __init__(self) -> None:
        self.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        self.dialled = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.dialled += 1
                connection.sendall(self.greeting)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Rig]:
    with open_rig(tmp_path_factory.mktemp("rig"), "--ssh", server.address) as rig:
        rig.own_key()
        yield rig


def waiting(rig: Rig, name: str, *words: str) -> Running:
    """A bid that was placed, and an `ml` that waits for it."""
    running = rig.start(*CREATE, "-n", name, "-N", "2", *words)
    running.says(f"{name}: pending, 0 of 2 running")
    return running


def test_the_wait_ends_when_all_instances_run(rig: Rig) -> None:
    with waiting(rig, "good", "--wait") as creating:
        assert rig.sandbox.force("good", "allocate")
        first, second = rig.bid("good")["instances"]
        rig.set_status(first, "STATUS_RUNNING")
        rig.set_status(second, "STATUS_STARTING")
        creating.says("good: starting, 1 of 2 running (1 starting)")
        assert creating.running  # both have addresses by now: that is not running
        rig.set_status(second, "STATUS_RUNNING")
        done = creating.end(0)
    assert done.err.endswith("ml: good: running, 2 of 2 running\n")
    placed, machines = done.out.split("\n\n")
    assert "next         ml instance info good" in placed
    header, *rows = machines.splitlines()
    assert header.split()[:3] == ["NODE", "INSTANCE", "STATE"]
    assert [row.split()[:3] for row in rows] == [["0", "good-0", "running"], ["1", "good-1", "running"]]


def test_with_json_the_document_comes_at_the_end_and_has_the_last_word(rig: Rig) -> None:
    with waiting(rig, "documented", "--wait", "--json") as creating:
        rig.run("documented")
        shown = creating.end(0).document()["bid"]
    assert (shown["state"], shown["instances_running"], len(shown["instances"])) == ("running", 2, 2)


def test_watching_without_a_terminal_is_waiting_with_lines(rig: Rig) -> None:
    with waiting(rig, "watched", "--watch") as creating:
        rig.run("watched")
        assert "\x1b" not in creating.end(0).err


def test_an_instance_that_meets_an_error_ends_the_wait(rig: Rig) -> None:
    with waiting(rig, "broken", "--wait") as creating:
        assert rig.sandbox.force("broken", "allocate")
        rig.set_status(rig.bid("broken")["instances"][1], "STATUS_ERROR")
        done = creating.end(1)
    assert "broken-1 met an error; it stays: look with `ml instance info broken`" in done.err
    assert "cancel it with `ml instance delete broken`" in done.err
    assert "error" in rig.ml("instance", "info", "broken").out  # which shows the instance that is meant
    assert "failed" in rig.ml("instance", "list", "-s", "failed").out


def test_the_end_of_the_bid_ends_the_wait(rig: Rig) -> None:
    with waiting(rig, "doomed", "--wait", "--json") as creating:
        assert rig.sandbox.force("doomed", "terminate")
        done = creating.end(1)
    assert "the bid 'doomed' was terminated before its instances ran; see `ml history doomed`" in done.err
    assert done.document()["bid"]["state"] == "terminated"


def test_a_pause_ends_the_wait(rig: Rig) -> None:
    with waiting(rig, "parked-here", "--wait") as creating:
        assert rig.sandbox.force("parked-here", "pause")
        done = creating.end(1)
    assert "is paused, and will not run until `ml instance update parked-here --resume`" in done.err


def test_a_preemption_does_not_end_the_wait(rig: Rig) -> None:
    with waiting(rig, "tossed", "--wait") as creating:
        assert rig.sandbox.force("tossed", "allocate")
        assert rig.sandbox.force("tossed", "preempt")
        creating.says("tossed: preempting")
        rig.pass_time()
        creating.says("tossed: pending, 0 of 2 running (2 preempted)")
        rig.run("tossed")
        creating.end(0)


def test_a_wait_that_takes_too_long_leaves_the_bid(rig: Rig) -> None:
    with waiting(rig, "slow", "--wait", "--timeout", "1", "--json") as creating:
        done = creating.end(8)
    assert "waited 1s: slow: pending, 0 of 2 running; it stays: look with `ml instance info slow`" in done.err
    assert done.document()["bid"]["fid"] == rig.bid("slow")["fid"]


def test_an_interrupted_wait_leaves_the_bid(rig: Rig) -> None:
    with waiting(rig, "left", "--wait") as creating:
        creating.process.send_signal(signal.SIGINT)
        done = creating.end(130)
    assert "the waiting has ended, the bid has not: it stays" in done.err
    assert "left" in rig.live()


def test_a_marketplace_that_is_away_is_waited_for(rig: Rig) -> None:
    with waiting(rig, "patient", "--wait") as creating:
        rig.fault("reset", "/v2/*")
        creating.says("; waiting on")
        rig.mend()
        rig.run("patient")
        done = creating.end(0)
    assert done.err.count("waiting on") < 3  # once for each reason


def test_an_ssh_server_is_waited_for(rig: Rig, server: Server) -> None:
    with waiting(rig, "dialled", "--wait-ssh") as creating:
        rig.run("dialled")
        creating.says("dialled: running, 2 of 2 running, 0 on ssh")
        before = server.dialled
        wait_for("another look at what does not greet", lambda: server.dialled > before)
        assert creating.running
        server.greeting = b"welcome\r\nSSH-2.0-OpenSSH_9.6\r\n"
        done = creating.end(0)
    assert done.err.endswith("dialled: running, 2 of 2 running, 2 on ssh\n")


def test_a_daemon_that_restarts_is_waited_for(tmp_path: Path) -> None:
    with open_rig(tmp_path) as rig:
        rig.own_key()
        with waiting(rig, "steady", "--wait") as creating:
            rig.daemon.kill()
            creating.says("waiting on")
            with Daemon(tmp_path, rig.sandbox) as again:
                wait_for("the first sight", again.watched)
                rig.run("steady")
                done = creating.end(0)
    assert done.err.count("no daemon answers") == 1
