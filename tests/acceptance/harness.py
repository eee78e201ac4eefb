"""Real processes: a sandbox, a daemon, `ml`; and waiting for conditions, with a cap."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]
RECORD = Path("xdg-state", "mithrild", "mithrild.db")  # of a daemon, below its folder
CAP = 30.0  # seconds that any condition may take before the test gives up on it
STARTED = 120.0  # of a program: that takes two seconds of CPU, and a busy machine gives it a twentieth of one
MOST_TOLD = 30  # lines of what a wait was in vain for
Answer = TypeVar("Answer")


def wait_for(what: str, ask: Callable[[], Answer | None], cap: float = CAP) -> Answer:
    """Asks until the answer is true, and returns it."""
    until = time.monotonic() + cap
    while time.monotonic() < until:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {cap:.0f} s: {what}")


def wait_until_nothing(what: str, left: Callable[[], Sequence[str]], cap: float = CAP) -> None:
    """Asks until nothing is left. If something is in the end, it is told."""
    seen: Sequence[str] = ()

    def none() -> bool:
        nonlocal seen
        seen = left()
        return not seen

    try:
        wait_for(f"that nothing {what}", none, cap)
    except AssertionError as error:
        more = f"\n  and {len(seen) - MOST_TOLD} more" if len(seen) > MOST_TOLD else ""
        raise AssertionError("\n  ".join([f"{error}; in the end:", *seen[:MOST_TOLD]]) + more) from None


class Process:
    """A child with its standard error in a file. Ended, and waited for, at the end of the `with`."""

    def __init__(self, argv: list[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as sink:
            self._child = subprocess.Popen(argv, env=dict(env), stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        return self._child.pid

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def wait_to_start(self, what: str, ask: Callable[[], Any]) -> None:
        """If it does not, it is ended: nobody has it in a `with` yet."""
        try:
            wait_for(what, ask, STARTED)
        except AssertionError:
            self.kill()
            raise

    def stop(self, cap: float = CAP) -> int:
        """SIGTERM, and the exit code."""
        if self._child.poll() is None:
            self._child.terminate()
        return self.wait(cap)

    def wait(self, cap: float = CAP) -> int:
        return self._child.wait(cap)

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        if kind is not None:
            print(f"--- {self.log.name}\n{self.said()[-6000:]}")


class Sandbox(Process):
    """`mithrild sandbox` on a port of its own, driven through its control API."""

    def __init__(self, folder: Path, *options: str, speed: float = 60, seed: int = 7) -> None:
        log = folder / "sandbox.log"
        argv = [str(BIN / "mithrild"), "sandbox", "--port", "0", "--speed", str(speed), "--seed", str(seed), *options]
        super().__init__(argv, clean_env(folder), log)
        self.wait_to_start("the sandbox's address", lambda: "(key " in self.said())
        found = re.search(r"(http://[\d.:]+) \(key (\S+)\)", self.said())
        assert found is not None
        self.address, self.key = found[1], found[2]
        # The server hangs up on whoever was silent for 5 s: no question goes on a connection that is about to go.
        limits, headers = httpx.Limits(keepalive_expiry=2.0), {"Authorization": f"Bearer {self.key}"}
        self._http = httpx.Client(base_url=self.address, headers=headers, timeout=10, limits=limits)
        project = re.search(r"MITHRIL_PROJECT=(\S+)", self.said())
        assert project is not None
        self.project = project[1]

    def get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def post(self, path: str, body: Any = None) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def delete(self, path: str) -> None:
        self._http.delete(path).raise_for_status()

    def force(self, bid: str, verb: str) -> bool:
        """Whether the sandbox could: what makes no sense at the moment it answers with 409."""
        answer = self._http.post(f"/sandbox/bids/{bid}/{verb}")
        assert answer.status_code in (200, 409), answer.text
        return answer.status_code == 200

    def place(self, name: str, quantity: int = 1, price: str = "$90.00") -> str:
        auction = self.get("/v2/spot/availability")[0]
        body = {
            "project": self.project,
            "region": auction["region"],
            "instance_type": auction["instance_type"],
            "limit_price": price,
            "instance_quantity": quantity,
            "name": name,
            "launch_specification": {"volumes": [], "ssh_keys": []},
        }
        return str(self.post("/v2/spot/bids", body)["fid"])

    def bids(self) -> list[str]:
        """Those of the project that have not ended."""
        return [bid["fid"] for bid in self.get("/sandbox/state")["bids"] if bid["project"] == self.project]

    def timeline(self) -> list[dict[str, Any]]:
        return list(self.get("/sandbox/timeline?limit=100000")["steps"])

    def __exit__(self, *ending: Any) -> None:
        self._http.close()
        super().__exit__(*ending)


class Daemon(Process):
    """`mithrild run` with a home of its own under `folder`. Ready when its socket answers."""

    def __init__(
        self,
        folder: Path,
        sandbox: Sandbox | None,
        *,
        wait: bool = True,
        program: Sequence[str] = (str(BIN / "mithrild"),),
        **more: str,
    ) -> None:
        env = daemon_env(folder, sandbox) | more
        self.socket_path, self.record = env["MITHRILD_SOCKET"], folder / RECORD
        self.env = env
        argv = [*program, "run", "--config", str(folder / "config.toml")]
        super().__init__(argv, env, folder / "daemon.log")
        if wait:
            self.wait_to_start("the daemon's socket", lambda: not self.running or self.answers())
            assert self.running, self.said()

    def answers(self) -> bool:
        """Whether somebody really does. A connection alone proves nothing: what a daemon that was killed had just
        forked may still hold its socket open for a moment."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5.0)
            try:
                probe.connect(self.socket_path)
                probe.sendall(b"GET /v1/status HTTP/1.1\r\nhost: mithrild\r\nconnection: close\r\n\r\n")
                return bool(probe.recv(1))
            except OSError:
                return False

    def get(self, path: str) -> Any:
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.socket_path), base_url="http://mithrild") as http:
            return http.get(path, timeout=20).json()

    def events(self) -> list[dict[str, Any]]:
        return list(self.get("/v1/events?after=0&limit=10000")["events"])

    def deliveries(self) -> list[dict[str, Any]]:
        return list(self.get("/v1/deliveries?limit=10000")["deliveries"])

    def ml(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_ml(self.env, *words)

    def watched(self) -> bool:
        """Whether the first sight of the project is on record."""
        return any(project["baseline_at"] for project in self.get("/v1/status")["projects"])


def run_ml(env: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / "ml"), *words], env=dict(env), capture_output=True, text=True, timeout=CAP)


def clean_env(folder: Path) -> dict[str, str]:
    """An environment in which nothing of the person who runs the tests is found."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "xdg-config"),
        "XDG_STATE_HOME": str(folder / "xdg-state"),
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "error",
    }


def daemon_env(folder: Path, sandbox: Sandbox | None) -> dict[str, str]:
    env = clean_env(folder) | {"MITHRILD_SOCKET": str(folder / "run" / "m.sock")}
    if sandbox is not None:
        env |= {
            "MITHRIL_API_URL": sandbox.address,
            "MITHRIL_API_KEY": sandbox.key,
            "MITHRIL_PROJECT": sandbox.project,
        }
    return env


def write_config(folder: Path, *hooks: str, poll: str = "250ms", more: str = "") -> None:
    """A configuration that polls fast. Each hook is the text of one `[[hooks]]` table."""
    (folder / "config.toml").write_text(
        f"""\
{more}
[marketplace]
requests_per_minute = 6000
[poll]
active = "{poll}"
idle = "{poll}"
prices = "2s"
clusters = "1s"
"""
        + "".join(f"\n[[hooks]]\n{hook}\n" for hook in hooks)
    )


def write_hook(folder: Path, name: str, body: str) -> Path:
    """An executable script, and where it lies."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def words_of(event: dict[str, Any]) -> str:
    return json.dumps(event, sort_keys=True)
