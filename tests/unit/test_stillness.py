"""Quiet hours by the clock on a wall: across midnight, and on the days on which the clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from mithrild.fleet.stillness import QuietHours

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("wall", "quiet"),
    [("22:59", False), ("23:00", True), ("23:59", True), ("00:00", True), ("06:59", True), ("07:00", False)],
)
def test_hours_may_go_over_midnight(wall: str, quiet: bool) -> None:
    hours = QuietHours(time(23), time(7), BERLIN)
    there = datetime.fromisoformat(f"2026-01-15T{wall}").replace(tzinfo=BERLIN)
    assert hours.hold(there.astimezone(UTC)) is quiet


@pytest.mark.parametrize(("wall", "quiet"), [("11:59", False), ("12:00", True), ("12:59", True), ("13:00", False)])
def test_hours_of_one_day(wall: str, quiet: bool) -> None:
    assert QuietHours(time(12), time(13), UTC).hold(utc(f"2026-01-15T{wall}")) is quiet


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("2026-03-28T22:30", True),  # 23:30, the evening before the clocks go forward
        ("2026-03-29T00:59", True),  # 01:59, and a minute later it is 03:00
        ("2026-03-29T04:59", True),  # 06:59 in summer time
        ("2026-03-29T05:00", False),  # 07:00: the night was an hour shorter
        ("2026-10-25T04:59", True),  # 05:59 in winter time
        ("2026-10-25T05:59", True),  # 06:59: the night was an hour longer
        ("2026-10-25T06:00", False),
    ],
)
def test_a_night_in_which_the_clocks_are_changed_is_quiet_to_its_morning(moment: str, quiet: bool) -> None:
    assert QuietHours(time(23), time(7), BERLIN).hold(utc(moment)) is quiet


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("2026-03-29T00:59", False),  # 01:59
        ("2026-03-29T01:00", False),  # 03:00: there is no 02:30 on this day
        ("2026-10-25T00:40", True),  # 02:40, for the first time
        ("2026-10-25T01:10", False),  # 02:10, for the second time
        ("2026-10-25T01:40", True),  # 02:40, for the second time
    ],
)
def test_an_hour_that_is_left_out_is_not_quiet_and_one_that_comes_twice_is_twice(moment: str, quiet: bool) -> None:
    assert QuietHours(time(2, 30), time(3), BERLIN).hold(utc(moment)) is quiet


def test_without_a_zone_it_is_this_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from time import tzset

    hours = QuietHours(time(23), time(7))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        tzset()
        held = [hours.hold(utc("2026-01-15T14:30")), hours.hold(utc("2026-01-15T23:30"))]
    tzset()
    assert held == [True, False]
