"""When a thing was last looked at, in terms of our clock as it goes by now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mithrild.fleet.model import Snapshot
from mithrild.watcher.recorder import Looked
from tests.unit.fleet_builders import moment


@pytest.mark.parametrize(
    ("bearing", "ahead", "begun"),
    [
        (0, 0, 100),
        (0, 7200, 100),  # our clock goes as it did, whatever the answers say of the marketplace's
        (3600, 0, 100),  # the machine slept
        (3600, -3600, 3700),  # our clock was set ahead, and theirs is behind it
        (None, -3600, 3700),  # nobody knows how it went, so the answers are believed
    ],
)
def test_the_beginning_of_a_window(bearing: float | None, ahead: float, begun: float) -> None:
    looked = Looked(1, moment(100), timedelta(0), timedelta(0))
    seen = Snapshot(
        "proj_1",
        asked_at=moment(9000),
        observed_at=moment(9000),
        ahead=timedelta(seconds=ahead),
        bearing=None if bearing is None else timedelta(seconds=bearing),
    )
    assert looked.begun(seen, lost=False) == moment(begun)
    assert looked.begun(seen, lost=True) == moment(100 - ahead), "it may have been set while this was seen"
