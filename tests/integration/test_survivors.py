"""Real processes that outlived their daemon, found and ended by the mark in their environment."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mithrild.hooks.survivors import DELIVERY_MARK, Survivor, end_survivors, survivors

CAP = 60.0

# Of this run alone: another may be under way on the same machine.
RUN = uuid.uuid4().hex
A, B, C = (f"dlv_{RUN}_{letter}" for letter in "abc")

Starter = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts a shell with the mark, and comes back when it has printed its first line."""
    started: list[subprocess.Popen[bytes]] = []

    def starter(delivery: str, line: str = "", *, uid: int | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"{line or ':'}; echo up; sleep 1000 & wait"],
            env={"PATH": os.environ["PATH"], DELIVERY_MARK: delivery},
            stdout=subprocess.PIPE,
            start_new_session=True,
            user=uid,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield starter
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(CAP)
        assert process.stdout is not None
        process.stdout.close()
    for survivor in survivors(DELIVERY_MARK, [A, B, C]):
        os.kill(survivor.pid, signal.SIGKILL)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + CAP
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def with_child(*deliveries: str) -> Callable[[], bool]:
    """Each shell and its `sleep` have been started."""
    return lambda: all(len(survivors(DELIVERY_MARK, [delivery])) == 2 for delivery in deliveries)


def test_found_are_the_marked_ones_and_no_others(start: Starter) -> None:
    wanted = start(A)
    start(A + "b")
    start(A[:-1])
    until(with_child(A))
    found = survivors(DELIVERY_MARK, [A, B])
    assert Survivor(wanted.pid, A) in found
    assert {survivor.value for survivor in found} == {A}
    assert survivors(DELIVERY_MARK, []) == []
    assert survivors("DELIVERY", [A]) == []


def test_all_of_the_named_deliveries_are_ended_and_counted(start: Starter) -> None:
    first, second, other = start(A), start(B), start(C)
    until(with_child(A, B, C))
    assert asyncio.run(end_survivors([A, B, A[:-1]], kill_after=CAP)) == {A: 2, B: 2}
    assert (first.wait(CAP), second.wait(CAP)) == (-signal.SIGTERM, -signal.SIGTERM)
    assert other.poll() is None


def test_child_in_a_session_of_its_own_is_found_too(start: Starter) -> None:
    start(A, "setsid sleep 1000 & true")
    until(lambda: len(survivors(DELIVERY_MARK, [A])) == 3)
    assert asyncio.run(end_survivors({A})) == {A: 3}
    assert survivors(DELIVERY_MARK, {A}) == []


@pytest.mark.parametrize("pidfds", [True, False])
def test_whoever_ignores_sigterm_is_killed(start: Starter, monkeypatch: pytest.MonkeyPatch, pidfds: bool) -> None:
    def refused(pid: int, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, "no pidfds here")

    if not pidfds:
        monkeypatch.setattr(os, "pidfd_open", refused)
    process = start(A, "trap '' TERM")
    until(with_child(A))
    assert asyncio.run(end_survivors([A], kill_after=0.2)) == {A: 2}
    assert process.wait(CAP) == -signal.SIGKILL


def test_what_is_forked_on_the_way_out_is_ended_as_well(start: Starter, tmp_path: Path) -> None:
    start(A, f"trap 'setsid sleep 1000 & echo $! > {tmp_path}/late; exit' TERM")
    until(with_child(A))
    assert asyncio.run(end_survivors([A], kill_after=2.0)) == {A: 3}
    assert (tmp_path / "late").exists()
    assert survivors(DELIVERY_MARK, [A]) == []


def test_number_that_went_to_another_process_is_not_signalled(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    bystander = start(B)
    found = [[Survivor(bystander.pid, A)], []]
    monkeypatch.setattr("mithrild.hooks.survivors.survivors", lambda mark, values: found.pop(0))
    asyncio.run(end_survivors([A]))
    assert bystander.poll() is None


def test_the_caller_is_left_alone_though_it_bears_the_mark() -> None:
    code = (
        "import asyncio; from mithrild.hooks.survivors import *;"
        f"print(survivors(DELIVERY_MARK, [{A!r}]), asyncio.run(end_survivors([{A!r}])))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, DELIVERY_MARK: A},
        capture_output=True,
        timeout=CAP,
        check=True,
    )
    assert answer.stdout == b"[] {}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_process_of_another_user_is_left_alone(start: Starter) -> None:
    process = start(A, uid=65534)
    assert Path(f"/proc/{process.pid}/environ").read_bytes()  # root may read it, which is not the point
    assert survivors(DELIVERY_MARK, [A]) == []
    assert asyncio.run(end_survivors([A])) == {}
    assert process.poll() is None
