"""Whatever goes wrong: one line on standard error, nothing on standard output, and an exit code that means it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, answer, bid, refusal, serve
from tests.integration.cli_process import ML, PATIENCE, Done, ml

IMPATIENT = (
    "import sys; from mithril_cli import client; client.TIMEOUT = 0.3; "
    "from mithril_cli.main import main; sys.exit(main())"
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with serve(tmp_path, {}) as running:
        yield running


def failed(done: Done, code: int, *words: str) -> None:
    assert (done.code, done.out) == (code, ""), done
    assert done.err.startswith("ml: ")
    assert done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err


def test_no_socket(tmp_path: Path) -> None:
    env = FakeDaemon(tmp_path / "none.sock", {}).env()
    for args in (["instance", "list"], ["events", "-f"], ["history", "x"], ["daemon", "status"]):
        failed(ml(env, *args), 3, "no socket", "mithrild run", "systemctl --user start mithrild")


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    failed(ml(FakeDaemon(path, {}).env(), "instance", "list"), 3, "refused", "mithrild run")


def test_a_path_that_cannot_be_a_socket(tmp_path: Path) -> None:
    failed(ml(FakeDaemon(tmp_path / ("x" * 200), {}).env(), "instance", "list"), 3, "too long")


def test_the_next_place_is_tried_when_the_first_has_only_a_stale_socket(tmp_path: Path) -> None:
    stale, living = tmp_path / "run" / "mithrild", tmp_path / "state" / "mithrild"
    for folder in (stale, living):
        folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(stale / "mithrild.sock"))
    with serve(living, {"/v1/bids": answer({"freshness": FRESH, "bids": [bid()]})}) as daemon:
        env = daemon.env(XDG_RUNTIME_DIR=str(tmp_path / "run"), XDG_STATE_HOME=str(tmp_path / "state"))
        del env["MITHRILD_SOCKET"]
        assert ml(env, "instance", "list").code == 0


def impatient(env: dict[str, str], *args: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *args], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_daemon_that_hangs(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "mithrild.sock"))
        listening.listen(8)  # the kernel takes the connection, and nobody answers
        env = FakeDaemon(tmp_path / "mithrild.sock", {}).env()
        failed(impatient(env, "instance", "list"), 3, "did not answer within 0.3 s")


def test_a_daemon_whose_queue_is_full(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as waiting:
        listening.bind(str(tmp_path / "mithrild.sock"))
        listening.listen(0)
        waiting.connect(str(tmp_path / "mithrild.sock"))
        env = FakeDaemon(tmp_path / "mithrild.sock", {}).env()
        failed(impatient(env, "instance", "list"), 3, "no daemon answers", "too many")


def test_a_daemon_that_drips(daemon: FakeDaemon) -> None:
    done = threading.Event()

    def drip(request: object) -> bytes:
        send = daemon.requests[-1].send
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not done.wait(0.05):
            send(b" ")
        return b""

    daemon.answers["/v1/bids"] = drip
    try:
        failed(impatient(daemon.env(), "instance", "list"), 3, "did not answer within 0.3 s")
    finally:
        done.set()


@pytest.mark.parametrize(
    "broken",
    [
        answer(b"{"),
        answer(b"[]"),
        answer(b"\xff\xfe"),
        answer(b'{"bids": [' + b"9" * 5000 + b"]}"),
        answer(b"[" * 100_000),
        answer({"bids": None}),
        answer({"bids": ["x"]}),
        answer({}),
        answer(b"Bad Gateway", 502),
        answer({"error": "text"}, 500),
        answer({"bids": []}, 302),
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 9000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
)
def test_a_broken_answer(daemon: FakeDaemon, broken: bytes) -> None:
    daemon.answers["/v1/bids"] = broken
    failed(ml(daemon.env(), "instance", "list"), 1)


def test_a_daemon_that_hangs_up(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = b""
    failed(ml(daemon.env(), "instance", "list"), 3, "hung up")


@pytest.mark.parametrize(
    ("status_code", "code", "exit_code"),
    [
        (404, "not_found", 6),
        (409, "ambiguous", 2),
        (400, "bad_request", 2),
        (500, "internal", 1),
        (410, "cursor_gone", 1),
    ],
)
def test_an_error_of_the_api_is_told_in_its_own_words(
    daemon: FakeDaemon, status_code: int, code: str, exit_code: int
) -> None:
    daemon.answers["/v1/bids"] = refusal(status_code, code, "words\x1b[2J of\nthe daemon")
    failed(ml(daemon.env(), "instance", "list"), exit_code, r"words\x1b[2J of\nthe daemon")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["instance", "list", "--foo"], "try: ml instance list -h"),
        (["instance", "list", "--al"], "--al"),
        (["instance", "list", "--limit", "0"], "number from 1 up"),
        (["instance", "list", "-p", "a", "--all-projects"], "exclude"),
        (["instance", "info", ""], "empty"),
        (["instance", "info"], "name one"),
        (["instnace"], "did you mean instance"),
        (["instance", "lsit"], "did you mean list"),
        (["--foo"], "ml -h"),
        (["wh\x1b[2Jat"], r"wh\x1b[2Jat"),
        (["history"], "NAME"),
        (["events", "--since", "soon"], "--since takes"),
        (["events", "--after", "x"], "--after takes"),
        (["events", "--type", "instanec.*"], "types begin with"),
        (["events", "-f", "--limit", "3", "--after", "1"], "--limit"),
        (["hooks", "lits"], "did you mean list"),
        (["hooks", "show"], "DELIVERY"),
        (["hooks", "explain"], "explain takes an EVENT"),
        (["hooks", "explain", "7", "--bid", "train"], "explain takes an EVENT"),
        (["hooks", "silence", "train-*"], "how long"),
        (["hooks", "silence", "train-*", "--for", "8h", "--until", "07:00"], "how long"),
        (["hooks", "silence", "train-*", "--for", "soon"], "not a time"),
        (["hooks", "silence", "train-*", "--until", "25:00"], "--until takes a time such as 07:00"),
        (["hooks", "silence", "train-*", "--until", "2020-01-01T07:00"], "is over already"),
        (["drill", "preempt"], "NAME"),
        (["drill", "preempt", "train"], "say -y"),
        (["drill", "preempt", "train", "-y", "--notice", "2h"], "an hour at most"),
    ],
)  # fmt: skip
def test_wrong_usage(tmp_path: Path, args: list[str], words: str) -> None:
    failed(ml(FakeDaemon(tmp_path / "none.sock", {}).env(), *args), 2, words)


def test_help_at_each_level_needs_no_daemon(tmp_path: Path) -> None:
    env = FakeDaemon(tmp_path / "none.sock", {}).env()
    levels = [
        "",
        "instance",
        "instance list",
        "instance info",
        "instance create",
        "instance delete",
        "instance update",
        "instance list-types",
        "events",
        "history",
        "daemon",
        "daemon status",
        "daemon backup",
        "hooks",
        "hooks list",
        "hooks log",
        "hooks silence",
        "drill",
        "drill preempt",
    ]
    for level in levels:
        done = ml(env, *level.split(), "-h")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"usage: ml {level}".strip())
        assert "examples:" in done.out
        assert max(map(len, done.out.splitlines())) <= 110
    assert ml(env).out == ml(env, "-h").out
    group = ml(env, "instance")
    assert (group.code, group.out) == (2, "")
    assert group.err == ml(env, "instance", "-h").out


def test_a_closed_pipe_ends_quietly(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": [bid(n) for n in range(5000)]})
    for flags in ([], ["--json"]):
        process = subprocess.Popen(
            [*ML, "instance", "list", *flags], env=daemon.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(PATIENCE) == 141


def test_a_full_disk_is_told(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": [bid()]})
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*ML, "instance", "list"], env=daemon.env(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "ml: the answer cannot be written: No space left on device\n"


def test_a_closed_standard_output_is_told(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": [bid()]})
    done = subprocess.run(
        [*ML, "instance", "list"],
        env=daemon.env(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=lambda: os.close(1),
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard output is closed" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("{}",),
        ("instance", "{}"),
        ("completion", "{}"),
        ("instance", "list", "--limit", "{}"),
        ("instance", "list", "{}"),
        ("events", "--since", "{}"),
        ("events", "--after", "{}"),
        ("events", "--type", "{}"),
    ],
)
def test_what_was_typed_is_not_said_back_at_length(tmp_path: Path, words: tuple[str, ...]) -> None:
    with serve(tmp_path, {}) as daemon:
        done = ml(daemon.env(), *(word.format("x" * 100_000) for word in words))
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert len(done.err) < 2200
