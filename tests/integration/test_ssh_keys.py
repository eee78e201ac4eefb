"""`ml ssh` and keys, the machines' and the person's, against a real sshd; and the way there, by a jump host or not."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mithril_cli.instance.reach import Reach
from tests.acceptance.sshd import SSH, Sshd, make_key
from tests.integration import ssh_rig
from tests.integration.cli_fake_daemon import Object
from tests.integration.ssh_rig import Client, bid_answer, named, node


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def client(tmp_path: Path, sshd: Sshd) -> Iterator[Client]:
    with ssh_rig.client(tmp_path, sshd) as running:
        yield running


def test_a_changed_host_key_stops_with_an_explanation(client: Client, sshd: Sshd) -> None:
    assert client.ml("ssh", "one", "exit 7").code == 7
    sshd.rekey()
    done = client.ml("ssh", "one", "exit 7")
    assert (done.code, done.out) == (255, "")
    last = done.err.splitlines()[-1]
    assert last.startswith("ml: one-0 shows another host key than the one it has shown before")
    assert sshd.logins() == 1
    forget = last.partition("try again: ")[2]
    subprocess.run(["/bin/sh", "-c", forget], env=client.env, check=True, capture_output=True)
    assert client.ml("ssh", "one", "exit 7").code == 7


def test_a_changed_host_key_of_one_node_is_told_by_its_name(client: Client, sshd: Sshd) -> None:
    assert client.ml("ssh", "--node", "1", "train", "true").code == 0
    sshd.rekey()
    done = client.ml("ssh", "train", "echo here")
    assert (done.code, done.out) == (255, "[node-0] here\n")
    assert "ml: train-1 shows another host key" in done.err
    assert "ml: train-0 shows another host key" not in done.err


def test_a_host_key_belongs_to_the_instance_and_not_to_its_address(client: Client, sshd: Sshd) -> None:
    assert client.ml("ssh", "one", "true").code == 0
    sshd.rekey()
    client.daemon.answers |= named("one", bid_answer("one", [node("other-0", sshd.address)]))
    assert client.ml("ssh", "one", "exit 4").code == 4


def test_waiting_for_ssh_does_not_turn_host_key_checks_off(client: Client, sshd: Sshd) -> None:
    assert client.ml("ssh", "train", "true").code == 0
    assert len(client.known_hosts.read_text().splitlines()) == 2
    sshd.rekey()
    assert client.ml("ssh", "train", "true").code == 255


def test_a_refused_key_is_not_retried_for_ever_and_is_named(client: Client, sshd: Sshd) -> None:
    other = make_key(client.folder / "other")
    client.configure(identity=other)
    done = client.ml("ssh", "one", "echo here")
    assert (done.code, done.out) == (255, "")
    line = done.err.splitlines()[-1]
    print_of = subprocess.run(["ssh-keygen", "-lf", str(other)], capture_output=True, text=True, check=True).stdout
    assert line.startswith(f"ml: one-0 refused the key that was offered: {other} (ED25519 {print_of.split()[1]})")
    assert sshd.said().count("Connection from") == 4  # the rig's own, the banner, the try, and the one that names keys


def test_a_key_that_is_named_is_the_one_that_is_offered(client: Client, sshd: Sshd) -> None:
    other = make_key(client.folder / "other")
    client.configure(identity=other)
    assert client.ml("ssh", "-i", str(sshd.key), "one", "exit 5").code == 5
    done = client.ml("ssh", "-i", str(client.folder / "none"), "one", "true")
    assert (done.code, done.err) == (
        2,
        f"ml: the key {client.folder / 'none'} cannot be read: No such file or directory\n",
    )


def test_who_has_no_key_is_told_so(client: Client) -> None:
    client.configure(identity=client.folder / "none")
    done = client.ml("ssh", "train", "true")
    assert done.code == 255
    assert "ml: train-0 refused: no key was offered, as ssh found none; name one with -i\n" in done.err


def test_a_locked_key_is_not_called_refused(client: Client, sshd: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-p", "-q", "-N", "a secret", "-f", str(sshd.key)], check=True, capture_output=True)
    done = client.ml("ssh", "one", "true")
    assert done.code == 255
    assert f"ml: one-0 knows the key {sshd.key} " in done.err
    assert "type ssh-add to unlock it" in done.err


def test_a_remote_command_that_fails_as_ssh_does_is_not_explained(client: Client) -> None:
    client.ml("ssh", "one", "true")
    done = client.ml("ssh", "one", "echo 'git@host: Permission denied (publickey).' >&2; exit 255")
    assert (done.code, done.err) == (255, "git@host: Permission denied (publickey).\n")


def answers(machine: Object) -> bool:
    """Whether `ml instance create --wait-ssh` takes this machine for one that can be dialled."""
    reach = Reach()
    reach.look([machine], patience=5)
    return reach.among([machine]) == 1


def test_a_jump_host_of_the_persons_own_configuration_is_used(
    client: Client, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = node("one-0", f"{getpass.getuser()}@203.0.113.9:2222")  # where nobody answers, but for the jump host
    client.daemon.answers |= named("one", bid_answer("one", [away]))
    jump = client.folder / "jump"
    jump.write_text(
        f"IdentityFile {sshd.key}\nIdentityAgent none\nStrictHostKeyChecking no\nUserKnownHostsFile {jump}.known\n"
    )
    by_way = f"{SSH} -q -F {jump} -p {sshd.port} -W 127.0.0.1:{sshd.port} {getpass.getuser()}@127.0.0.1"
    client.configure(f"Host 203.0.113.9\n  ProxyCommand {by_way}")
    assert client.ml("ssh", "one", "exit 6").code == 6
    assert sshd.logins() == 2
    monkeypatch.setenv("PATH", client.env["PATH"])
    assert answers(away)


def test_a_broken_configuration_of_ssh_is_told_at_once(client: Client) -> None:
    client.configure("Nonsense yes")
    done = client.ml("ssh", "one", "true")
    assert (done.code, done.err.count("\n")) == (255, 1)
    assert "terminating, 1 bad configuration options" in done.err


def test_the_port_of_the_persons_own_configuration_counts_where_the_marketplace_names_none(
    client: Client, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = node("one-0", f"{getpass.getuser()}@127.0.0.1")
    client.daemon.answers |= named("one", bid_answer("one", [bare]))
    client.configure(f"Port {sshd.port}")
    done = client.ml("ssh", "--timeout", "20", "one", "exit 7")
    assert (done.code, "does not answer" in done.err) == (7, False)
    monkeypatch.setenv("PATH", client.env["PATH"])
    assert answers(bare)
    client.configure("Port 9")
    assert client.ml("ssh", "train", "--node", "0", "exit 6").code == 6
