"""Questions to the feed: after a cursor, since a time, of a type, of a bid, and no more than asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.store import read
from mithrild.store.database import Database
from tests.integration.store_builders import (
    RUNNING,
    STARTING,
    TERMINATED,
    a_bid,
    an_instance,
    at,
    keep,
    opened,
    poll,
    sql,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Two bids, each with a machine that starts, runs and ends; bid_2 is a minute behind."""
    with opened(tmp_path) as database:
        keep(database, poll(0))
        first: dict[str, str] = {"bid_1": STARTING, "bid_2": STARTING}
        for n, (bid, status) in enumerate(
            [("bid_1", STARTING), ("bid_2", STARTING), ("bid_1", RUNNING), ("bid_2", RUNNING), ("bid_1", TERMINATED)]
        ):
            first[bid] = status
            bids = [a_bid("bid_1", created_at=at(-60))]
            machines = [an_instance("inst_1", first["bid_1"], "bid_1")]
            if n:
                bids.append(a_bid("bid_2", created_at=at(0)))
                machines.append(an_instance("inst_2", first["bid_2"], "bid_2"))
            keep(database, poll(60 * (n + 1), *bids, *machines))
        yield database


def ask(database: Database, **how: Any) -> list[tuple[int, str]]:
    with database.read() as connection:
        return [(sequence, type) for sequence, _, type, _ in read.events(connection, **how)]


def everything(database: Database) -> list[tuple[int, str]]:
    return sql(database, "SELECT sequence, type FROM events ORDER BY sequence")


def test_without_a_cursor_the_newest_come_in_the_order_of_the_record(database: Database) -> None:
    assert len(everything(database)) > 8
    assert ask(database) == everything(database)
    assert ask(database, limit=3) == everything(database)[-3:]


def test_after_a_cursor_the_next_ones_come(database: Database) -> None:
    everyone = everything(database)
    middle = everyone[3][0]
    assert ask(database, after=0) == everyone
    assert ask(database, after=middle) == everyone[4:]
    assert ask(database, after=middle, limit=2) == everyone[4:6]
    assert ask(database, after=everyone[-1][0]) == []


def test_walking_by_cursor_shows_each_event_once(database: Database) -> None:
    walked: list[tuple[int, str]] = []
    while batch := ask(database, after=walked[-1][0] if walked else 0, limit=2):
        walked += batch
    assert walked == everything(database)


def test_since_means_the_time_shown_and_includes_it(database: Database) -> None:
    times = dict(sql(database, "SELECT sequence, time FROM events"))
    # The marketplace told when the bids were placed: they happened before they were learned of.
    assert sum(text < "2026-11-23T12:01" for text in times.values()) == 2
    borders = [at(-60), at(0), at(61), at(121), at(301), at(302)]
    for border in borders:
        for moment in (border, border + timedelta(microseconds=1)):
            text = f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
            expected = [event for event in everything(database) if times[event[0]] >= text]
            assert ask(database, since=moment) == expected
    assert ask(database, since=at(-60), limit=2) == everything(database)[:2]
    assert ask(database, since=at(302)) == []


@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        (["instance.*"], {"instance.starting", "instance.running", "instance.terminated"}),
        (["*.running"], {"instance.running", "bid.running"}),
        (["bid.placed", "instance.terminated"], {"bid.placed", "instance.terminated"}),
        (["instance.r?nning"], {"instance.running"}),
        (["INSTANCE.*"], set()),
        (["instance"], set()),
        (["' OR 1=1 --"], set()),
        (["%"], set()),
        (["*"], None),
    ],
)
def test_patterns_are_those_of_a_shell_and_case_counts(
    database: Database, patterns: list[str], shown: set[str] | None
) -> None:
    expected = [event for event in everything(database) if shown is None or event[1] in shown]
    assert ask(database, patterns=patterns) == expected
    assert shown is None or {type for _, type in expected} == shown


def test_events_of_a_bid_are_its_own_and_those_of_its_machines(database: Database) -> None:
    subjects = dict(sql(database, "SELECT sequence, subject FROM transitions"))
    for bid, machine in (("bid_1", "inst_1"), ("bid_2", "inst_2")):
        expected = [event for event in everything(database) if subjects[event[0]] in (bid, machine)]
        assert ask(database, bid=bid) == expected != []
        after = expected[1][0]
        assert ask(database, bid=bid, after=after, patterns=["instance.*"]) == [
            event for event in expected[2:] if event[1].startswith("instance.")
        ]
    assert ask(database, bid="bid_3") == []


def test_bounds_are_those_of_what_is_kept(database: Database) -> None:
    everyone = everything(database)
    with database.read() as connection:
        assert read.bounds(connection) == (everyone[0][0], everyone[-1][0])
    sql(database, "DELETE FROM events WHERE sequence < ?", everyone[2][0])
    with database.read() as connection:
        assert read.bounds(connection) == (everyone[2][0], everyone[-1][0])
        assert read.last_sequence(connection) == everyone[-1][0]


def test_steps_of_a_bid_stand_in_the_order_in_which_they_happened(database: Database) -> None:
    latest = sql(database, "SELECT max(sequence) FROM transitions")[0][0]
    # As a backfill does it: learned last, happened before.
    sql(
        database,
        "INSERT INTO transitions (kind, subject, project, bid, aspect, before, after, type, provenance, baseline,"
        " observed_at, occurred_at, position) SELECT kind, subject, project, bid, aspect, before, 'STATUS_NEW',"
        " 'instance.new', 'backfilled', 0, observed_at, '2026-11-23T12:00:30.000000Z', '2026-11-23T12:00:30.000000Z'"
        " FROM transitions WHERE subject = 'inst_1' LIMIT 1",
    )
    with database.read() as connection:
        steps = read.steps(connection, "bid_1")
        assert read.steps(connection, "bid_1", last=2) == steps[-2:]
    assert [row["type"] for row in steps[:3]] == ["bid.placed", "instance.new", "bid.allocated"]
    assert steps[1]["sequence"] > latest
    assert [row["position"] for row in steps] == sorted(row["position"] for row in steps)
