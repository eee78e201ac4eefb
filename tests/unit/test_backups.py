"""Backups by their names: which there are, when the next is due, which may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mithrild.fleet import backups

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def held(*days: float) -> dict[str, datetime]:
    """Backups of so many days ago."""
    return backups.taken(backups.name_of(NOON - day * DAY) for day in days)


def test_the_time_of_a_backup_stands_in_its_name() -> None:
    assert backups.name_of(NOON) == "mithrild-20261123T120000Z.db"
    east = NOON.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo)
    assert backups.taken([backups.name_of(east)]) == {"mithrild-20261123T120000Z.db": NOON}


@pytest.mark.parametrize(
    "name",
    [
        "mithrild.db",
        "mithrild-20261123T120000Z.db.partial",
        "mithrild-20261123T120000Z.db.copy",
        "mithrild-20261123T120000Z.db-wal",
        "mithrild-20261323T120000Z.db",
        "mithrild-20261123T120000Z.db\n",
        "my-mithrild-20261123T120000Z.db",
        "mithrild-٢٠٢٦1123T120000Z.db",
        "notes.txt",
    ],
)
def test_other_files_are_no_backups(name: str) -> None:
    assert backups.taken([name]) == {}


def test_what_a_kill_leaves_is_known_by_its_name() -> None:
    name = backups.name_of(NOON)
    left = [f"{name}.copy", f"{name}.partial", f"{name}.partial-journal", f"{name}.copy-wal", f"{name}.copy-shm"]
    assert backups.half_made([name, *left, "mithrild.db.partial", "x.copy", f"{name}.gz"]) == left


@pytest.mark.parametrize(
    ("ages", "every", "due"),
    [
        ((), 1.0, 0.0),
        ((), None, None),
        ((0.25,), 1.0, 0.75),
        ((3, 2, 0.25), 1.0, 0.75),
        ((0.25, 3), 1.0, 0.75),
        ((3,), 1.0, -2.0),
        ((3,), None, None),
        ((0,), 1.0, 1.0),
        # The clock was set back: what seems to be of next week says nothing about today.
        ((-7,), 1.0, 0.0),
        ((-7, 0.25), 1.0, 0.75),
    ],
)
def test_the_next_is_due_so_long_after_the_newest(
    ages: tuple[float, ...], every: float | None, due: float | None
) -> None:
    found = backups.due_at(held(*ages), None if every is None else every * DAY, NOON)
    assert found == (None if due is None else NOON + due * DAY)


@pytest.mark.parametrize(
    ("ages", "keep", "going"),
    [
        ((0,), 1, ()),
        ((1, 0), 1, (1,)),
        ((3, 2, 1, 0), 3, (3,)),
        ((3, 2, 1, 0), 2, (3, 2)),
        ((1, 0), 7, ()),
        # One that a wrong clock dated into the future is not newer than what was just made.
        ((0, -7), 1, (-7,)),
        ((2, 1, 0, -7), 2, (2, 1)),
    ],
)
def test_the_oldest_go_and_never_the_one_just_made(ages: tuple[int, ...], keep: int, going: tuple[int, ...]) -> None:
    assert backups.surplus(held(*ages), keep, backups.name_of(NOON)) == list(held(*going))


def test_no_name_is_given_twice() -> None:
    assert backups.free_moment(NOON + timedelta(microseconds=7), []) == NOON
    names = [backups.name_of(NOON), backups.name_of(NOON + timedelta(seconds=1)), "notes.txt"]
    assert backups.free_moment(NOON, names) == NOON + timedelta(seconds=2)


def test_failures_are_tried_again_ever_more_seldom() -> None:
    gaps = [backups.after_failures(count) for count in range(1, 9)]
    assert gaps[0] == backups.FIRST_RETRY
    assert gaps == sorted(gaps)
    assert gaps[-1] == backups.after_failures(10**9) == backups.LONGEST_RETRY
