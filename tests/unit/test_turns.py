"""Whose turn it is when the first of a notice never ran."""

from __future__ import annotations

import pytest

from mithrild.fleet.turns import Turn, passed_on

SAVE, TELL = ("save", "run"), ("tell", "notify")


def a_turn(number: int, before: str = "evt_1", *, stands: bool = True, lane: tuple[str, str] = SAVE) -> Turn:
    return Turn(f"dlv_{number}", lane, f"evt_{number}", before, stands)


@pytest.mark.parametrize(
    ("skipped", "changed"),
    [
        ([], {}),
        ([a_turn(2)], {"dlv_2": None}),
        # one runs, and from now on the others name it
        ([a_turn(2), a_turn(3), a_turn(4)], {"dlv_2": None, "dlv_3": "evt_2", "dlv_4": "evt_2"}),
        # whose own notice is over has no turn
        ([a_turn(2, stands=False), a_turn(3), a_turn(4)], {"dlv_3": None, "dlv_4": "evt_3"}),
        ([a_turn(2, stands=False)], {}),
        # who waited for another is not concerned
        ([a_turn(2, before="evt_0"), a_turn(3)], {"dlv_3": None}),
        # each action of each hook by itself
        ([a_turn(2, lane=TELL), a_turn(3)], {"dlv_3": None}),
    ],
)
def test_turn_is_passed_on(skipped: list[Turn], changed: dict[str, str | None]) -> None:
    assert passed_on([(SAVE, "evt_1")], skipped) == changed


def test_turns_of_several_are_passed_on_each_by_itself() -> None:
    gone = [(SAVE, "evt_1"), (TELL, "evt_1"), (SAVE, "evt_9")]
    skipped = [a_turn(2), a_turn(3, lane=TELL), a_turn(4), a_turn(10, before="evt_9")]
    assert passed_on(gone, skipped) == {"dlv_2": None, "dlv_3": None, "dlv_4": "evt_2", "dlv_10": None}


def test_nothing_is_passed_on_of_what_is_still_to_come() -> None:
    assert passed_on([], [a_turn(2)]) == {}
