"""Which lanes are looked at, and when: those in which something may begin that could not before."""

from __future__ import annotations

from mithrild.hooks.looks import IDLE, Looks
from tests.integration.store_builders import HandClock, at

SAVE, TELL = ("save", "run"), ("tell", "notify")


def begun(seconds: float = 0) -> tuple[Looks, HandClock]:
    """After the first look, which is at all lanes."""
    clock = HandClock(seconds)
    looks = Looks(clock)
    assert looks.take(clock.now()) is None
    return looks, clock


def test_free_place_has_its_own_lane_looked_at_and_no_other() -> None:
    looks, clock = begun()
    looks.at(SAVE)
    assert looks.wanted.is_set()
    assert looks.take(clock.now()) == {SAVE}
    assert not looks.wanted.is_set()
    assert looks.take(clock.now()) == set()


def test_commit_has_all_looked_at_whatever_else_there_is() -> None:
    looks, clock = begun()
    looks.at(SAVE)
    looks.at_all()
    assert looks.wanted.is_set()
    assert looks.take(clock.now()) is None
    assert looks.take(clock.now()) == set()


def test_lane_is_looked_at_when_something_in_it_falls_due() -> None:
    looks, clock = begun()
    looks.plan({SAVE: at(5), TELL: at(9)}, None)
    assert looks.seconds() == 5
    clock.turn_to(5)
    assert looks.take(clock.now()) == {SAVE}
    looks.plan({TELL: at(9)}, None)
    assert looks.seconds() == 4


def test_all_are_looked_at_now_and_then_however_busy_one_is() -> None:
    looks, clock = begun()
    for seconds in range(1, int(IDLE)):
        clock.turn_to(seconds)
        looks.at(SAVE)
        assert looks.take(clock.now()) == {SAVE}
        looks.plan({}, None)
        assert looks.seconds() == IDLE - seconds
    clock.turn_to(IDLE)
    assert looks.take(clock.now()) is None


def test_target_that_is_to_be_tried_again_has_all_looked_at_even_if_another_look_comes_first() -> None:
    looks, clock = begun()
    looks.plan({}, 10.0)
    assert looks.seconds() == 10
    clock.turn_to(6)
    looks.at(SAVE)
    assert looks.take(clock.now()) == {SAVE}
    looks.plan({}, None)
    assert looks.seconds() == 4
    clock.turn_to(10)
    assert looks.take(clock.now()) is None


def test_look_that_came_to_nothing_is_made_up_for_and_wakes_nobody() -> None:
    looks, clock = begun()
    looks.at(SAVE)
    assert looks.take(clock.now()) == {SAVE}
    looks.came_to_nothing()
    assert not looks.wanted.is_set()
    assert looks.take(clock.now()) is None
