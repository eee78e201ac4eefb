"""The marketplace's history laid over the record: times told, steps added, nothing rewritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithrild.fleet.history import Merge, Subject, merge
from mithrild.fleet.model import BidEvent
from mithrild.fleet.remembered import reopened, status_steps
from mithrild.fleet.timeline import Row, Told
from tests.unit.fleet_builders import bid, moment

NEVER = moment(10**6)
LIFE = ("NEW", "STARTING", "RUNNING", "PREEMPTING", "PREEMPTED", "ERROR")


def status(word: str) -> str:
    return f"STATUS_{word}"


def machine(present: str | None = "RUNNING") -> Subject:
    return Subject("instance", "inst_1", "proj_1", "bid_1", present and status(present))


def told(*steps: tuple[str, float]) -> list[Told]:
    return [Told(status(word), moment(at)) for word, at in steps]


def row(
    sequence: int, word: str, start: float | None, seen: float, at: float | None = None, *, baseline: bool = False
) -> Row:
    window, time = None if start is None else moment(start), None if at is None else moment(at)
    return Row(sequence, status(word), window, moment(seen), time, time or moment(seen), baseline)


def lay(rows: Sequence[Row], story: Sequence[Told], present: str | None = "RUNNING") -> Merge:
    return merge(machine(present), rows, story, now=NEVER)


def added(result: Merge) -> list[tuple[str | None, str, float]]:
    return [
        (
            step.before and step.before.removeprefix("STATUS_"),
            step.after.removeprefix("STATUS_"),
            (step.occurred_at - moment(0)).total_seconds() if step.occurred_at else -1,
        )
        for step, _ in result.added
    ]


def whole(rows: Sequence[Row], result: Merge) -> list[str]:
    """The words of the merged timeline, by position."""
    places = [(result.positions.get(one.sequence, one.position[0]), one.sequence, one.after) for one in rows]
    places += [(place, 10_000 + number, step.after) for number, (step, place) in enumerate(result.added)]
    return [word.removeprefix("STATUS_") for _, _, word in sorted(places)]


def kept(rows: Sequence[Row], result: Merge) -> list[Row]:
    """The rows as the record has them after the merge was written."""
    held = [
        replace(
            one,
            occurred_at=result.times.get(one.sequence, one.occurred_at),
            place=result.positions.get(one.sequence, one.place),
        )
        for one in rows
    ]
    held += [
        Row(10_000 + number, step.after, None, step.observed_at, step.occurred_at, place)
        for number, (step, place) in enumerate(result.added)
    ]
    return held


def test_what_was_seen_is_only_told_its_time() -> None:
    rows = [row(1, "NEW", 0, 5), row(2, "RUNNING", 100, 105)]
    result = lay(rows, told(("NEW", 3), ("RUNNING", 102)))
    assert result.times == {1: moment(3), 2: moment(102)} == result.positions
    assert result.added == ()


def test_what_fell_between_two_polls_is_added_in_its_place() -> None:
    rows = [row(1, "RUNNING", 0, 5), row(2, "RUNNING", 600, 605)]
    rows[0] = row(1, "NEW", 0, 5)
    result = lay(rows, told(("NEW", 3), ("STARTING", 300), ("RUNNING", 602)))
    assert added(result) == [("NEW", "STARTING", 300)]
    assert whole(rows, result) == ["NEW", "STARTING", "RUNNING"]
    (step,) = [step for step, _ in result.added]
    assert (step.provenance, step.type, step.bid) == ("backfilled", "instance.starting", "bid_1")


def test_a_notice_that_came_and_went_unseen_is_added_with_its_reprieve() -> None:
    rows = [row(1, "RUNNING", 0, 5)]
    result = lay(rows, told(("RUNNING", 3), ("PREEMPTING", 100), ("RUNNING", 150)))
    assert added(result) == [("RUNNING", "PREEMPTING", 100), ("PREEMPTING", "RUNNING", 150)]
    assert [step.type for step, _ in result.added] == ["instance.preempting", "instance.reprieved"]


def test_after_a_stop_it_was_no_reprieve() -> None:
    rows = [row(1, "RUNNING", 0, 5)]
    story = told(("RUNNING", 3), ("PREEMPTING", 100), ("PREEMPTED", 400), ("RUNNING", 500))
    assert [step.type for step, _ in lay(rows, story).added][-1] == "instance.running"


def test_what_the_next_poll_will_see_is_left_to_it() -> None:
    rows = [row(1, "RUNNING", 0, 5)]
    story = told(("RUNNING", 3), ("PREEMPTING", 100))
    assert lay(rows, story).added == (), "the record holds RUNNING: this leads away from there"
    seen = [*rows, row(2, "PREEMPTING", 95, 105)]
    times = {1: moment(3), 2: moment(100)}
    assert lay(seen, story, "PREEMPTING") == Merge(times, times)


def test_what_was_there_at_first_sight_is_the_beginning() -> None:
    rows = [row(1, "RUNNING", None, 50, baseline=True)]
    result = lay(rows, told(("NEW", 1), ("STARTING", 20), ("RUNNING", 30)))
    assert (result.times, result.added) == ({1: moment(30)}, ())
    later = told(("NEW", 1), ("STARTING", 20), ("RUNNING", 30), ("ERROR", 60), ("RUNNING", 70))
    assert added(lay(rows, later)) == [("RUNNING", "ERROR", 60), ("ERROR", "RUNNING", 70)]


def test_what_nobody_has_ever_seen_is_added_whole() -> None:
    story = told(("NEW", 1), ("RUNNING", 30), ("PREEMPTED", 60))
    assert added(lay([], story, None)) == [(None, "NEW", 1), ("NEW", "RUNNING", 30), ("RUNNING", "PREEMPTED", 60)]


def test_steps_of_one_moment_keep_their_order() -> None:
    rows = [row(7, "RUNNING", 0, 100, at=50)]
    result = lay(rows, told(("NEW", 50), ("STARTING", 50), ("RUNNING", 50)))
    assert added(result) == [(None, "NEW", 50), ("NEW", "STARTING", 50)]
    assert whole(rows, result) == ["NEW", "STARTING", "RUNNING"]
    assert all(moment(50) - place < timedelta(milliseconds=1) for _, place in result.added)


def test_a_clock_that_was_set_meanwhile_makes_no_step_twice() -> None:
    rows = [row(1, "NEW", 0, 5), row(2, "RUNNING", 3600, 3605)]
    result = lay(rows, told(("NEW", 3), ("RUNNING", 102)))
    assert result.added == ()
    assert result.times == {1: moment(3)}, "the other's may be another step's"


def test_a_step_that_is_dated_differently_elsewhere_is_not_told_twice() -> None:
    rows = [row(1, "NEW", 0, 5, at=3), row(2, "RUNNING", 100, 105, at=104)]
    result = lay(rows, told(("NEW", 1), ("RUNNING", 101)))
    assert (result.added, result.times) == ((), {}), "it keeps the time that it was told first"


def test_a_machine_that_comes_back_an_hour_after_its_notice_was_not_reprieved() -> None:
    rows = [row(1, "RUNNING", 0, 5)]
    story = told(("RUNNING", 3), ("PREEMPTING", 100), ("RUNNING", 3700))
    assert [step.type for step, _ in lay(rows, story).added] == ["instance.preempting", "instance.running"]


@pytest.mark.parametrize("story", [[], told(("ERROR", 20))])
def test_a_history_that_knows_nothing_of_what_was_seen_takes_nothing_away(story: list[Told]) -> None:
    rows = [row(1, "NEW", 0, 5), row(2, "RUNNING", 100, 105)]
    result = lay(rows, story)
    assert whole(rows, result) == (["NEW", "ERROR", "RUNNING"] if story else ["NEW", "RUNNING"])
    assert result.times == {}


def test_a_bid_reopens_when_its_instances_stop() -> None:
    words = [Told("Open", moment(0)), Told("Allocated", moment(10)), Told("Preempting", moment(100))]
    again = Told("Allocated", moment(700))
    stopped = told(("RUNNING", 20), ("PREEMPTING", 100), ("STOPPING", 400), ("PREEMPTED", 420))
    reprieved = told(("RUNNING", 20), ("PREEMPTING", 100), ("RUNNING", 200))
    opened = Told("Open", moment(400), inferred=True)
    assert reopened([*words, again], [stopped]) == [*words, opened, again]
    assert reopened(words, [stopped, stopped]) == [*words, opened]
    assert reopened([*words, Told("Allocated", moment(200))], [reprieved])[-1] == Told("Allocated", moment(200))
    ended = Told("Terminated", moment(400))
    taken = [*stopped[:-1], Told(status("TERMINATED"), moment(400))]
    assert reopened([*words, ended], [taken]) == [*words, ended], "it took its instances with it"
    assert reopened([*words, ended], [taken, stopped]) == [*words, opened, ended], "one says that it was preempted"
    assert reopened(words, [stopped, stopped[:2]]) == words, "another one is under notice still"
    by_itself = [*stopped[:-2], Told(status("STOPPED"), moment(300))]
    assert reopened([*words, ended], [by_itself, taken]) == [*words, ended], (
        "a machine that stopped tells nothing of all"
    )
    assert reopened([*words, again], []) == [*words, again], "where no instance tells, nothing is inferred"


def test_a_bid_that_was_seen_open_after_its_notice_is_open_again_whatever_its_instances_tell() -> None:
    events = [BidEvent("Placed", moment(0)), BidEvent("Allocated", moment(10)), BidEvent("Preempted", moment(60))]
    noticed = [Told("STATUS_RUNNING", moment(20)), Told("STATUS_PREEMPTING", moment(60))]
    words = [Told("Open", moment(0)), Told("Allocated", moment(10)), Told("Preempting", moment(60))]
    for seen, at in [(5000, 360), (100, 100), (30, 60)]:
        told = status_steps(events, bid(status="Open"), [noticed], stood=moment(seen))
        assert told == [*words, Told("Open", moment(at), inferred=True)]
    assert status_steps(events, bid(status="Open"), [noticed]) == words, "nobody has looked since"
    assert status_steps(events, bid(status="Preempting"), [noticed], stood=moment(90)) == words


def test_what_was_told_of_one_moment_keeps_its_order_around_a_bid_that_reopens() -> None:
    at_once = [Told("Allocated", moment(15)), Told("Preempting", moment(40))]
    stopped = told(("RUNNING", 20), ("PREEMPTING", 40), ("PREEMPTED", 40))
    assert reopened(at_once, [stopped]) == [*at_once, Told("Open", moment(40), inferred=True)], "a notice of no time"
    again = Told("Allocated", moment(40))
    assert reopened([*at_once, again], [stopped]) == [*at_once, Told("Open", moment(40), inferred=True), again]
    words = [Told(word, moment(51)) for word in ("Paused", "Open", "Allocated", "Terminated")]
    assert reopened(words, []) == words


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Told], list[float]]:
    """A story whose neighbours differ, some steps at one moment; and when somebody looked."""
    count = draw(st.integers(1, 12))
    words = [draw(st.sampled_from(LIFE))]
    for _ in range(count - 1):
        words.append(draw(st.sampled_from([word for word in LIFE if word != words[-1]])))
    times = sorted(draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count)))
    looks = sorted(draw(st.sets(st.integers(0, 1100), max_size=8)))
    return told(*zip(words, map(float, times), strict=True)), [float(at) + 0.5 for at in looks]


def watched(story: list[Told], looks: list[float]) -> list[Row]:
    """The rows of somebody who looked at these moments only."""
    rows: list[Row] = []
    before, last = None, -1.0
    for number, at in enumerate(looks):
        past = [step for step in story if step.at <= moment(at)]
        if past and past[-1].after != before:
            before = past[-1].after
            rows.append(row(number, before.removeprefix("STATUS_"), last, at))
        last = at
    return rows


@settings(max_examples=300)
@given(lives())
def test_whoever_slept_through_half_of_it_has_the_whole_story_in_the_end(life: tuple[list[Told], list[float]]) -> None:
    story, looks = life
    rows = watched(story, looks)
    present = rows[-1].after if rows else None
    ends = [at for at, step in enumerate(story) if step.after == present]
    known = story if present is None else story[: ends[-1] + 1]
    result = lay(rows, story, present and present.removeprefix("STATUS_"))
    assert whole(rows, result) == [step.after.removeprefix("STATUS_") for step in known]
    again = lay(kept(rows, result), story, present and present.removeprefix("STATUS_"))
    assert not again.added
    assert not again.times


@pytest.mark.parametrize(
    ("first", "steps", "expected"),
    [
        ("$24.00", [("$4.00", -0.5), ("$15.00", -0.4)], ["$4.00", "$15.00"]),
        ("$4.00", [("$4.00", -0.5), ("$15.00", 0.5)], ["$15.00"]),
        ("$4.00", [("$4.00", 0.5), ("$15.00", 0.6)], ["$15.00"]),
        ("$15.00", [("$4.00", -5.0), ("$15.00", 0.5)], []),
        ("$24.00", [("$4.00", -5.0), ("$15.00", -4.0)], []),  # by no second's error: it is as the times have it
        (None, [("$4.00", -0.5), ("$15.00", 0.5)], ["$15.00"]),
    ],
)
def test_what_came_in_the_second_of_a_first_sight_is_parted_by_what_was_so_then(
    first: str | None, steps: list[tuple[str, float]], expected: list[str]
) -> None:
    limits = Subject(
        "bid", "bid_1", "proj_1", "bid_1", "$15.00", "limit_price", begun=moment(0), first=first, start="$24.00"
    )
    result = merge(limits, [], [Told(word, moment(at)) for word, at in steps], now=NEVER)
    assert [step.after for step, _ in result.added] == expected
