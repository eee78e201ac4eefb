"""Targets that are left alone: when they are, and who hears of it when they are there again."""

from __future__ import annotations

from mithrild.fleet.circuit import FAILURES, LONGEST
from mithrild.hooks.circuits import Circuits
from mithrild.hooks.hosts import Hosts, LeftAlone
from mithrild.hooks.ssh_route import Hop
from tests.integration.store_builders import HandClock

TARGET = "webhook https://example.com"


def a_hop(host: str) -> Hop:
    return Hop(host, host, 22, "ubuntu", (), agent=False, only=False)


def admitted(hosts: Hosts, *hops: Hop, visitor: str = "dlv_1", urgent: bool = False) -> bool:
    try:
        hosts.admit(hops, visitor, urgent=urgent)
    except LeftAlone:
        return False
    return True


def test_machine_that_lets_nobody_in_is_left_alone_and_so_is_what_lies_behind_it() -> None:
    clock = HandClock()
    hosts, bastion, node = Hosts(clock), a_hop("bastion"), a_hop("node")
    for _ in range(FAILURES):
        assert admitted(hosts, bastion, node)
        hosts.kept_out(bastion)
    assert not admitted(hosts, bastion, node)
    assert admitted(hosts, node)
    assert admitted(hosts, bastion, node, urgent=True)


def test_one_try_at_a_time_sees_whether_a_machine_is_back() -> None:
    clock = HandClock()
    hosts, node = Hosts(clock), a_hop("node")
    for _ in range(FAILURES):
        hosts.kept_out(node)
    clock.turn_to(LONGEST)
    assert admitted(hosts, node, visitor="dlv_1")
    assert admitted(hosts, node, visitor="dlv_1")  # it knocks again
    assert not admitted(hosts, node, visitor="dlv_2")
    hosts.leave("dlv_1")
    assert admitted(hosts, node, visitor="dlv_2")
    hosts.let_in([node])
    assert admitted(hosts, node, visitor="dlv_3")


def test_only_the_try_that_finds_a_target_well_again_says_so() -> None:
    clock = HandClock()
    circuits = Circuits(clock)
    assert not circuits.note(TARGET, "done")
    for _ in range(FAILURES):
        assert circuits.admits(TARGET) == "all"
        assert not circuits.note(TARGET, "retry")
    assert circuits.admits(TARGET) == "urgent"
    assert circuits.admits("another") == circuits.admits(None) == "all"
    assert circuits.seconds_to_a_look() is not None
    clock.turn_to(LONGEST)
    assert circuits.admits(TARGET) == "one"
    assert not circuits.note(TARGET, "interrupted")
    assert circuits.note(TARGET, "failed")  # it answered
    assert circuits.admits(TARGET) == "all"
    assert not circuits.note(TARGET, "done")
    assert circuits.seconds_to_a_look() is None
