"""A real OpenSSH server on a loopback port, with keys of its own, and a client that knows nothing of whoever runs the
tests. What logs in is the user who runs them."""

from __future__ import annotations

import contextlib
import getpass
import grp
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.acceptance.harness import Process, wait_for

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
SSH = shutil.which("ssh")
PRIVILEGE_FOLDER = Path("/run/sshd")  # sshd wants it there when root starts it
TRIES = 5


def need_sshd() -> None:
    """Where tests are meant to be complete (CI), the absence of OpenSSH is a failure."""
    if SSHD and SSH:
        return
    if os.environ.get("CI"):
        pytest.fail("OpenSSH is missing, and CI is set: apt install openssh-server openssh-client")
    pytest.skip("OpenSSH is not installed: apt install openssh-server openssh-client")


def need_terminals() -> None:
    """An sshd that is not root's can give its sessions terminals only where the system makes them right by itself."""
    if os.geteuid() == 0:
        return
    ours, theirs = os.openpty()
    group = os.fstat(theirs).st_gid
    os.close(ours)
    os.close(theirs)
    if group == grp.getgrnam("tty").gr_gid:
        return
    if os.environ.get("CI"):
        pytest.fail("/dev/pts is mounted without gid=5, and CI is set: run the tests as root")
    pytest.skip("/dev/pts is mounted without gid=5, so an sshd that is not root's gives no terminals")


class Sshd:
    """Listens at `port` of 127.0.0.1, lets in the key `folder/id_ed25519`, and does so as long as the `with` lasts."""

    def __init__(self, folder: Path) -> None:
        need_sshd()
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
        self.home = folder / "home"  # in a session: nothing of the person's own shell configuration is read there
        self.home.mkdir(exist_ok=True)
        self.key = make_key(folder / "id_ed25519")
        shutil.copy(f"{self.key}.pub", folder / "authorized_keys")
        make_key(folder / "host_key")
        self._process: Process | None = None
        self.port = 0
        for _ in range(TRIES):  # a port that was free a moment ago may be somebody else's by now
            self.port = _free_port()
            with contextlib.suppress(AssertionError):
                self.start()
                break
        else:
            raise AssertionError(f"sshd does not start: {self.said()}")

    @property
    def address(self) -> str:
        """As a marketplace would tell it."""
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    def start(self) -> None:
        config = self.folder / "sshd_config"
        config.write_text(
            f"""\
ListenAddress 127.0.0.1
Port {self.port}
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserRC no
SetEnv HOME={self.home}
PrintMotd no
PrintLastLog no
UseDNS no
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org
MaxStartups 100
LogLevel VERBOSE
"""
        )
        assert SSHD is not None
        process = Process([SSHD, "-D", "-e", "-f", str(config)], {"PATH": os.environ["PATH"]}, self.folder / "sshd.log")
        self._process = process
        wait_for("sshd's banner", lambda: not process.running or self.answers())
        assert process.running, self.said()

    def stop(self) -> None:
        """Sessions that are open go on."""
        if self._process is not None:
            self._process.stop()

    def rekey(self) -> None:
        """Come back at the same address with another host key, as a machine does that was set up anew."""
        self.stop()
        make_key(self.folder / "host_key")
        self.start()

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                return probe.recv(8) == b"SSH-2.0-"
        except OSError:
            return False

    def said(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")

    def logins(self) -> int:
        return self.said().count("Accepted publickey")

    def client_env(
        self, env: Mapping[str, str], folder: Path, config: str = "", identity: Path | None = None
    ) -> dict[str, str]:
        """`env`, in which `ssh` is the real one and reads only `config`, which names the key.

        `ssh` looks for its files in the home that the system knows, whatever `HOME` says.
        """
        tools = folder / "ssh-tools"
        tools.mkdir(exist_ok=True)
        (tools / "config").write_text(
            f"{config}\nHost *\n  IdentityFile {identity or self.key}\n  IdentityAgent none\n"
        )
        shim = tools / "ssh"
        shim.write_text(f'#!/bin/sh\nexec {SSH} -F {tools}/config "$@"\n')
        shim.chmod(0o755)
        return {**env, "PATH": f"{tools}{os.pathsep}{env['PATH']}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is not None:
            print(f"--- sshd\n{self.said()[-4000:]}")


def make_key(path: Path) -> Path:
    """A new key pair without a passphrase, in place of one that may be there."""
    for old in (path, path.with_name(f"{path.name}.pub")):
        old.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(path)], check=True, capture_output=True
    )
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
