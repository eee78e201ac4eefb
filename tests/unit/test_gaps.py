"""Which gaps the marketplace's history fills, and what it leaves open of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from mithrild.fleet.gaps import NOTHING, Gap, Life, unexplained
from mithrild.fleet.timeline import Row, Told
from tests.unit.fleet_builders import moment

GAP = Gap(moment(1000), moment(5000))
Step = tuple[float, str]


def told(*steps: Step) -> list[Told]:
    return [Told(after, moment(at)) for at, after in steps]


def known(*steps: Step) -> list[Row]:
    """Rows whose times are known."""
    return [Row(n, after, None, moment(at), moment(at), moment(at)) for n, (at, after) in enumerate(steps)]


def seen(after: str, start: float | None = 1000, at: float = 5001) -> Row:
    """A row that only a poll told of."""
    return Row(99, after, None if start is None else moment(start), moment(at), None, moment(at))


def bid(rows: Sequence[Row], story: Sequence[Told], made: float = -3600) -> Life:
    return Life("bid", moment(made), rows, story, whole=True)


def machine(rows: Sequence[Row], story: Sequence[Told], made: float = -3600, *, whole: bool = False) -> Life:
    return Life("instance", moment(made), rows, story, whole)


CALM: list[Step] = [(-3600, "Open"), (-3000, "Allocated")]
RUNNING: list[Step] = [(-2900, "STATUS_NEW"), (-2700, "STATUS_RUNNING")]
QUIET = bid(known(*CALM), told(*CALM))


def judge(life: Life = QUIET, *instances: Life, gap: Gap = GAP) -> str | None:
    return unexplained(life, {f"inst_{n}": one for n, one in enumerate(instances)}, gap)


def test_a_gap_in_which_nothing_happened_is_filled() -> None:
    assert judge() is None
    assert judge(QUIET, machine(known(*RUNNING), [])) is None, "asked since the gap began, and nothing was"


def test_a_gap_whose_steps_are_told_is_filled() -> None:
    steps = [*CALM, (2000.0, "Preempting"), (2300.0, "Open"), (3000.0, "Allocated")]
    fell = [(2000.0, "STATUS_PREEMPTING"), (2300.0, "STATUS_PREEMPTED"), (3000.0, "STATUS_STARTING")]
    assert judge(bid(known(*steps), told(*steps)), machine(known(*RUNNING, *fell), told(*fell))) is None


@pytest.mark.parametrize(
    ("rows", "story", "reason"),
    [
        (known(*CALM), [], NOTHING),
        (known(*CALM), told((2000, "Preempting")), "begins only at 2024-01-01 12:33:20 UTC"),
        ([*known(*CALM), seen("Paused")], told(*CALM), "nothing explains how it came to be paused"),
        ([*known(*CALM), seen("Open")], told(*CALM), "nothing explains how it came to be open"),
        (known(*CALM, (2000, "Open")), told(*CALM, (2000, "Open")), "no step leads from allocated to open"),
        (known(*CALM), told(*CALM, (2000, "Allocated")), "became allocated again at 2024-01-01 12:33:20 UTC"),
    ],
)
def test_what_a_bids_history_leaves_open_is_told(rows: Sequence[Row], story: Sequence[Told], reason: str) -> None:
    assert reason in str(judge(bid(rows, story)))


@pytest.mark.parametrize(
    ("rows", "story", "whole", "reason"),
    [
        ([*known(*RUNNING), seen("STATUS_PREEMPTED")], [], False, "nothing explains how it came to be preempted"),
        (known(*RUNNING), [], True, NOTHING),
        (known(*RUNNING), told((4000, "STATUS_RUNNING")), False, "it became running again"),
        (
            known(*RUNNING, (4000, "STATUS_STARTING")),
            told((4000, "STATUS_STARTING")),
            False,
            "no step leads from running to starting",
        ),
        (known(*RUNNING), told(*RUNNING), True, None),
        ([*known(*RUNNING), seen("gone")], [], False, None),
        (known(*RUNNING, (4000, "STATUS_MYSTERY")), told((4000, "STATUS_MYSTERY")), False, None),
    ],
)
def test_what_an_instances_history_leaves_open_is_told(
    rows: Sequence[Row], story: Sequence[Told], whole: bool, reason: str | None
) -> None:
    found = judge(QUIET, machine(rows, story, whole=whole))
    assert found is None if reason is None else reason in str(found)


def test_a_bid_that_moved_while_its_instances_tell_nothing_is_not_explained() -> None:
    steps = [*CALM, (2000.0, "Preempting"), (2300.0, "Open")]
    moved = bid(known(*steps), told(*steps))
    assert "tell nothing of its being preempting" in str(judge(moved, machine(known(*RUNNING), [])))
    fell = [(2000.0, "STATUS_PREEMPTING"), (2300.0, "STATUS_PREEMPTED")]
    assert judge(moved, machine(known(*RUNNING, *fell), told(*fell))) is None


def test_a_return_to_open_has_no_word_and_needs_no_time() -> None:
    steps = [*CALM, (2000.0, "Preempting")]
    fell = [(2000.0, "STATUS_PREEMPTING")]
    rows = [*known(*steps), seen("Open")]
    assert judge(bid(rows, told(*steps)), machine(known(*RUNNING, *fell), told(*fell))) is None


def test_what_came_after_the_gap_is_no_part_of_it() -> None:
    assert judge(bid([], [], made=5001)) is None
    assert judge(bid([*known(*CALM), seen("Paused", start=5000, at=5010)], told(*CALM))) is None
    assert judge(QUIET, machine([seen("STATUS_NEW", start=None, at=5010)], [], made=5002)) is None


def test_a_bid_that_was_placed_in_the_gap_may_begin_in_it() -> None:
    steps: list[Step] = [(2000, "Open"), (2100, "Paused")]
    assert judge(bid(known(*steps), told(*steps), made=2000)) is None
    assert "begins only" in str(judge(bid(known(*steps), told(*steps[1:]), made=2000)))


def test_the_windows_of_rows_are_by_our_clock() -> None:
    late = replace(seen("Paused", start=-6200, at=-2199), ahead=timedelta(seconds=7200))
    assert "paused" in str(judge(bid([*known(*CALM), late], told(*CALM))))
    assert judge(bid([*known(*CALM), replace(late, ahead=timedelta(0))], told(*CALM))) is None
