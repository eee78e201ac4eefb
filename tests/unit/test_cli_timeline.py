"""How long each status lasted, and how exactly anybody knows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from mithril_cli import timeline

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC).timestamp()
Object = dict[str, Any]


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def step(clock: str, to: str, **changes: Any) -> Object:
    return {
        "at": f"2026-11-23T{clock}Z",
        "exact": True,
        "not_before": None,
        "subject": "bid_1",
        "subject_kind": "bid",
        "name": "train",
        "aspect": "status",
        "from": "Open",
        "to": to,
        "provenance": "observed",
        "baseline": False,
        **changes,
    }


def said(steps: list[Object]) -> list[str]:
    return [
        "" if span is None else f"{span.certain}{span.seconds:g}{'…' if span.ongoing else ''}"
        for span in timeline.spans(steps, NOW)
    ]


def test_a_status_lasts_until_the_next_of_the_same_subject() -> None:
    steps = [
        step("14:00:00", "Open"),
        step("14:01:00", "STATUS_NEW", subject="inst_1"),
        step("14:02:00", "Allocated"),
        step("14:02:30", "STATUS_RUNNING", subject="inst_1"),
    ]
    assert said(steps) == ["120", "90", "1680…", "1650…"]


def test_an_end_does_not_last_unless_something_followed() -> None:
    assert said([step("14:00:00", "Terminated")]) == [""]
    assert said([step("14:00:00", "STATUS_REPLACED"), step("14:00:10", "STATUS_TERMINATED")]) == ["10", ""]


def test_a_window_at_either_end_makes_a_span_uncertain() -> None:
    window = {"exact": False, "not_before": "2026-11-23T14:01:55Z"}
    steps = [step("14:00:00", "Open"), step("14:02:00", "Allocated", **window), step("14:03:00", "Preempting")]
    assert said(steps) == ["~120", "~60", "1620…"]


def test_what_was_so_at_first_sight_lasted_longer_than_we_know() -> None:
    assert said([step("14:00:00", "Open", exact=False, baseline=True), step("14:02:00", "Allocated")])[0] == ">120"


def test_other_aspects_neither_last_nor_end_a_status() -> None:
    steps = [step("14:00:00", "Open"), step("14:01:00", "$9.00", aspect="limit_price"), step("14:02:00", "Allocated")]
    assert said(steps)[:2] == ["120", ""]


def test_a_clock_set_back_gives_no_negative_span() -> None:
    assert said([step("14:00:00", "Open"), step("13:59:00", "Allocated")])[0] == "0"


def test_a_step_without_a_readable_time_is_passed_over() -> None:
    assert said([step("14:00:00", "Open"), step("broken", "Paused"), step("14:02:00", "Allocated")])[:2] == ["120", ""]


def test_a_window_is_told_by_both_its_ends() -> None:
    window = {"exact": False, "not_before": "2026-11-23T14:02:06Z"}
    assert timeline.when(step("14:02:11", "Open"), NOW) == "14:02:11"
    assert timeline.when(step("14:02:11", "Open", **window), NOW) == "between 14:02:06 and 14:02:11"
    assert timeline.when(step("14:02:11", "Open", **window), NOW + 86400) == (
        "between 2026-11-23 14:02:06 and 14:02:11"
    )
    assert timeline.when(step("00:00:02", "Open", exact=False, not_before="2026-11-22T23:59:58Z"), NOW) == (
        "between 2026-11-22 23:59:58 and 00:00:02"
    )
    short = {"exact": False, "not_before": "2026-11-23T14:02:11.1Z"}
    assert timeline.when(step("14:02:11.9", "Open", **short), NOW) == "about 14:02:11"
    assert timeline.when(step("14:02:11", "Open", exact=False), NOW) == "by 14:02:11"


def test_a_change_names_what_is_no_status() -> None:
    assert timeline.change(step("14:00:00", "Allocated")) == "open → allocated"
    assert timeline.change(step("14:00:00", "STATUS_NEW", **{"from": None})) == "new"
    limit = step("14:00:00", "$9.00", aspect="limit_price", **{"from": "$8.00"})
    assert timeline.change(limit) == "limit price $8.00 → $9.00"


def test_the_document_gives_seconds_and_keeps_what_the_daemon_said() -> None:
    steps = [step("14:00:00", "Open"), step("14:02:00", "Terminated")]
    first, last = timeline.documented(steps, NOW)
    assert first == {**steps[0], "lasted_seconds": 120.0, "ongoing": False}
    assert last == {**steps[1], "lasted_seconds": None, "ongoing": False}


def test_a_reprieve_says_so_and_health_is_told_in_words() -> None:
    reprieve = {"aspect": "status", "type": "instance.reprieved", "from": "STATUS_PREEMPTING", "to": "STATUS_RUNNING"}
    assert timeline._note(reprieve) == "reprieved: it never stopped"
    assert timeline.change({"aspect": "health", "from": "none", "to": "running"}) == "all wanted instances run"
    assert timeline.change({"aspect": "health", "from": "running", "to": "degraded"}) == "degraded"


def test_each_step_is_shown_from_where_the_one_before_it_led() -> None:
    late = step("14:05:00", "Preempting", provenance="backfilled", **{"from": "Allocated"})
    seen = step("14:10:00", "Open", **{"from": "Allocated"})  # nobody had seen the notice
    price = step("14:06:00", "$9.00", aspect="limit_price", **{"from": "$8.00"})
    shown = [timeline.change(one) for one in timeline.chained([step("14:00:00", "Allocated"), late, price, seen])]
    assert shown == ["open → allocated", "allocated → preempting", "limit price $8.00 → $9.00", "preempting → open"]


def test_a_time_in_which_nobody_watched_is_a_line_between_the_steps_and_no_step_of_any() -> None:
    gap = step(
        "14:02:00",
        "2026-11-23T14:10:00Z",
        **{"from": "2026-11-23T14:02:00Z"},
        exact=False,
        subject="proj_1",
        subject_kind="watch",
        name=None,
        aspect="gap",
    )
    steps = [step("14:00:00", "Open"), gap, step("14:12:00", "Allocated")]
    assert said(steps) == ["720", "", "1080…"]
    shown = timeline.table(steps, NOW, None).splitlines()
    assert "from 14:02:00 to 14:10:00" in shown[2]
    assert "the watch" in shown[2]
    assert "nobody watched, and the marketplace does not remember all of it" in shown[2]


def test_what_was_inferred_says_so() -> None:
    shown = timeline.table([step("14:00:00", "Open", provenance="backfilled", inferred=True)], NOW, None)
    assert shown.splitlines()[1].endswith("backfilled, inferred")
