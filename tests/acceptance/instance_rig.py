"""A marketplace where nothing moves but what a test moves, a daemon that watches it, and `ml`, also beside the test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.acceptance.harness import BIN, CAP, Daemon, Sandbox, wait_for, write_config

Object = dict[str, Any]
REGION, TYPE, TYPE_NAME = "us-central1-a", "it_h100usc1a04", "h100-80gb.sxm.8x"
WHERE = ("-i", "8xh100", "-r", REGION)
CREATE = ("instance", "create", *WHERE, "-m", "9.5")
SECOND_PROJECT = "proj_research"
PUBLIC_KEY = (
    Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    .public_key()
    .public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    .decode()
)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def document(self) -> Any:
        """Standard output, which is one JSON document and nothing else."""
        return json.loads(self.out)


class Running:
    """An `ml` beside the test, with pipes for its streams."""

    def __init__(self, folder: Path, env: Mapping[str, str], words: tuple[str, ...]) -> None:
        self._files = [folder / f"{time.monotonic_ns()}.{kind}" for kind in ("out", "err")]
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self.process = subprocess.Popen(
                [str(BIN / "ml"), *words], env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    @property
    def out(self) -> str:
        return self._files[0].read_text()

    @property
    def err(self) -> str:
        return self._files[1].read_text()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def says(self, words: str) -> str:
        return wait_for(f"ml says {words!r}, not only {self.err!r}", lambda: self.err if words in self.err else None)

    def end(self, code: int) -> Done:
        done = Done(self.process.wait(CAP), self._files[0].read_text(), self.err)
        assert done.code == code, done
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.process.kill()
        self.process.wait()


class Rig:
    def __init__(self, folder: Path, sandbox: Sandbox, daemon: Daemon) -> None:
        self.folder, self.sandbox, self.daemon = folder, sandbox, daemon
        self.env = daemon.env | {"TERM": "xterm"}

    def ml(self, *words: str, code: int = 0, **more: str) -> Done:
        """One command, with nobody to answer questions, and how it must end."""
        ended = subprocess.run(
            [str(BIN / "ml"), *words],
            env=self.env | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CAP,
        )
        done = Done(ended.returncode, ended.stdout, ended.stderr)
        assert done.code == code, done
        assert "Traceback" not in done.err
        return done

    def refused(self, *words: str, code: int) -> str:
        """The one line that says why not; standard output stays empty."""
        done = self.ml(*words, code=code)
        assert done.out == "", done
        assert done.err.count("\n") == 1, done.err
        return done.err.removeprefix("ml: ").rstrip()

    def unread(self, *words: str) -> str:
        """One command whose standard output has nobody to read it: what it says on standard error."""
        reader, writer = os.pipe()
        os.close(reader)
        try:
            ended = subprocess.run(
                [str(BIN / "ml"), *words], env=self.env, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=CAP
            )
        finally:
            os.close(writer)
        assert ended.returncode == 128 + signal.SIGPIPE, ended
        return ended.stderr

    def start(self, *words: str) -> Running:
        return Running(self.folder, self.env, words)

    def live(self) -> dict[str, Object]:
        """The bids that have not ended, by name, as the marketplace itself has them."""
        return {bid["name"]: bid for bid in self.sandbox.get("/sandbox/state")["bids"]}

    def bid(self, name: str) -> Object:
        return wait_for(f"the bid {name}", lambda: self.live().get(name))

    def place(self, name: str, quantity: int = 1, price: str = "$90.00") -> str:
        """Somebody else places a bid, and the daemon sees it."""
        fid = self.sandbox.place(name, quantity, price)
        self.seen(name, "pending")
        return fid

    def run(self, name: str) -> None:
        """All instances of a bid run, as far as the marketplace goes."""
        assert self.sandbox.force(name, "allocate")
        self.pass_time()

    def pass_time(self) -> None:
        """As long as instances take to boot, or to stop."""
        self.sandbox.post("/sandbox/clock", {"advance_seconds": 600})

    def set_status(self, instance: Object, status: str) -> None:
        self.sandbox.post(f"/sandbox/instances/{instance['fid']}/status", {"status": status})

    def seen(self, name: str, state: str) -> Object:
        """The bid as the daemon has it on record, once it is in this state there."""

        def look() -> Object | None:
            shown: Object | None = self.daemon.get(f"/v1/bids/{name}?all_projects=1").get("bid")
            return shown if shown and shown["recorded"] and shown["state"] == state else None

        return wait_for(f"{name} is {state}", look)

    def fault(self, kind: str, path: str, method: str | None = None, count: int | None = None, **more: Any) -> None:
        self.sandbox.post("/sandbox/faults", {"kind": kind, "path": path, "method": method, "count": count, **more})

    def mend(self) -> None:
        self.sandbox.delete("/sandbox/faults")

    def clear(self) -> None:
        """No faults any more, and no bids."""
        self.mend()
        for bid in self.live().values():
            self.sandbox.force(bid["fid"], "terminate")
        wait_for("an empty list", lambda: not self.daemon.get("/v1/bids?all_projects=1")["bids"])

    def asked(self, method: str, path: str) -> int:
        """How many such requests the marketplace got, of the last it remembers."""
        last = self.sandbox.get("/sandbox/requests")["last"]
        return sum((one["method"], one["path"]) == (method, path) for one in last)

    def own_key(self) -> str:
        """A key of the project whose public half lies in ~/.ssh. Its fid."""
        ssh = self.folder / ".ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        (ssh / "id_ed25519.pub").write_text(PUBLIC_KEY + "\n")
        body = {"project": self.sandbox.project, "name": "mine", "public_key": PUBLIC_KEY}
        return str(self.sandbox.post("/v2/ssh-keys", body)["fid"])


@contextlib.contextmanager
def open_rig(
    folder: Path,
    *options: str,
    both_projects: bool = False,
    configured: bool = True,
    past: Callable[[Sandbox], None] = lambda sandbox: None,
    hooks: Sequence[str] = (),
    **env: str,
) -> Iterator[Rig]:
    """With `both_projects` the daemon watches two; one of them is the configured one, unless it is not `configured`.
    `past` is what happens before there is a daemon. `hooks` are the texts of their tables, `env` what the
    daemon finds in its environment."""
    write_config(folder, *hooks, more='projects = ["demo", "research"]' if both_projects else "")
    with Sandbox(folder, "--paused", *options, speed=1) as sandbox:
        past(sandbox)
        with Daemon(folder, sandbox, wait=True, MITHRIL_PROJECT=sandbox.project if configured else "", **env) as daemon:
            rig = Rig(folder, sandbox, daemon)
            wait_for("the first sight", daemon.watched)
            wait_for("prices and types", lambda: daemon.get("/v1/types")["types"])
            yield rig
