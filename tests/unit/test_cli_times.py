"""Moments and durations in few letters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithril_cli import times

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (60, "1m00s"), (192, "3m12s"), (7500, "2h05m"), (273600, "3d04h")],
)
def test_a_duration_takes_two_units(seconds: float, said: str) -> None:
    assert times.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0s"), (-5, "0s"), (59, "59s"), (250, "4m"), (7199, "1h"), (86400, "1d")]
)
def test_an_age_takes_one(seconds: float, said: str) -> None:
    assert times.age(seconds) == said


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2h", "2026-11-23T10:00:00Z"),
        ("1h30m", "2026-11-23T10:30:00Z"),
        ("1d", "2026-11-22T12:00:00Z"),
        ("0s", "2026-11-23T12:00:00Z"),
        ("2026-11-20", "2026-11-20T00:00:00Z"),
        ("2026-11-20T14:00", "2026-11-20T14:00:00Z"),
        ("2026-11-20T14:00:00+02:00", "2026-11-20T12:00:00Z"),
    ],
)
def test_since_takes_ages_and_times(text: str, start: str) -> None:
    assert times.since(text, NOON) == start


@pytest.mark.parametrize("text", ["", "2", "h", "2x", "-2h", "²h", "2h3", "yesterday", "9" * 30 + "h", "999999999w"])
def test_since_refuses_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the words are the caller's to find
        times.since(text, NOON)


@pytest.mark.parametrize("stamp", [None, 5, "", "soon", "2026-13-01T00:00:00Z", "2026-11-23T14:00:00+99:00"])
def test_what_is_no_time_is_none(stamp: object) -> None:
    assert times.moment(stamp) is None


def test_a_time_without_a_zone_is_utc() -> None:
    assert times.moment("2026-11-23T12:00:00") == times.moment("2026-11-23T12:00:00Z") == NOON


def test_the_date_is_said_when_it_is_not_today() -> None:
    assert times.local(NOON, NOON + 3600) == "12:00:00"
    assert times.local(NOON, NOON + 86400) == "2026-11-23 12:00:00"
    assert times.local(None, NOON) == "-"
    assert times.local(1e30, NOON) == "-"


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_durations_and_ages_stay_short(seconds: float) -> None:
    assert 2 <= len(times.age(seconds)) <= len(times.duration(seconds)) <= 12


def in_berlin(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("TZ", "Europe/Berlin")
    time.tzset()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "text", "then"),
    [
        ("2026-01-15T21:00", "07:00", "2026-01-16T06:00"),  # tomorrow
        ("2026-01-15T05:00", "7:00", "2026-01-15T06:00"),  # today
        ("2026-01-15T06:00", "07:00", "2026-01-16T06:00"),  # it is seven at this moment
        ("2026-03-28T22:00", "07:00", "2026-03-29T05:00"),  # the night is an hour shorter
        ("2026-10-24T22:00", "07:00", "2026-10-25T06:00"),  # the night is an hour longer
        ("2026-12-31T22:30", "00:15", "2026-12-31T23:15"),  # the next year, here
        ("2026-01-15T21:00", "2026-02-01T07:00", "2026-02-01T06:00"),
        ("2026-01-15T21:00", "2026-02-01T07:00Z", "2026-02-01T07:00"),
    ],
)
def test_the_next_time_that_a_clock_shows(monkeypatch: pytest.MonkeyPatch, now: str, text: str, then: str) -> None:
    in_berlin(monkeypatch)
    assert times.next_wall(text, utc(now)) == utc(then)


def test_a_time_that_the_change_to_summer_leaves_out_is_an_hour_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    in_berlin(monkeypatch)
    found = times.next_wall("02:30", utc("2026-03-28T22:00"))
    assert found in (utc("2026-03-29T00:30"), utc("2026-03-29T01:30"))


@pytest.mark.parametrize(
    "text", ["", "7", "24:00", "07:60", "7:0", "-1:00", "07:00:00", "soon", "2026-13-01T07:00", "٠٧:٠٠"]
)
def test_what_is_no_such_time(text: str) -> None:
    assert times.next_wall(text, NOON) is None
