"""Targets that are left alone: when they are, and who hears of it when they are there again."""

from __future__ import annotations

from mithrild.fleet.circuit import FAILURES, LONGEST
from mithrild.hooks.circuits import Circuits
from tests.integration.store_builders import HandClock

TARGET = "webhook https://example.com"


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
