"""One poll, one transaction: what becomes a row, what becomes news, and that there is no half of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.errors import StoreError
from mithrild.fleet.gaps import Gap
from mithrild.fleet.model import Project, Transition
from mithrild.fleet.routing import Match
from mithrild.store import read, wishes
from mithrild.store.cursor import by_theirs
from mithrild.store.database import Database
from mithrild.store.inventory import keep_prices, keep_projects
from mithrild.store.record import Recorded, record, record_condition
from mithrild.store.writing import delivery_id
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    PROJECT,
    RUNNING,
    STARTING,
    TERMINATED,
    a_bid,
    a_cluster,
    a_rule,
    an_auction,
    an_instance,
    at,
    deliveries,
    keep,
    opened,
    poll,
    seen_at,
    sql,
)


def dump(database: Database) -> list[str]:
    with closing(sqlite3.connect(database.path)) as connection:
        return list(connection.iterdump())


def types(database: Database) -> list[str]:
    return [type for (type,) in sql(database, "SELECT type FROM events ORDER BY sequence")]


def bodies(database: Database) -> dict[int, str]:
    return dict(sql(database, "SELECT sequence, body FROM events"))


def stored(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def test_first_sight_is_kept_and_is_no_news(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        added = keep(database, poll(0, a_bid(), an_instance(), a_cluster()), [a_rule()])
        assert (added.events, added.deliveries) == (0, 0)
        assert added.first_sight == {"bid", "instance", "cluster"}
        kept = sql(database, "SELECT subject, after, baseline FROM transitions WHERE aspect = 'status'")
        assert set(kept) == {("bid_1", "Allocated", 1), ("inst_1", RUNNING, 1), ("clus_1", "Available", 1)}
        assert sql(database, "SELECT * FROM events") == deliveries(database) == []
        assert keep(database, poll(5, a_bid(), an_instance(), a_cluster()), [a_rule()]).steps == ()


def test_nothing_is_kept_until_a_whole_listing_came(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        only_bids = poll(0, a_bid(), an_instance(), a_cluster(), whole=frozenset({"bid"}), complete=False)
        assert keep(database, only_bids, [a_rule()]).steps == ()
        assert (
            sql(database, "SELECT fid FROM bids UNION SELECT fid FROM instances UNION SELECT fid FROM clusters") == []
        )
        machines = poll(5, a_bid(), an_instance(), a_cluster(), whole=frozenset({"bid", "instance"}))
        assert keep(database, machines, [a_rule()]).first_sight == {"bid", "instance"}
        assert sql(database, "SELECT fid FROM clusters") == []
        everything = poll(10, a_bid(), an_instance(), a_cluster())
        assert keep(database, everything, [a_rule()]).first_sight == {"cluster"}
        assert types(database) == []
        keep(database, poll(15, a_bid(), an_instance(), a_cluster(status="Terminated")), [a_rule()])
        assert types(database) == ["cluster.terminated"]


def test_one_transition_is_one_row_one_event_and_one_id(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid()))
        added = keep(database, poll(5, a_bid("bid_2", "Open"), a_bid(limit_price="$9.00", limit_price_cents=900)))
        rows = sql(
            database,
            "SELECT t.sequence, e.id, t.type, e.type FROM transitions t LEFT JOIN events e USING (sequence)"
            " WHERE NOT baseline ORDER BY 1",
        )
        assert [step.type for _, step in added.steps] == ["bid.limit_changed", "bid.placed"]
        assert added.events == len(rows) == 2
        for (sequence, step), row in zip(added.steps, rows, strict=True):
            assert row == (sequence, f"evt_{database.id}_{sequence}", step.type, step.type)
            event = json.loads(bodies(database)[sequence])
            assert (event["id"], event["sequence"], event["type"]) == (row[1], str(sequence), step.type)
            assert event["source"] == f"mithrild://{HOST}/{PROJECT.fid}"
        assert event["data"]["project_name"] == PROJECT.name


def test_bytes_of_an_event_never_change(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(5, a_bid(), an_instance(status=PREEMPTING)))
        before = bodies(database)
        assert json.loads(next(iter(before.values())))["data"]["deadline_estimated"] is True
        keep_projects(database, [Project(PROJECT.fid, "another name")])
        keep_prices(database, [an_auction(cents=999)], at(6))
        told = poll(10, a_bid(name="renamed"), an_instance(status=PREEMPTING), deadlines={"inst_1": at(200)})
        keep(database, told)
        keep(database, poll(15, a_bid(name="renamed", status="Terminated"), an_instance(status=TERMINATED)))
        after = bodies(database)
        assert len(after) > len(before)
        assert {sequence: after[sequence] for sequence in before} == before


def test_sequence_is_never_used_again(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid()))
        highest = keep(database, poll(5, a_bid(), a_bid("bid_2", "Open"))).steps[-1][0]
        for table in ("events", "transitions"):
            sql(database, f"DELETE FROM {table}")
    with opened(tmp_path) as database:
        added = keep(database, poll(10, a_bid(), a_bid("bid_2", "Paused")))
        assert [sequence for sequence, _ in added.steps] == [highest + 1]


@pytest.mark.parametrize(
    "refused",
    [
        "INSERT ON transitions",
        "INSERT ON notices",
        "INSERT ON events",
        "INSERT ON deliveries",
        "INSERT ON instances",
        "UPDATE ON projects",
    ],
)
def test_what_fails_half_way_leaves_nothing(tmp_path: Path, refused: str) -> None:
    seen = poll(5, a_bid(status="Preempting"), an_instance(status=PREEMPTING), an_instance("inst_2", STARTING))
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        sql(database, f"CREATE TRIGGER full BEFORE {refused} BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        before = dump(database)
        with pytest.raises(StoreError, match=r"cannot write .*mithrild\.db: disk is full; nothing of it was kept"):
            keep(database, seen, [a_rule()])
        assert dump(database) == before
        sql(database, "DROP TRIGGER full")
        added = keep(database, seen, [a_rule()])
        assert len(types(database)) == len(added.steps) >= 3


def test_defect_of_the_caller_leaves_nothing_either(tmp_path: Path) -> None:
    def broken(fid: str) -> None:
        raise ArithmeticError(fid)

    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid()))
        before = dump(database)
        with pytest.raises(ArithmeticError):
            keep(database, poll(5, a_bid("bid_2", "Open")), window=broken)
        assert dump(database) == before
        assert len(keep(database, poll(5, a_bid("bid_2", "Open"))).steps) == 1


def test_each_action_of_each_hook_that_an_event_concerns_gets_a_delivery(tmp_path: Path) -> None:
    rules = [
        a_rule("two", "bid.*", actions=("run", "webhook")),
        a_rule("other-type", "instance.*"),
        a_rule("other-bid", "*", match=Match(bid=("eval-*",))),
    ]
    with opened(tmp_path) as database:
        keep(database, poll(0), rules)
        (sequence, _), *_ = keep(database, poll(5, a_bid(status="Open")), rules).steps
        event = f"evt_{database.id}_{sequence}"
        assert sql(
            database, "SELECT id, sequence, hook, action, subject, state, attempts, next_at FROM deliveries"
        ) == [
            (delivery_id(event, "two", action), sequence, "two", action, "bid_1", "pending", 0, stored(seen_at(5)))
            for action in ("run", "webhook")
        ]


def test_what_is_too_old_for_a_hook_is_recorded_with_the_reason(tmp_path: Path) -> None:
    rules = [a_rule("strict", "bid.*", max_age=timedelta(seconds=60)), a_rule("patient", "bid.*")]
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(status="Open")), rules)
        keep(database, poll(120, a_bid(status="Paused")), rules)
        reason = "121 s old, max_age is 60 s"
        assert deliveries(database, "hook, state, reason, next_at, finished_at") == [
            ("patient", "pending", None, stored(seen_at(120)), None),
            ("strict", "skipped", reason, None, stored(seen_at(120))),
        ]


def test_cursor_of_a_project_tells_when_each_listing_was_last_whole(tmp_path: Path) -> None:
    marks = "baseline_at, clusters_baseline_at, polled_at, bids_polled_at, instances_polled_at, clusters_polled_at"

    def cursor(database: Database) -> dict[str, Any]:
        (row,) = sql(database, f"SELECT {marks} FROM projects WHERE fid = '{PROJECT.fid}'")
        return dict(zip(marks.split(", "), row, strict=True))

    with opened(tmp_path) as database:
        assert set(cursor(database).values()) == {None}
        keep(database, poll(0, a_bid(), whole=frozenset({"bid", "instance"})))
        first = {"baseline_at": stored(seen_at(0)), "clusters_baseline_at": None, "clusters_polled_at": None}
        first |= {name: stored(at(0)) for name in ("polled_at", "bids_polled_at", "instances_polled_at")}
        assert cursor(database) == first
        keep(database, poll(5, a_bid(), whole=frozenset({"bid"}), complete=False))
        assert cursor(database) == first | {"bids_polled_at": stored(at(5))}
        keep_projects(database, [PROJECT])
        assert cursor(database)["baseline_at"] == stored(seen_at(0))


def test_window_is_the_last_look_at_the_subject_else_the_last_whole_listing(tmp_path: Path) -> None:
    window = "SELECT window_start, position FROM transitions ORDER BY sequence DESC LIMIT 1"
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        keep(database, poll(5, a_bid(), an_instance(), whole=frozenset({"bid"})))
        keep(database, poll(10, a_bid(), an_instance(status=STARTING)))
        assert sql(database, window) == [(stored(at(0)), stored(seen_at(10)))]
        keep(database, poll(15, a_bid(status="Paused"), an_instance(status=STARTING)))
        assert sql(database, window) == [(stored(at(10)), stored(seen_at(15)))]
        keep(database, poll(20, a_bid(status="Allocated")), window={"bid_1": at(17)}.get)
        assert sql(database, window) == [(stored(at(17)), stored(seen_at(20)))]


def test_poll_of_which_the_caller_knows_that_it_shows_nothing_new_moves_the_cursor_alone(tmp_path: Path) -> None:
    def keep_unread(database: Database, seconds: float) -> Recorded:
        seen = poll(seconds, a_bid())
        return record(database, seen, (), host=HOST, window=lambda fid: None, changed=False)

    with opened(tmp_path) as database:
        assert keep_unread(database, 0).first_sight  # what nobody ever saw is always new
        before = sql(database, "SELECT * FROM bids")
        assert keep_unread(database, 5).steps == ()
        assert sql(database, "SELECT * FROM bids") == before != []
        assert sql(database, "SELECT polled_at FROM projects") == [(stored(at(5)),)]


def test_clock_that_was_set_back_turns_no_timeline_round(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(status="Open")))
        for seconds, status in ((600, "Allocated"), (60, "Paused"), (70, "Allocated")):
            keep(database, poll(seconds, a_bid(status=status)))
        rows = sql(database, "SELECT after, observed_at FROM transitions ORDER BY position, sequence")
        assert [after for after, _ in rows] == ["Open", "Allocated", "Paused", "Allocated"]
        assert [observed for _, observed in rows][1:] == [stored(seen_at(n)) for n in (600, 60, 70)]


def test_project_that_is_no_longer_watched_keeps_its_record(tmp_path: Path) -> None:
    other = Project("proj_other", "other")
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid()))
        keep_projects(database, [other])
        with database.read() as connection:
            assert [row["fid"] for row in read.projects(connection)] == [other.fid]
            assert [row["fid"] for row in read.projects(connection, watched=False)] == [PROJECT.fid, other.fid]
        keep_projects(database, [PROJECT, other])
        with database.read() as connection:
            assert read.project(connection, PROJECT.fid)["baseline_at"] == seen_at(0)
        assert keep(database, poll(5, a_bid())).first_sight == frozenset()


def test_projects_do_not_mix(tmp_path: Path) -> None:
    other = Project("proj_other", "other")
    theirs = a_bid("bid_9", project=other.fid)
    with opened(tmp_path) as database:
        keep_projects(database, [PROJECT, other])
        keep(database, poll(0, a_bid()))
        assert keep(database, poll(1, theirs, project=other.fid)).first_sight
        assert keep(database, poll(5, a_bid())).steps == keep(database, poll(6, theirs, project=other.fid)).steps == ()
        assert sql(database, "SELECT fid, project FROM bids ORDER BY fid") == [
            ("bid_1", PROJECT.fid),
            ("bid_9", other.fid),
        ]


def test_price_is_kept_when_it_differs_from_the_last(tmp_path: Path) -> None:
    near, far = an_auction(), an_auction("eu-north1-a", 500)
    with opened(tmp_path) as database:
        assert keep_prices(database, [near, far], at(0)) == 2
        assert keep_prices(database, [near, far], at(120)) == 0
        assert keep_prices(database, [an_auction(cents=700), far], at(240)) == 1
        assert keep_prices(database, [an_auction(cents=700, capacity=0), far], at(360)) == 1
        assert keep_prices(database, [near], at(480)) == 1
        samples = sql(database, "SELECT region, at, spot_price_cents, capacity FROM prices ORDER BY id")
        assert samples == [
            (near.region, stored(at(0)), 620, 8),
            (far.region, stored(at(0)), 500, 8),
            (near.region, stored(at(240)), 700, 8),
            (near.region, stored(at(360)), 700, 0),
            (near.region, stored(at(480)), 620, 8),
        ]
        with database.read() as connection:
            market = read.market(connection)
            assert market == {(near.region, near.instance_type): near, (far.region, far.instance_type): far}
            assert read.market_age(connection) == at(480)


def a_condition(after: str, seconds: float) -> Transition:
    return Transition(
        kind="marketplace",
        subject="marketplace",
        project="",
        bid=None,
        aspect="status",
        before=None,
        after=after,
        type=f"marketplace.{after}",
        observed_at=at(seconds),
        window_start=None,
    )


def test_condition_of_the_watch_is_news_when_it_changes(tmp_path: Path) -> None:
    rules = [a_rule("tell", "marketplace.*")]
    with opened(tmp_path) as database:
        words = ["recovered", "unreachable", "unreachable", "recovered", "recovered", "unreachable"]
        news = [record_condition(database, a_condition(word, n), rules, host=HOST) for n, word in enumerate(words)]
        assert news == [False, True, False, True, False, True]
        chain = [(event["data"]["from"], event["data"]["to"]) for event in map(json.loads, bodies(database).values())]
        assert chain == [(None, "unreachable"), ("unreachable", "recovered"), ("recovered", "unreachable")]
        assert deliveries(database) == [("tell", "marketplace", "pending")] * 3


@pytest.mark.parametrize("set_by", [-4 * 3600, 4 * 3600])
def test_what_was_measured_by_a_clock_that_was_set_is_told_in_terms_of_the_new_one(
    tmp_path: Path, set_by: float
) -> None:
    pause = timedelta(seconds=20)
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid()))
        seen = replace(poll(10 + set_by, a_bid(status="Preempting")), ahead=timedelta(seconds=-set_by))
        recorded = record(database, seen, (), host=HOST, window=lambda fid: None, pause=pause, lost=True)
        ((start, observed, ahead),) = sql(
            database, "SELECT window_start, observed_at, ahead_seconds FROM transitions WHERE after = 'Preempting'"
        )
        assert (start, observed, ahead) == (stored(at(set_by)), stored(seen_at(10 + set_by)), -set_by)
        assert recorded.wishes, "a bid changed"
        with database.read() as connection:
            assert wishes.gap(connection, PROJECT.fid) is None, "nobody looked away"
        late = replace(poll(70 + set_by, a_bid(status="Preempting")), ahead=timedelta(seconds=-set_by))
        record(database, late, (), host=HOST, window=lambda fid: None, pause=pause)
        with database.read() as connection:
            assert wishes.gap(connection, PROJECT.fid) == Gap(at(10), at(70)), "by the marketplace's clock"


def test_a_window_stays_where_our_clock_was_not_set(tmp_path: Path) -> None:
    """Whatever the answers say of the marketplace's."""
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid()))
        seen = replace(poll(10, a_bid(status="Preempting")), ahead=timedelta(hours=2))
        record(database, seen, (), host=HOST, window=lambda fid: None)
        assert sql(database, "SELECT window_start FROM transitions WHERE after = 'Preempting'") == [(stored(at(0)),)]


@pytest.mark.parametrize("set_by", [-7200, 7200])
def test_a_poll_is_as_old_as_it_is_whatever_the_answers_say(tmp_path: Path, set_by: float) -> None:
    """And what the marketplace is asked for begins there by either clock: nobody knows whether it was set."""
    pause, changed = timedelta(seconds=20), timedelta(seconds=set_by)
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid()))
        clusters = replace(poll(5, whole=frozenset({"cluster"}), complete=False), ahead=changed)
        record(database, clusters, (), host=HOST, window=lambda fid: None, pause=pause)
        assert sql(database, "SELECT polled_at FROM projects") == [(stored(at(0)),)]
        sql(database, "UPDATE projects SET looked_back_at = ?", stored(at(59)))  # before anybody knew of what
        whole = replace(poll(60, a_bid()), ahead=changed)
        record(database, whole, (), host=HOST, window=lambda fid: None, pause=pause)
        assert sql(database, "SELECT polled_at FROM projects") == [(stored(at(60)),)]
        with database.read() as connection:
            assert wishes.gap(connection, PROJECT.fid) == Gap(at(set_by), at(60 + set_by)), "as the answers tell"
            row = read.project(connection, PROJECT.fid)
        assert by_theirs(row, row["looked_back_at"]) == min(at(0), at(set_by))


@pytest.mark.parametrize("told", [-7200, 7200])
def test_what_is_looked_back_at_begins_early_enough_where_the_last_look_was_told_a_wrong_date(
    tmp_path: Path, told: float
) -> None:
    """And then the daemon starts anew, so that our clock may have been set instead."""
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid()))
        keep(database, replace(poll(60, a_bid()), ahead=timedelta(seconds=told)))
        record(database, poll(9000, a_bid()), (), host=HOST, window=lambda fid: None, pause=timedelta(0), lost=True)
        with database.read() as connection:
            row = read.project(connection, PROJECT.fid)
        assert by_theirs(row, row["looked_back_at"]) <= at(60)


def test_a_deadline_told_between_whole_polls_stays_when_the_daemon_starts_anew(tmp_path: Path) -> None:
    changed = timedelta(seconds=200)
    noticed = (a_bid(status="Preempting"), an_instance(status=PREEMPTING))
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), an_instance()))
        seen = poll(600, *noticed, complete=False, deadlines={"inst_1": at(900)})
        keep(database, replace(seen, ahead=changed))
        again = replace(poll(720, *noticed, complete=False), ahead=changed)
        record(database, again, (), host=HOST, window=lambda fid: None, lost=True)
        assert sql(database, "SELECT deadline FROM notices WHERE subject = 'inst_1'") == [(stored(at(900)),)]


def test_a_step_that_no_time_was_told_of_is_asked_about_again_when_the_clocks_turn_out_to_differ(
    tmp_path: Path,
) -> None:
    paused = a_bid(status="Paused")
    with opened(tmp_path) as database:
        keep(database, poll(0, a_bid(), a_bid("bid_2")))
        keep(database, replace(poll(10, paused, a_bid("bid_2")), ahead=timedelta(hours=2)))
        sql(database, "UPDATE bids SET history_due = 0")
        told = keep(database, replace(poll(20, paused, a_bid("bid_2")), ahead=timedelta(hours=2)))
        with database.read() as connection:
            assert (told.wishes, wishes.due(connection, PROJECT.fid)) == (False, {})
        told = record(database, poll(30), (), host=HOST, window=lambda fid: None, changed=False)
        with database.read() as connection:
            assert told.wishes
            assert list(wishes.due(connection, PROJECT.fid)) == ["bid_1"]
