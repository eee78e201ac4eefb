"""Instances that do not answer yet, or not well: they are waited for, and pin nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mithrild.fleet import circuit
from mithrild.hooks import on_node, ssh_session
from mithrild.hooks.dispatcher import Dispatcher
from tests.acceptance.sshd import Sshd
from tests.integration.ssh_hook_rig import Rig, rig
from tests.integration.store_builders import PREEMPTING, a_bid, deliveries, sql, until


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def there(tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(on_node, "KNOCKS", (0.05,))
    with rig(tmp_path, sshd, monkeypatch) as made:
        yield made


def test_machine_is_knocked_at_until_it_answers(there: Rig) -> None:
    there.sshd.stop()
    there.see(there.node())

    async def start(_: Dispatcher) -> None:
        await until(there.running)
        await asyncio.to_thread(there.sshd.start)

    assert there.deliver(there.hook("echo there"), start)[:3] == ("done", None, "there\n")
    assert deliveries(there.database, "attempts") == [(1,)]


def test_address_is_looked_up_anew_each_time(there: Rig) -> None:
    there.see(there.node(ssh_destination=None))

    async def tell(_: Dispatcher) -> None:
        await until(there.running)
        await asyncio.to_thread(there.see, there.node())

    assert there.deliver(there.hook("echo there"), tell)[:3] == ("done", None, "there\n")


def test_waiting_ends_with_the_machine(there: Rig) -> None:
    there.see(there.node(ssh_destination=None))

    async def end(_: Dispatcher) -> None:
        await until(there.running)
        await asyncio.to_thread(there.see, there.node(status="STATUS_REPLACED", ssh_destination=None), of="none.*")

    assert there.deliver(there.hook("true"), end)[:2] == ("failed", "there is no instance that could answer")


def test_of_several_machines_the_one_that_ends_is_waited_for_no_longer(there: Rig) -> None:
    there.see(there.node(2, ssh_destination=None))
    sql(there.database, "DELETE FROM deliveries")
    there.see(a_bid(status="Preempting", instance_quantity=2), of="bid.*")

    async def end(_: Dispatcher) -> None:
        await until(there.running)
        await asyncio.to_thread(there.see, there.node(2, "STATUS_REPLACED", ssh_destination=None), of="none.*")

    assert there.deliver(there.hook("echo there"), end)[:3] == ("done", None, "there\n")


def test_waiting_ends_with_the_time_out_and_is_tried_again(there: Rig) -> None:
    there.see(there.node(ssh_destination=None))
    assert there.deliver(there.hook("true", timeout="300ms"))[:2] == ("pending", "it has no address yet")


def test_waiting_ends_with_the_deadline(there: Rig) -> None:
    there.sshd.stop()
    there.see(there.node(status=PREEMPTING))
    sql(there.database, "UPDATE notices SET deadline = '2026-11-23T12:01:01.000000Z'")
    state, reason, _, _ = there.deliver(there.hook("true"))
    assert state == "expired"
    assert "the connection was refused; its deadline leaves no time" in reason


class Door:
    """A TCP server that does one thing with whoever comes, and keeps them until the end."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self._behave = behave
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.guests: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                guest, _ = self._server.accept()
            except OSError:
                return
            self.guests.append(guest)
            self._behave(guest)

    def close(self) -> None:
        self._server.close()
        for guest in self.guests:
            guest.close()


def says_nothing(guest: socket.socket) -> None:
    pass


def hangs_up(guest: socket.socket) -> None:
    guest.close()


def closes_half_way(guest: socket.socket) -> None:
    guest.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    guest.recv(64)
    guest.close()


def says_hello_and_no_more(guest: socket.socket) -> None:
    guest.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")


def is_no_ssh_server(guest: socket.socket) -> None:
    guest.sendall(b"220 mail.example.org ESMTP\r\n" * 200)


@pytest.mark.parametrize("behave", [says_nothing, hangs_up, closes_half_way, says_hello_and_no_more, is_no_ssh_server])
def test_server_that_misbehaves_is_tried_again_and_pins_no_thread(
    there: Rig, monkeypatch: pytest.MonkeyPatch, behave: Callable[[socket.socket], None]
) -> None:
    monkeypatch.setattr(ssh_session, "GREETING", 0.5)
    monkeypatch.setattr(ssh_session, "LOGIN", 0.5)
    door = Door(behave)
    before = threading.active_count()
    there.see(there.node(ssh_destination=door.address))
    state, reason, _, _ = there.deliver(there.hook("true", timeout="100ms"))
    assert state == "pending"
    assert reason.startswith("ubuntu@127.0.0.1 port ")
    assert " does not answer: " in reason
    asyncio.run(until(lambda: threading.active_count() <= before))
    door.close()


def test_machine_that_lets_nobody_in_is_not_dialled_by_each_delivery_afresh(
    there: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "FAILURES", 1)
    monkeypatch.setattr(ssh_session, "GREETING", 0.2)
    door = Door(says_nothing)
    there.see(there.node(ssh_destination=door.address))
    there.see(there.node(2, ssh_destination=door.address))
    hook = there.hook("true", timeout="100ms").model_copy(update={"max_parallel": 1})

    async def both(dispatcher: Dispatcher) -> None:
        put_off = "SELECT outcome, reason FROM attempts WHERE outcome = 'put_off'"
        await until(lambda: bool(sql(there.database, put_off)))
        assert len(door.guests) == 1
        columns = "subject, state, attempts"
        assert deliveries(there.database, columns) == [("inst_1", "pending", 1), ("inst_2", "pending", 0)]
        ((outcome, reason),) = sql(there.database, put_off)
        assert (outcome, reason.partition(" is ")[2]) == (
            "put_off",
            "left alone for now: the last tries were not let in",
        )
        await asyncio.to_thread(there.see, there.node(2, status=PREEMPTING, ssh_destination=door.address))
        dispatcher.wake()
        await until(lambda: there.tries() == 3)
        assert len(door.guests) == 2  # a notice has no time for this

    there.deliver(hook, both)
    door.close()


def test_what_hangs_is_cut_off(there: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_node, "OPENING", 0.3)
    door = Door(says_hello_and_no_more)
    before = threading.active_count()
    there.see(there.node(ssh_destination=door.address))
    state, reason, _, _ = there.deliver(there.hook("true", timeout="100ms"))
    assert (state, reason.partition(": ")[2]) == ("pending", "no login within 0.3 s")
    asyncio.run(until(lambda: threading.active_count() <= before))
    door.close()
