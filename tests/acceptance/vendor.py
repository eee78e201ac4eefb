"""The vendor's own `ml`, a real process with a home of its own: what it prints, how it ends, what it asked for."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import CAP, ROOT, Process, Sandbox, clean_env

ML = ROOT / ".venv-vendor" / "bin" / "ml"
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def need_vendor() -> None:
    """Where tests are meant to be complete (CI), the absence of the client is a failure."""
    if not ML.exists():
        if os.environ.get("CI"):
            pytest.fail("the vendor's client is missing, and CI is set: make vendor")
        pytest.skip("the vendor's client is not installed: make vendor")


@contextlib.contextmanager
def at_rest(folder: Path) -> Iterator[Sandbox]:
    """The demonstration with a bid in every status, where nothing moves. It is for looking at, not for changing."""
    need_vendor()
    with Sandbox(folder, "--paused", speed=1) as sandbox:
        for bid in ("notebook", "eval", "train"):
            sandbox.force(bid, "allocate")
        boot(sandbox)
        sandbox.post("/sandbox/bids/eval/preempt", {"notice_seconds": 12 * 3600})
        yield sandbox


def boot(sandbox: Sandbox) -> None:
    """Let pass the time that all allocated instances take to run."""
    sandbox.post("/sandbox/clock", {"advance_seconds": 600})


@dataclass(frozen=True)
class Done:
    """One command. `asked` has its requests as the sandbox got them, in order; some are sent at once."""

    out: str
    err: str
    asked: list[str]

    def document(self) -> Any:
        """The JSON, which lines about progress precede."""
        start = re.search(r"^[{\[]", self.out, re.MULTILINE)
        assert start is not None, self.out
        return json.loads(self.out[start.start() :])

    def table(self) -> list[list[str]]:
        """Its header, and its rows."""
        rows = (line.strip("│").split("│") for line in self.out.splitlines() if line.startswith("│"))
        return [[cell.strip() for cell in row] for row in rows]

    def facts(self) -> dict[str, str]:
        """The lines of the form `Name:   value`."""
        return dict(re.findall(r"^ *([\w ]+): +(\S.*)$", self.out, re.MULTILINE))


class Vendor:
    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self._sandbox = sandbox
        self._env = clean_env(self.home) | {
            "MITHRIL_API_URL": sandbox.address,
            "MITHRIL_API_KEY": sandbox.key,
            "MITHRIL_PROJECT": sandbox.project,
        }
        del self._env["PYTHONWARNINGS"]  # its warnings are its own

    def run(self, *words: str, code: int = 0, **more: str) -> Done:
        """Nobody is there to answer a question, as in a script."""
        self._sandbox.delete("/sandbox/requests")
        ended = subprocess.run(
            [str(ML), *words],
            env=self._env | more,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=CAP,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return Done(_COLOUR.sub("", ended.stdout), ended.stderr, requests(self._sandbox))

    def start(self, *words: str) -> Process:
        return Process([str(ML), *words], self._env, self.home / "ml.log")

    def register_key(self, name: str) -> str:
        """A pair from the marketplace, laid where the client looks for its user's. Returns its fid."""
        made = self._sandbox.post("/v2/ssh-keys", {"project": self._sandbox.project, "name": name})
        ssh = self.home / ".ssh"
        ssh.mkdir(mode=0o700)
        (ssh / "id_rsa").touch(mode=0o600)
        (ssh / "id_rsa").write_text(made["private_key"])
        (ssh / "id_rsa.pub").write_text(made["public_key"] + "\n")
        return str(made["fid"])


def requests(sandbox: Sandbox) -> list[str]:
    """`METHOD /path?query` of each request since the last command began."""
    last = sandbox.get("/sandbox/requests")["last"]
    return [f"{each['method']} {each['path']}{'?' * bool(each['query'])}{each['query']}" for each in last]


def timed(shown: dict[str, Any]) -> dict[str, Any]:
    """The same with its time as a time: fractions of seconds are written in more than one way."""
    return shown | {"created_at": datetime.fromisoformat(shown["created_at"])}
