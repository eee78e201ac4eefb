"""`ml` before a stand-in for the daemon whose instances are a real sshd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.sshd import Sshd
from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, Handler, Object, answer, bid, instance, serve
from tests.integration.cli_process import ML, PATIENCE, Done


class Client:
    """A person's side: a home of its own, and the real `ssh`."""

    def __init__(self, daemon: FakeDaemon, sshd: Sshd, folder: Path) -> None:
        self.daemon, self.sshd, self.folder = daemon, sshd, folder
        self.known_hosts = folder / "state" / "mithrild" / "known_hosts"
        self.env: dict[str, str] = {}
        self.configure()

    def configure(self, config: str = "", identity: Path | None = None, **more: str) -> None:
        """What stands in the person's ssh configuration, which key it names, and variables of their environment."""
        home = {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state"), "PYTHONWARNINGS": "error"}
        env = self.daemon.env(**(home | more))
        self.env = self.sshd.client_env(env, self.folder, config, identity)

    def ml(self, *words: str, typed: bytes = b"") -> Done:
        """One command line without a terminal, not even one that `ssh` could find to ask at."""
        done = subprocess.run(
            [*ML, *words], env=self.env, input=typed, capture_output=True, timeout=PATIENCE, start_new_session=True
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """The same, to be looked at while it runs."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*ML, *words], env=self.env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True,
            start_new_session=True,
        )  # fmt: skip


def bid_answer(name: str, instances: Sequence[Object], freshness: Object = FRESH, **changes: Any) -> bytes:
    settings = {"instance_quantity": len(instances), "instances_wanted": len(instances), **changes}
    shown = bid(0, fid=f"bid_{name}", name=name, instance_details=list(instances), **settings)
    return answer({"freshness": freshness, "bid": shown, "transitions": []})


def node(name: str, address: str | None, **changes: Any) -> Object:
    return instance(0, fid=f"inst_{name}", name=name, ssh_destination=address, **changes)


def named(name: str, given: bytes | Handler) -> dict[str, bytes | Handler]:
    """What the daemon answers for a bid, by its name and by its fid."""
    return {f"/v1/bids/{name}": given, f"/v1/bids/bid_{name}": given}


@contextmanager
def client(folder: Path, sshd: Sshd) -> Iterator[Client]:
    """Two bids: `one` with one node and `train` with two."""
    answers = {
        **named("one", bid_answer("one", [node("one-0", sshd.address)])),
        **named("train", bid_answer("train", [node(f"train-{number}", sshd.address) for number in (1, 0)])),
    }
    with serve(folder, answers) as daemon:
        yield Client(daemon, sshd, folder)


def dialling(alias: str) -> list[int]:
    """The processes that dial a machine, by the alias in their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"HostKeyAlias={alias}".encode() in words:
                found.append(int(entry.name))
    return found
