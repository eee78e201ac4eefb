"""Position, and the alignment of the marketplace's history with the rows that stand."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet import alignment
from mithrild.fleet.timeline import Row, Told
from tests.unit.fleet_builders import moment


class Outcome(NamedTuple):
    """What aligning tells: the times of rows, and the steps that no row stands for."""

    times: Mapping[int, datetime] = {}
    missing: tuple[Told, ...] = ()


def align(rows: Sequence[Row], story: Sequence[Told], *, ahead: float = 0) -> Outcome:
    aligned = alignment.align(rows, story, ahead=timedelta(seconds=ahead))
    return Outcome(aligned.times, aligned.missing)


def row(sequence: int, after: str, start: float | None, seen: float, at: float | None = None) -> Row:
    """A row whose window is (start, seen], in seconds after noon."""
    return Row(
        sequence=sequence,
        after=after,
        window_start=None if start is None else moment(start),
        observed_at=moment(seen),
        occurred_at=None if at is None else moment(at),
    )


def told(*steps: tuple[str, float]) -> list[Told]:
    return [Told(after, moment(at)) for after, at in steps]


def times(pairs: Iterable[tuple[int, float]]) -> dict[int, datetime]:
    return {sequence: moment(at) for sequence, at in pairs}


LIFE = [
    row(1, "Open", None, 10, at=0),
    row(4, "Allocated", 100, 105),
    row(7, "Preempting", 200, 205),
    row(9, "Open", 500, 505),
]
STORY = told(("Open", 0), ("Allocated", 103), ("Preempting", 201), ("Open", 501))


def test_position_is_the_marketplaces_time_or_the_end_of_the_window() -> None:
    assert row(7, "Open", 0, 9, at=3).position == (moment(3), 7)
    assert row(7, "Open", 0, 9).position == (moment(9), 7)
    assert replace(row(7, "Open", 0, 9, at=3), place=moment(5)).position == (moment(5), 7)
    late = row(9, "Allocated", 100, 600, at=103)
    assert sorted([*LIFE[1:], late], key=lambda one: one.position)[0] is late
    twins = [row(2, "Allocated", 0, 10), row(1, "Open", 0, 10)]
    assert [one.sequence for one in sorted(twins, key=lambda one: one.position)] == [1, 2]


def test_a_window_is_by_our_clock_and_a_history_by_the_marketplaces() -> None:
    ahead = replace(row(4, "Allocated", 100, 105), ahead=timedelta(minutes=10))
    assert align([ahead], told(("Allocated", 703))) == Outcome(times([(4, 703)]))
    assert align([ahead], told(("Allocated", 103))) == Outcome(times([(4, 103)])), "the Date was not the marketplace's"
    assert align([ahead], told(("Allocated", 137))) == Outcome(), "nobody can tell"
    assert align([ahead], told(("Allocated", 137)), ahead=35) == Outcome(times([(4, 137)])), "and by now it is"


def test_a_history_of_what_we_saw_only_tells_the_times() -> None:
    assert align(LIFE, STORY) == Outcome(times([(4, 103), (7, 201), (9, 501)]), ())


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_and_history_means_nothing(seed: int) -> None:
    rows, story = LIFE.copy(), STORY.copy()
    random.Random(seed).shuffle(rows)
    random.Random(seed + 1).shuffle(story)
    assert align(rows, story) == align(LIFE, STORY)


def test_a_history_with_the_newest_first() -> None:
    assert align(LIFE, STORY[::-1]) == align(LIFE, STORY)


def test_steps_of_one_second_keep_their_order_whichever_way_the_history_runs() -> None:
    story = told(("Open", 0), ("Paused", 50), ("Open", 50), ("Allocated", 103))
    assert align([], story).missing == align([], story[::-1]).missing == tuple(story)
    twins = told(("Paused", 50), ("Open", 50))
    assert align([], twins).missing == tuple(twins)
    rows = [row(2, "Paused", 45, 50), row(3, "Open", 49, 55)]
    assert align(rows, told(("Open", 50), ("Paused", 50))) == Outcome(times([(2, 50), (3, 50)]), ())


def test_what_fell_between_two_polls_is_missing() -> None:
    rows = [row(1, "Allocated", 0, 5), row(2, "Allocated", 600, 605)]
    story = told(("Allocated", 3), ("Preempting", 100), ("Open", 400), ("Allocated", 601))
    assert align(rows, story) == Outcome(times([(1, 3), (2, 601)]), tuple(story[1:3]))


def test_aligning_twice_changes_nothing() -> None:
    story = [*STORY, *told(("Paused", 300), ("Open", 310))]
    first = align(LIFE, story)
    assert first.missing == tuple(told(("Paused", 300), ("Open", 310)))
    rows = [replace(one, occurred_at=first.times.get(one.sequence, one.occurred_at)) for one in LIFE]
    assert align(rows, story) == Outcome({}, first.missing)
    rows += [row(20 + n, one.after, 200, 900) for n, one in enumerate(first.missing)]
    rows[-2:] = [replace(one, occurred_at=step.at) for one, step in zip(rows[-2:], first.missing, strict=True)]
    assert align(rows, story) == Outcome()


@pytest.mark.parametrize(
    ("start", "at"),
    [
        (100, 103),
        (100, 105),
        (100, 106),  # whole seconds here, fractions there
        (100, 99.5),
        (None, -999),
    ],
)
def test_a_step_fits_a_row_whose_window_holds_it(start: float | None, at: float) -> None:
    story = [*told(("Open", -5000)), *told(("Open", at)), *told(("Open", 5000))]
    assert align([row(1, "Open", start, 105)], story) == Outcome(times([(1, at)]), (story[0], story[2]))


@pytest.mark.parametrize("at", [106.5, 99, 50, 7000, -7000])
def test_a_row_that_fits_no_time_is_a_step_all_the_same_for_it_was_seen(at: float) -> None:
    assert align([row(1, "Open", 100, 105)], told(("Open", at))) == Outcome(), "not told twice, and not told its time"
    rows = [row(1, "Open", 100, 105), row(2, "Paused", 200, 205), row(3, "Open", 300, 305)]
    story = told(("Paused", at - 10), ("Open", at), ("Paused", at + 100), ("Open", at + 200))
    assert align(rows, story).missing == (story[0],), "the last of them, in their order"


@pytest.mark.parametrize("at", [100_000, -100_000])
def test_no_clock_is_wrong_by_days(at: float) -> None:
    story = told(("Open", at))
    assert align([row(1, "Open", 100, 105)], story) == Outcome({}, tuple(story))


@pytest.mark.parametrize(("at", "fits"), [(50, True), (51, True), (49, True), (51.5, False), (48.5, False)])
def test_a_row_whose_time_is_known_fits_that_time_only(at: float, fits: bool) -> None:
    story = told(("Open", at))
    assert align([row(1, "Open", 0, 100, at=50)], story) == Outcome({}, () if fits else tuple(story))


def test_a_step_never_fits_a_row_of_another_status() -> None:
    story = told(("Paused", 3))
    assert align([row(1, "Open", 0, 5)], story) == Outcome({}, tuple(story))


def test_of_two_rows_of_one_status_each_gets_its_own_step() -> None:
    rows = [row(1, "Open", 0, 10), row(2, "Open", 5, 20)]
    assert align(rows, told(("Open", 7), ("Open", 8))) == Outcome(times([(1, 7), (2, 8)]))
    assert align(rows, told(("Open", 7))) == Outcome(times([(2, 7)]))
    assert align(rows, told(("Open", 3))) == Outcome(times([(1, 3)]))
    assert align(rows, told(("Open", 15))) == Outcome(times([(2, 15)]))
    assert align(rows, told(("Open", 6), ("Open", 7), ("Open", 8))).missing == tuple(told(("Open", 6)))


def test_what_was_seen_after_a_long_gap_is_the_last_of_its_steps() -> None:
    story = told(("Allocated", 3), ("Preempting", 100), ("Open", 400), ("Allocated", 500))
    aligned = align([row(1, "Allocated", 0, 600)], story)
    assert aligned == Outcome(times([(1, 500)]), tuple(story[:3]))


def test_a_row_keeps_its_step_though_a_neighbour_of_its_window_happened_later() -> None:
    """A paused and an open row of one window: the history says in which order they came."""
    rows = [row(1, "Paused", 0, 100), row(2, "Open", 0, 100)]
    assert align(rows, told(("Open", 50), ("Paused", 60))) == Outcome(times([(1, 60), (2, 50)]))


def test_a_row_is_not_told_the_time_of_an_earlier_step_though_its_clock_is_a_little_off() -> None:
    story = told(("Preempting", 3000), ("Open", 3300), ("Preempting", 5000.5))
    assert align([row(1, "Preempting", 0, 5000)], story) == Outcome(times([(1, 5000.5)]), tuple(story[:2]))
    twins = [row(1, "Open", 0, 10), row(2, "Open", 10, 20)]
    assert align(twins, told(("Open", 5), ("Open", 9.5))).times == times([(1, 9.5)]), "each its own where both would do"


def test_first_sight_is_not_what_came_after_it_though_the_other_clock_is_behind() -> None:
    first = replace(row(1, "Allocated", None, 600), baseline=True, ahead=timedelta(minutes=-10))
    story = told(("Allocated", -20), ("Preempting", 4), ("Allocated", 4))
    assert align([first], story) == Outcome(times([(1, -20)]), tuple(story[1:]))


def test_first_sight_is_no_step_that_others_had_followed_by_then() -> None:
    """No word tells of a return to Open. It is not the Open of when the bid was placed."""
    first = replace(row(1, "Open", None, 600), baseline=True)
    story = told(("Open", 0), ("Allocated", 50), ("Preempting", 200))
    assert align([first], story) == Outcome({}, tuple(story))
    assert align([first], [*story, *told(("Open", 500), ("Allocated", 700))]).times == times([(1, 500)])
    assert align([first], told(("Open", 0), ("Allocated", 601))).times == times([(1, 0)])


def test_first_sight_takes_a_while_and_shows_what_was_listed() -> None:
    rows = [replace(row(1, "Open", None, 20), baseline=True), row(2, "Allocated", 0, 50)]
    assert align(rows, told(("Open", -3600), ("Allocated", 10))) == Outcome(times([(1, -3600), (2, 10)]))
    story = told(("Open", -3600), ("Paused", 8), ("Allocated", 10))
    assert align(rows, story) == Outcome(times([(1, -3600), (2, 10)]), (story[1],)), "two steps within that while"


def test_what_was_seen_last_is_no_earlier_step_than_what_was_seen_before_it() -> None:
    """No word of the history tells of the return to Open that was seen last. There was an Open before all others."""
    rows = [row(1, "Allocated", None, 100), row(2, "Open", 100, 2000)]
    story = told(("Open", 0), ("Allocated", 50), ("Preempting", 1700))
    assert align(rows, story).missing == (story[0], story[2])
    assert align(rows[1:], story[:1]) == Outcome(), "where nothing tells, it may be that"


def test_nor_is_it_within_the_second_that_clocks_may_be_off() -> None:
    rows = [row(1, "Allocated", None, 1), row(2, "Preempting", 0, 1), row(3, "Open", 0, 2000)]
    story = told(("Open", 0), ("Allocated", 0), ("Preempting", 1))
    assert align(rows, story) == Outcome(times([(1, 0), (2, 1)]), (story[0],))
    reopened = Told("Open", moment(301), inferred=True)
    assert align(rows, [*story, reopened]).missing == (story[0],)


def test_window_that_begins_after_its_end_says_when_it_ended() -> None:
    wrong = replace(row(1, "Allocated", 7200, 500), ahead=timedelta(hours=-2))
    assert align([wrong], told(("Allocated", 15), ("Open", 400))).times == times([(1, 15)])
    assert align([wrong], told(("Allocated", 502))).times == {}


def test_nothing_and_nothing() -> None:
    assert align([], []) == Outcome()
    assert align(LIFE, []) == Outcome()
    assert align([], STORY).missing == tuple(STORY)


@given(
    st.lists(st.tuples(st.sampled_from(["Open", "Allocated", "Paused"]), st.integers(1, 40)), max_size=12),
    st.lists(st.integers(1, 90), max_size=8),
)
def test_whatever_was_watched_every_step_is_there_once(steps: list[tuple[str, int]], pauses: list[int]) -> None:
    """A true story, and the rows of someone who polled it now and then. Alignment adds just what was not seen."""
    story: list[Told] = []
    now = 0
    for after, later in steps:
        now += later
        if not story or story[-1].after != after:
            story.append(Told(after, moment(now)))
    rows: list[Row] = []
    last, now = 0, 0
    for pause in pauses:
        last, now = now, now + pause
        happened = [one.after for one in story if one.at <= moment(now)]
        held = rows[-1].after if rows else None
        if happened and happened[-1] != held:
            rows.append(row(len(rows) + 1, happened[-1], last, now))
    found = align(rows, story)
    assert found.times.keys() == {one.sequence for one in rows}
    assert sorted([one.at for one in found.missing] + list(found.times.values())) == [one.at for one in story]
    known = [replace(one, occurred_at=found.times[one.sequence]) for one in rows]
    added = [Row(100 + n, one.after, None, moment(9999), one.at) for n, one in enumerate(found.missing)]
    assert align([*known, *added], story) == Outcome()
