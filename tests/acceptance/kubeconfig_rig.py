"""`ml k8s update-kubeconfig` with everything real: sandbox, daemon, `ml`, `ssh`, an sshd that is the control node, and
an API server."""

from __future__ import annotations

import contextlib
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.acceptance.cluster_server import ClusterServer
from tests.acceptance.harness import BIN, CAP, Daemon, Sandbox, wait_for, write_config
from tests.acceptance.sshd import Sshd

BANNER = "Welcome to the control node! Last login: never"
LOCAL = """\
# mine
apiVersion: v1
kind: Config
clusters:
- cluster: {server: "https://192.0.2.1:6443"}   # in the cellar
  name: cellar
contexts:
- context: {cluster: cellar, user: me}
  name: cellar
current-context: cellar
users:
- name: me
  user: {token: 'mine'}
"""


class World:
    """`remote` is what lies on the control node."""

    def __init__(self, folder: Path, sshd: Sshd, daemon: Daemon, server: ClusterServer) -> None:
        self.sshd, self.daemon, self.server = sshd, daemon, server
        self.env = sshd.client_env(daemon.env, folder)
        self.remote = sshd.home / ".kube" / "config"
        self.remote.parent.mkdir()
        self.login("")

    def login(self, more: str) -> None:
        """What a login to the control node says first, and `more` that its shell does then."""
        for name in (".bashrc", ".zshenv"):
            (self.sshd.home / name).write_text(f"echo '{BANNER}'\n{more}\n")


class Person:
    """A home of their own, with a kubeconfig in it if there is one."""

    def __init__(self, world: World, home: Path) -> None:
        self.world = world
        self.folder = home / ".kube"
        self.file = self.folder / "config"
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        self.umask = 0o022
        self.env = world.env | {"HOME": str(home), "TMPDIR": str(self.temporary), "TERM": "xterm"}
        world.remote.write_text(world.server.kubeconfig())
        world.login("")

    def has(self, text: str = LOCAL) -> None:
        self.folder.mkdir(exist_ok=True)
        self.file.write_text(text)

    def ml(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """One command line without a terminal."""
        return subprocess.run(
            [str(BIN / "ml"), *words], env=self.env | env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=CAP, start_new_session=True, umask=self.umask,
        )  # fmt: skip

    def update(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.ml("k8s", "update-kubeconfig", "train", *words, **env)

    def kubectl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["kubectl", *words], env=self.env, capture_output=True, text=True, timeout=CAP)

    @property
    def content(self) -> Any:
        return YAML(typ="safe", pure=True).load(self.file.read_text())

    @property
    def names(self) -> list[list[str]]:
        """Of the clusters, contexts and users."""
        return [[each["name"] for each in self.content[kind]] for kind in ("clusters", "contexts", "users")]

    @property
    def others(self) -> list[str]:
        """What lies beside the kubeconfig."""
        return sorted(each.name for each in self.folder.iterdir() if each not in (self.file, self.folder / "cache"))


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[World]:
    """A world in which nothing moves."""
    write_config(folder)
    (folder / "api").mkdir()
    with Sshd(folder / "sshd") as sshd, ClusterServer(folder / "api") as server:
        options = ("--paused", "--no-demo", "--ssh", sshd.address)
        with Sandbox(folder, *options, speed=1) as sandbox, Daemon(folder, sandbox) as daemon:
            wait_for("the clusters", lambda: daemon.get("/v1/clusters").get("clusters"))
            yield World(folder, sshd, daemon, server)
