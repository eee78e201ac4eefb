"""A bid's state in one word: every row of the order, and that the order is one."""

from __future__ import annotations

import pytest

from mithrild import wire
from mithrild.fleet.state import bid_state, health, matches_filter
from tests.unit.fleet_builders import bid


def statuses(words: str) -> list[str]:
    return [f"STATUS_{word}" for word in words.split()]


@pytest.mark.parametrize(
    ("status", "wanted", "instances", "state"),
    [
        # The end, and a pause, whatever the machines still do.
        ("Terminated", 1, "", "terminated"),
        ("Terminated", 1, "RUNNING PREEMPTING ERROR", "terminated"),
        ("Paused", 1, "", "paused"),
        ("Paused", 1, "PREEMPTING RUNNING", "paused"),
        # A notice: of the bid, or of any instance.
        ("Preempting", 1, "", "preempting"),
        ("Preempting", 1, "RUNNING", "preempting"),
        ("Allocated", 2, "RUNNING PREEMPTING", "preempting"),
        ("Open", 1, "PREEMPTING", "preempting"),
        ("Allocated", 3, "RELOCATING PREEMPTING ERROR", "preempting"),
        ("Allocated", 2, "RUNNING RELOCATING", "relocating"),
        ("Allocated", 2, "ERROR RELOCATING", "relocating"),
        # Trouble hides what runs, and what starts.
        ("Allocated", 2, "RUNNING ERROR", "failed"),
        ("Allocated", 1, "RUNNING ERROR", "failed"),
        ("Allocated", 2, "STARTING ERROR", "failed"),
        # Running: all that are wanted.
        ("Allocated", 1, "RUNNING", "running"),
        ("Allocated", 2, "RUNNING RUNNING", "running"),
        ("Allocated", 2, "RUNNING RUNNING STARTING", "running"),
        ("Allocated", 1, "RUNNING TERMINATED REPLACED", "running"),
        ("Allocated", 2, "RUNNING STARTING", "starting"),
        ("Allocated", 2, "RUNNING INITIALIZING", "starting"),
        ("Allocated", 1, "SCHEDULED INITIALIZING", "starting"),
        ("Open", 1, "STARTING", "starting"),
        # Allocated: something is past SCHEDULED, and none of the above fits.
        ("Allocated", 2, "RUNNING", "allocated"),
        ("Allocated", 2, "RUNNING SCHEDULED", "allocated"),
        ("Allocated", 1, "STOPPING", "allocated"),
        ("Allocated", 1, "STOPPED", "allocated"),
        ("Allocated", 1, "PREEMPTED", "allocated"),
        ("Allocated", 1, "GLOWING", "allocated"),
        # Pending: open, or nothing past SCHEDULED. What has ended is not there.
        ("Open", 1, "", "pending"),
        ("Open", 1, "PREEMPTED", "pending"),
        ("Open", 1, "RUNNING", "pending"),
        ("Allocated", 1, "", "pending"),
        ("Allocated", 3, "NEW CONFIRMED SCHEDULED", "pending"),
        ("Allocated", 1, "TERMINATED", "pending"),
        # A word nobody has heard of: the machines decide, else the word itself is shown.
        ("Hibernating", 1, "", "hibernating"),
        ("Hibernating", 1, "STOPPED", "hibernating"),
        ("Hibernating", 1, "RUNNING", "running"),
        ("Hibernating", 1, "RELOCATING", "relocating"),
    ],
)
def test_the_first_that_fits(status: str, wanted: int, instances: str, state: str) -> None:
    assert bid_state(bid(status=status, instance_quantity=wanted), statuses(instances)) == state


def test_the_order_is_that_of_the_shared_list() -> None:
    """Each row shows everything that a later one needs; taking away the reasons one by one walks down the list."""
    rows = [
        ("Terminated", "PREEMPTING RELOCATING ERROR RUNNING STARTING STOPPING"),
        ("Paused", "PREEMPTING RELOCATING ERROR RUNNING STARTING STOPPING"),
        ("Allocated", "PREEMPTING RELOCATING ERROR RUNNING STARTING STOPPING"),
        ("Allocated", "RELOCATING ERROR RUNNING STARTING STOPPING"),
        ("Allocated", "ERROR RUNNING STARTING STOPPING"),
        ("Allocated", "RUNNING STARTING STOPPING"),
        ("Allocated", "STARTING STOPPING"),
        ("Allocated", "STOPPING"),
        ("Allocated", ""),
    ]
    assert tuple(bid_state(bid(status=status), statuses(words)) for status, words in rows) == wire.BID_STATES


@pytest.mark.parametrize(
    ("previous", "status", "instances", "settled", "judged"),
    [
        ("none", "Open", "", True, "none"),
        ("none", "Allocated", "STARTING STARTING", True, "none"),
        ("none", "Allocated", "RUNNING STARTING", True, "none"),
        ("none", "Allocated", "RUNNING RUNNING", False, "running"),
        ("running", "Allocated", "RUNNING RUNNING", True, "running"),
        ("running", "Allocated", "RUNNING ERROR", True, "degraded"),
        ("running", "Allocated", "RUNNING ERROR", False, "running"),
        ("degraded", "Allocated", "RUNNING ERROR", True, "degraded"),
        ("degraded", "Allocated", "RUNNING RUNNING", False, "running"),
        ("running", "Preempting", "RUNNING RUNNING", True, "running"),
        ("running", "Preempting", "PREEMPTED", True, "running"),
        ("running", "Allocated", "RUNNING PREEMPTING", True, "running"),
        ("degraded", "Preempting", "RUNNING RUNNING", True, "degraded"),
        ("none", "Preempting", "RUNNING RUNNING", True, "none"),
        ("running", "Allocated", "RUNNING RELOCATING", True, "running"),
        ("running", "Open", "PREEMPTED PREEMPTED", True, "none"),
        ("running", "Paused", "RUNNING RUNNING", True, "none"),
        ("degraded", "Terminated", "RUNNING RUNNING", True, "none"),
    ],
)
def test_health(previous: str, status: str, instances: str, settled: bool, judged: str) -> None:
    two = bid(status=status, instance_quantity=2)
    assert health(previous, two, statuses(instances), settled=settled) == judged


@pytest.mark.parametrize(
    ("wanted", "status", "state", "shown"),
    [
        ("running", "Allocated", "running", True),
        ("running", "Allocated", "starting", False),
        ("open", "Open", "pending", True),
        ("open", "Allocated", "pending", False),
        ("allocated", "Allocated", "running", True),
        ("allocated", "Allocated", "allocated", True),
        ("allocated", "Open", "pending", False),
        ("preempting", "Allocated", "preempting", True),
        ("preempting", "Preempting", "preempting", True),
        ("paused", "Paused", "paused", True),
        ("completed", "Terminated", "terminated", True),
        ("cancelled", "Terminated", "terminated", True),
        ("completed", "Open", "pending", False),
        ("hibernating", "Hibernating", "hibernating", True),
    ],
)
def test_filters(wanted: str, status: str, state: str, shown: bool) -> None:
    assert matches_filter(wanted, bid(status=status), state) is shown
