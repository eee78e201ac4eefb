"""Notices in the record: opened, corrected and ended by what polls see, and what becomes of their deliveries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mithrild.store import read
from tests.integration.store_builders import (
    PREEMPTING,
    RELOCATING,
    RUNNING,
    TERMINATED,
    a_bid,
    a_rule,
    an_instance,
    at,
    deliveries,
    keep,
    opened,
    poll,
    seen_at,
    sql,
)

NOTICES = "SELECT subject, ordinal, kind, estimated, ended_how FROM notices ORDER BY subject, ordinal"


def test_notice_is_opened_with_the_deadline_that_was_told_and_points_at_its_event(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        seen = poll(5, a_bid(status="Preempting"), an_instance(status=PREEMPTING), deadlines={"inst_1": at(240)})
        keep(database, seen)
        with database.read() as connection:
            held = read.open_notices(connection)
        assert {subject: (one.deadline, one.estimated) for subject, one in held.items()} == {
            "bid_1": (at(240), False),
            "inst_1": (at(240), False),
        }
        opening = sql(
            database, "SELECT n.subject, e.type FROM notices n JOIN events e USING (sequence) ORDER BY n.subject"
        )
        assert opening == [("bid_1", "bid.preempting"), ("inst_1", "instance.preempting")]


def test_deadline_is_estimated_until_it_is_told_and_its_correction_is_an_event(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(5, a_bid(), an_instance(status=PREEMPTING)))
        five_minutes = 300
        with database.read() as connection:
            assert read.open_notices(connection)["inst_1"].deadline == seen_at(5 + five_minutes)
        told = {"inst_1": at(250)}
        keep(database, poll(10, a_bid(), an_instance(status=PREEMPTING), deadlines=told))
        assert keep(database, poll(15, a_bid(), an_instance(status=PREEMPTING), deadlines=told)).steps == ()
        with database.read() as connection:
            held = read.open_notices(connection)["inst_1"]
        assert (held.deadline, held.estimated, held.opened_at) == (at(250), False, seen_at(5))
        types = sql(database, "SELECT type FROM events ORDER BY sequence")
        assert types == [("instance.preempting",), ("instance.deadline_changed",)]


@pytest.mark.parametrize(
    ("then", "how", "type"),
    [(RUNNING, "reprieved", "instance.reprieved"), (TERMINATED, "terminated", "instance.terminated")],
)
def test_end_of_a_notice_says_how(tmp_path: Path, then: str, how: str, type: str) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(5, a_bid(), an_instance(status=PREEMPTING)))
        keep(database, poll(10, a_bid(), an_instance(status=then)))
        assert sql(database, NOTICES) == [("inst_1", 1, "preemption", 1, how)]
        with database.read() as connection:
            assert read.open_notices(connection) == {}
        assert sql(database, "SELECT type FROM events ORDER BY sequence DESC LIMIT 1") == [(type,)]


def test_notices_of_one_subject_are_numbered(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        for n, status in enumerate((PREEMPTING, RUNNING, RELOCATING, RUNNING, PREEMPTING), 1):
            keep(database, poll(5 * n, a_bid(), an_instance(status=status)))
        assert sql(database, NOTICES) == [
            ("inst_1", 1, "preemption", 1, "reprieved"),
            ("inst_1", 2, "relocation", 1, "running"),
            ("inst_1", 3, "preemption", 1, None),
        ]


def test_notice_that_stood_at_first_sight_is_known_but_no_news(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance(status=PREEMPTING)), [a_rule()])
        assert deliveries(database) == []
        keep(database, poll(5, a_bid(), an_instance()), [a_rule()])
        assert sql(database, NOTICES) == [("inst_1", 1, "preemption", 1, "reprieved")]
        assert ("instance.reprieved",) in sql(database, "SELECT type FROM events")
        assert ("all", "inst_1", "pending") in deliveries(database)


def test_what_is_queued_for_a_notice_that_is_over_is_superseded_and_nothing_else(tmp_path: Path) -> None:
    rules = [a_rule("save", "instance.preempting"), a_rule("log", "*")]
    two = (an_instance(status=PREEMPTING), an_instance("inst_2", PREEMPTING))
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance(), an_instance("inst_2")), rules)
        keep(database, poll(5, a_bid(), *two), rules)
        sql(database, "UPDATE deliveries SET state = 'done' WHERE hook = 'log' AND subject = 'inst_1'")
        keep(database, poll(10, a_bid(), an_instance(), two[1]), rules)
        states = deliveries(database, "hook, subject, state, reason, next_at IS NULL, finished_at IS NULL")
        assert set(states) == {
            ("log", "inst_1", "done", None, 0, 1),
            ("save", "inst_1", "superseded", "the notice is over: reprieved", 1, 0),
            ("log", "inst_2", "pending", None, 0, 1),
            ("save", "inst_2", "pending", None, 0, 1),
            ("log", "inst_1", "pending", None, 0, 1),  # of the reprieve itself
        }


def test_only_news_of_the_notice_itself_is_tied_to_it(tmp_path: Path) -> None:
    rules = [a_rule("log")]
    dearer: dict[str, Any] = {"limit_price": "$9.00", "limit_price_cents": 900}
    noticed = an_instance(status=PREEMPTING)
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()), rules)
        keep(database, poll(5, a_bid(status="Preempting"), noticed), rules)
        told = poll(10, a_bid(status="Preempting", **dearer), noticed, deadlines={"inst_1": at(200)})
        keep(database, told, rules)
        tied = "SELECT e.type, n.subject FROM deliveries d JOIN events e USING (sequence) LEFT JOIN notices n"
        assert sql(database, f"{tied} ON n.sequence = d.notice ORDER BY d.sequence") == [
            ("bid.preempting", "bid_1"),
            ("instance.preempting", "inst_1"),
            ("bid.limit_changed", None),
            ("instance.deadline_changed", "inst_1"),
        ]
        keep(database, poll(15, a_bid(**dearer), an_instance()), rules)
        ended = "SELECT type FROM deliveries JOIN events USING (sequence) WHERE state = 'superseded' ORDER BY sequence"
        assert sql(database, ended) == [("bid.preempting",), ("instance.preempting",), ("instance.deadline_changed",)]


def test_event_of_a_notice_carries_its_deadline_and_that_of_its_end_none(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(5, a_bid(), an_instance(status=PREEMPTING), deadlines={"inst_1": at(240)}))
        keep(database, poll(10, a_bid(), an_instance()))
        bodies = [json.loads(body) for (body,) in sql(database, "SELECT body FROM events ORDER BY sequence")]
        assert [(one["type"], one["data"]["deadline"]) for one in bodies] == [
            ("instance.preempting", "2026-11-23T12:04:00Z"),
            ("instance.reprieved", None),
        ]
