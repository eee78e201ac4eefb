"""Whether our clock still goes as it did: it is set, and the machine sleeps."""

from __future__ import annotations

from datetime import datetime

import pytest

from mithrild.clock import Bearings, bearing
from tests.unit.fleet_builders import moment


class TwoHands:
    """What the wall shows, and what has passed."""

    def __init__(self) -> None:
        self.wall, self.passed = 0.0, 0.0

    def now(self) -> datetime:
        return moment(self.wall)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def test_nobody_has_bearings_before_taking_them() -> None:
    assert not Bearings(TwoHands()).hold()


@pytest.mark.parametrize(
    ("what", "wall", "passed", "hold"),
    [
        ("time passes", 3600.0, 3600.0, True),
        ("the clock is corrected a little", 3601.5, 3600.0, True),
        ("the clock is set ahead", 18000.0, 3600.0, False),
        ("the clock is set back", -10800.0, 3600.0, False),
        ("the machine sleeps", 28800.0, 0.0, False),
    ],
)
def test_they_hold_while_the_clock_goes_as_it_did(what: str, wall: float, passed: float, hold: bool) -> None:
    clock = TwoHands()
    bearings = Bearings(clock)
    bearings.take(bearing(clock))
    clock.wall, clock.passed = wall, passed
    assert bearings.hold() == hold, what
    bearings.take(bearing(clock))
    assert bearings.hold()
