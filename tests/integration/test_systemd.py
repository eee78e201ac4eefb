"""What is said to systemd, on a real datagram socket; sockets from a real `systemd-socket-activate`; the unit file."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from loguru import logger

from mithrild import systemd

CAP = 60.0
ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "mithrild.service"
MITHRILD = Path(sys.executable).parent / "mithrild"


def tool(name: str) -> str:
    """The path of a program of systemd. Where tests are meant to be complete (CI), its absence is a failure."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing, and CI is set: install the package systemd")
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just been started, and not by systemd."""
    monkeypatch.setattr(systemd, "_taken", {})
    for name in systemd._VARIABLES:
        # Set first, so that whatever the module takes away is given back at the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of NOTIFY_SOCKET."""
    with (
        tempfile.TemporaryDirectory(prefix="mith") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        address = f"{folder}/notify" if request.param == "path" else f"@mithrild-test-{os.getpid()}"
        receiver.bind("\0" + address[1:] if address.startswith("@") else address)
        receiver.settimeout(CAP)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield receiver


def test_messages_arrive_as_systemd_wants_them(manager: socket.socket) -> None:
    systemd.notify_ready()
    systemd.notify_status("two bids,\nnine instances")
    systemd.notify_watchdog()
    systemd.notify_stopping(2.5)
    heard = [manager.recv(4096) for _ in range(4)]
    assert heard == [
        b"READY=1",
        b"STATUS=two bids, nine instances",
        b"WATCHDOG=1",
        b"STOPPING=1\nEXTEND_TIMEOUT_USEC=2500000",
    ]


def test_reload_bears_the_time_of_the_monotonic_clock(manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    systemd.notify_reloading()
    after = time.monotonic_ns() // 1000
    first, second = manager.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= after


def test_without_systemd_nothing_happens() -> None:
    systemd.notify_ready()
    systemd.notify_reloading()
    assert systemd.watchdog_interval() is None
    assert systemd.listen_fds() == []


def test_systemd_that_does_not_listen_is_a_line_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]))
    systemd.notify_ready()
    logger.remove(sink)
    assert [line.partition(":")[0] for line in lines] == ["systemd was not told READY=1"]


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [
        ("30000000", None, 15.0),
        ("30000000", "ours", 15.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        ("-5", None, None),
        (None, None, None),
    ],
)
def test_watchdog_is_told_twice_in_its_time(
    monkeypatch: pytest.MonkeyPatch, microseconds: str | None, pid: str | None, seconds: float | None
) -> None:
    if microseconds is not None:
        monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)
    assert systemd.watchdog_interval() == seconds
    assert systemd.watchdog_interval() == seconds


def test_no_child_inherits_what_systemd_said_to_us(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    systemd.notify_ready()
    inherited = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    assert not [name for name in systemd._VARIABLES if f"\n{name}=" in "\n" + inherited]
    systemd.notify_stopping(2.5)
    assert [manager.recv(4096), manager.recv(4096)] == [b"READY=1", b"STOPPING=1\nEXTEND_TIMEOUT_USEC=2500000"]


def test_sockets_meant_for_another_process_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert systemd.listen_fds() == []


ADOPT = """
import os
from mithrild import systemd
from mithrild.api.socket import bind
bound = bind(os.environ, listen_fds=systemd.listen_fds())
connection, _ = bound.socket.accept()
inherited = os.get_inheritable(bound.socket.fileno()) or any(name.startswith("LISTEN_") for name in os.environ)
connection.sendall(f"{bound.adopted} {bound.path} {inherited}".encode())
connection.close()
bound.close()
"""


def test_socket_of_a_real_activation_is_adopted_and_kept(tmp_path: Path) -> None:
    activate = tool("systemd-socket-activate")
    with tempfile.TemporaryDirectory(prefix="mith") as folder:
        path = f"{folder}/passed.sock"
        with subprocess.Popen(
            [activate, f"--listen={path}", f"--setenv=PYTHONPATH={ROOT}", sys.executable, "-c", ADOPT],
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(CAP)
                    connect(client, path)
                    answer = client.recv(4096).decode()
                assert process.wait(CAP) == 0
            finally:
                process.kill()
        assert answer == f"True {path} False"
        assert os.path.exists(path)


def connect(client: socket.socket, path: str) -> None:
    """Connects as soon as somebody listens."""
    deadline = time.monotonic() + CAP
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError, ConnectionRefusedError):
            client.connect(path)
            return
        time.sleep(0.01)
    raise TimeoutError(path)


def verify(text: str, folder: Path, program: Path | str = MITHRILD) -> subprocess.CompletedProcess[str]:
    """What `systemd-analyze --user verify` says of the unit, made to start `program`."""
    analyze = tool("systemd-analyze")
    assert text.count("%h/.local/bin/mithrild run") == 1
    unit = folder / "mithrild.service"
    unit.write_text(text.replace("%h/.local/bin/mithrild run", f"{program} run"))
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(folder)}
    return subprocess.run(
        [analyze, "--user", "verify", str(unit)], env=env, capture_output=True, text=True, timeout=CAP
    )


def test_unit_pleases_systemd(tmp_path: Path) -> None:
    said = verify(UNIT.read_text(), tmp_path)
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"), [("Type=notify\n", "Type=notfy\n"), ("KillMode=", "KilMode="), ("60s", "60 parsecs")]
)
def test_broken_unit_does_not(tmp_path: Path, right: str, wrong: str) -> None:
    text = UNIT.read_text()
    assert right in text
    assert verify(text.replace(right, wrong), tmp_path).stderr != ""


def test_unit_without_its_program_does_not(tmp_path: Path) -> None:
    assert "/no/such/mithrild" in verify(UNIT.read_text(), tmp_path, "/no/such/mithrild").stderr


def test_unit_does_what_the_daemon_relies_on() -> None:
    lines = UNIT.read_text().splitlines()
    for line in (
        "Type=notify",
        "NotifyAccess=main",
        "Restart=on-failure",
        "RestartPreventExitStatus=2",
        "KillMode=mixed",
        "WantedBy=default.target",
        "ExecStart=%h/.local/bin/mithrild run",
        "ExecReload=/bin/kill -HUP $MAINPID",
    ):
        assert line in lines
