"""What retention drops from a real record, what it leaves, and what everybody else makes of that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mithrild.fleet.keeping import Limits
from mithrild.fleet.timeline import Told
from mithrild.store import bounded, leases, outbox, read, retention
from mithrild.store.bounded import Dropped
from mithrild.store.database import Database
from mithrild.store.history import Remembered, keep_ended, write_history
from mithrild.store.inventory import keep_prices
from mithrild.store.outbox import Outcome
from mithrild.store.reach import reach
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    PROJECT,
    RUNNING,
    STARTING,
    TERMINATED,
    a_bid,
    a_rule,
    an_auction,
    an_instance,
    at,
    deliveries,
    keep,
    opened,
    poll,
    settle_one,
    sql,
)

DAY = 86400
KEPT = timedelta(days=100)
CUTOFF = at(0) - KEPT
RULES = [a_rule("log", max_age=None)]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database
        assert sql(database, "PRAGMA foreign_key_check") == []


def days_ago(days: float) -> datetime:
    return at(-days * DAY)


def see(database: Database, days: float, *things: Any) -> None:
    """A poll so many days before noon that saw these things and nothing else of what it asked for."""
    keep(database, poll(-days * DAY, *things, whole=frozenset()), RULES)


def first_sight(database: Database, days: float, *things: Any) -> None:
    keep(database, poll(-days * DAY, *things))


def drop(database: Database, cutoff: datetime = CUTOFF) -> Dropped:
    dropped = Dropped()
    for _ in retention.drop_transitions(database, cutoff, dropped):
        pass
    for _ in retention.drop_ended(database, cutoff, dropped):
        pass
    return dropped


def finish(database: Database) -> None:
    """Every delivery that waits is tried, and done."""
    while claims := outbox.claim(database, ("log", "run"), free=50, max_age=None, run="run_1", now=at(0)):
        for one in claims:
            settle_one(database, one, Outcome("done", "done", exit_code=0, output="well"), run="run_1", now=at(0))


def looked_back(database: Database) -> None:
    """The marketplace has been asked about everything that changed."""
    sql(database, "UPDATE bids SET history_due = 0")


def steps(database: Database) -> list[tuple[Any, ...]]:
    """(days ago, subject, to, whether it has an event) of each transition by sequence."""
    rows = sql(
        database,
        "SELECT t.observed_at, t.subject, t.after, e.id IS NOT NULL FROM transitions t"
        " LEFT JOIN events e USING (sequence) ORDER BY t.sequence",
    )
    return [
        (round((at(0) - datetime.fromisoformat(row[0])).total_seconds() / DAY), *row[1:3], bool(row[3])) for row in rows
    ]


def counts(database: Database) -> dict[str, int]:
    tables = ("transitions", "events", "deliveries", "attempts", "notices", "bids", "instances")
    return {table: sql(database, f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def a_life(database: Database) -> None:
    """A bid and a machine, seen first 400 days ago, preempted 300 days ago, back 200 days ago; all is told."""
    first_sight(database, 400, a_bid(), an_instance())
    see(database, 300, a_bid(status="Preempting"), an_instance(status=PREEMPTING))
    see(database, 299, a_bid(status="Open"), an_instance(status=STARTING))
    see(database, 200, a_bid(), an_instance())
    finish(database)


def test_what_is_old_goes_with_all_that_hangs_on_it_and_the_living_keep_their_last_step(database: Database) -> None:
    a_life(database)
    see(database, 50, an_instance("inst_2", STARTING))
    finish(database)
    assert drop(database)
    assert steps(database) == [
        (200, "bid_1", "Allocated", False),
        (200, "inst_1", RUNNING, False),
        (200, "bid_1", "running", False),
        (50, "inst_2", STARTING, True),
    ]
    assert counts(database) == {
        "transitions": 4, "events": 1, "deliveries": 1, "attempts": 1, "notices": 0, "bids": 1, "instances": 2,
    }  # fmt: skip


def test_what_is_young_enough_stays_whole(database: Database) -> None:
    a_life(database)
    before = {**counts(database), "steps": steps(database)}
    assert not drop(database, days_ago(401))
    assert {**counts(database), "steps": steps(database)} == before
    with database.read() as connection:
        assert reach(connection).through == 0
        assert reach(connection).before is None


@pytest.mark.parametrize("state", ["pending", "running"])
def test_nothing_goes_from_an_unfinished_delivery_on(database: Database, state: str) -> None:
    first_sight(database, 400, a_bid(), an_instance())
    see(database, 300, an_instance(status=STARTING))
    finish(database)
    see(database, 250, an_instance(status=RUNNING))
    see(database, 200, an_instance(status=STARTING))
    if state == "running":
        assert outbox.claim(database, ("log", "run"), free=1, max_age=None, run="run_1", now=at(0))
    drop(database)
    assert [step[0] for step in steps(database) if step[1] == "inst_1"] == [250, 200]
    assert [row[0] for row in deliveries(database, "state")] == [state, "pending"]
    leases.void_leases(database, at(0))
    finish(database)
    drop(database)
    assert deliveries(database) == []


def test_an_open_notice_keeps_its_transition_and_an_ended_one_goes_with_it(database: Database) -> None:
    first_sight(database, 400, a_bid(), an_instance(), an_instance("inst_2"))
    see(database, 300, an_instance(status=PREEMPTING), an_instance("inst_2", PREEMPTING))
    see(database, 299, an_instance("inst_2"))
    finish(database)
    opened_by = dict(sql(database, "SELECT subject, sequence FROM notices"))
    drop(database)
    assert sql(database, "SELECT subject, sequence FROM notices") == [("inst_1", opened_by["inst_1"])]
    with database.read() as connection:
        assert read.openings(connection, PROJECT.fid) == {"inst_1": opened_by["inst_1"]}


def test_a_younger_delivery_keeps_the_opening_of_its_notice(database: Database) -> None:
    first_sight(database, 400, a_bid(), an_instance())
    see(database, 100.001, an_instance(status=PREEMPTING))
    keep(database, poll(-100 * DAY + 60, deadlines={"inst_1": at(-100 * DAY + 500)}, whole=frozenset()), RULES)
    see(database, 99, an_instance(status=RUNNING))
    finish(database)
    drop(database)
    assert next(step[2] for step in steps(database) if step[1] == "inst_1") == PREEMPTING
    assert [row for row in deliveries(database, "notice IS NOT NULL") if row[0]] == [(1,)]
    drop(database, days_ago(98.5))
    assert [step[2] for step in steps(database) if step[1] == "inst_1"] == [at(-100 * DAY + 500).isoformat(), RUNNING]


def test_a_bid_that_ended_goes_with_its_instances_and_one_that_lives_keeps_all_of_its(database: Database) -> None:
    lives = a_bid("bid_2", instances=("inst_3",))
    first_sight(database, 400, a_bid(), an_instance(), lives, an_instance("inst_3", bid="bid_2"))
    see(
        database,
        300,
        a_bid(status="Terminated"),
        an_instance(status=TERMINATED),
        an_instance("inst_3", TERMINATED, "bid_2"),
    )
    see(database, 50, a_bid("bid_3", "Open"))
    see(database, 49, a_bid("bid_3", "Terminated"))
    finish(database)
    assert drop(database).things == 0  # more may come to be known of it
    looked_back(database)
    assert drop(database).things == 2
    assert sql(database, "SELECT fid FROM bids ORDER BY fid") == [("bid_2",), ("bid_3",)]
    # Were it not known any more, the poll that finds it named by its bid would tell of it as of something new.
    assert sql(database, "SELECT fid FROM instances") == [("inst_3",)]
    with database.read() as connection:
        assert read.fleet(connection, PROJECT.fid).past == {"inst_3"}


def test_the_last_condition_of_the_watch_is_never_forgotten(database: Database) -> None:
    first_sight(database, 400, a_bid())
    row = (
        "INSERT INTO transitions (kind, subject, project, aspect, before, after, type, provenance, baseline,"
        " observed_at, position) VALUES ('marketplace', 'https://api', '', 'status', NULL, ?, ?, 'observed', 1, ?, ?)"
    )
    for days, word in ((300, "unreachable"), (299, "reachable"), (298, "unreachable")):
        moment = days_ago(days).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        sql(database, row, word, f"marketplace.{word}", moment, moment)
    drop(database)
    with database.read() as connection:
        assert read.last_after(connection, "marketplace", "https://api") == "unreachable"
    assert [step[0] for step in steps(database)] == [400, 298]


def test_age_counts_from_when_a_step_was_learned_by_the_marketplaces_clock(database: Database) -> None:
    first_sight(database, 400, a_bid(), an_instance())
    see(database, 300, an_instance(status=STARTING))
    see(database, 50, an_instance(status=RUNNING))
    see(database, 300, an_instance(status=STARTING))  # the clock was set back by 250 days
    see(database, 50, an_instance(status=RUNNING))
    finish(database)
    # The first was seen while this machine's clock was 250 days behind, and knew it.
    first = "(SELECT min(sequence) FROM transitions WHERE NOT baseline)"
    sql(database, f"UPDATE transitions SET ahead_seconds = ? WHERE sequence = {first}", 250 * DAY)
    drop(database)
    held = [step[0] for step in steps(database) if step[1] == "inst_1"]
    assert held == [300, 50, 300, 50]


def test_no_number_is_given_twice_though_all_that_had_one_are_gone(database: Database) -> None:
    first_sight(database, 400, a_bid(), an_instance())
    see(database, 300, an_instance(status=TERMINATED), a_bid(status="Terminated"))
    finish(database)
    last = sql(database, "SELECT max(sequence) FROM transitions")[0][0]
    drop(database)
    assert counts(database)["transitions"] == 0
    with database.read() as connection:
        assert read.last_sequence(connection) == last
    see(database, 1, a_bid("bid_2", "Open"))
    assert sql(database, "SELECT min(sequence) FROM transitions") == [(last + 1,)]


def tell(database: Database, *story: tuple[float, str]) -> list[str]:
    """What is added when the marketplace tells this story of the machine: (days ago, status)."""
    told = Remembered(
        bid="bid_1",
        project=PROJECT.fid,
        events=[],
        instance_steps={"inst_1": [Told(status, days_ago(days)) for days, status in story]},
    )
    added = write_history(database, told, RULES, host=HOST, now=at(0))
    finish(database)
    return [step.after for _, step in added.steps]


def test_what_was_dropped_is_not_told_again_by_the_history(database: Database) -> None:
    first_sight(database, 400, a_bid(), an_instance(status=STARTING))
    see(database, 300, an_instance(status=RUNNING))
    see(database, 250, an_instance(status=PREEMPTING))
    see(database, 249, an_instance(status=STARTING))
    see(database, 50, an_instance(status=RUNNING))
    finish(database)
    story = [(300, RUNNING), (250, PREEMPTING), (249, STARTING), (90, PREEMPTING), (89.99, STARTING), (50, RUNNING)]
    drop(database)
    assert len(steps(database)) < 5
    # Of what came after, what nobody saw is told: once.
    assert tell(database, *story) == [PREEMPTING, STARTING]
    assert tell(database, *story) == []
    drop(database, days_ago(60))
    assert tell(database, *story) == []


def test_a_bid_that_was_dropped_is_not_told_again_by_a_late_history(database: Database) -> None:
    first_sight(database, 400, a_bid("bid_0"))
    bid = a_bid(status="Open", created_at=days_ago(301))
    see(database, 300, bid)
    ended = a_bid(status="Terminated", created_at=days_ago(301), deactivated_at=days_ago(299))
    see(database, 299, ended)
    finish(database)
    looked_back(database)
    drop(database)
    assert sql(database, "SELECT fid FROM bids") == [("bid_0",)]
    keep_ended(database, PROJECT.fid, [ended, a_bid("bid_2", "Terminated", deactivated_at=days_ago(90))])
    assert sql(database, "SELECT fid FROM bids ORDER BY fid") == [("bid_0",), ("bid_2",)]


def test_a_time_in_the_far_future_does_not_hide_what_is_still_to_come(database: Database) -> None:
    first_sight(database, 400, a_bid(), an_instance())
    see(database, 300, an_instance(status=STARTING))
    sql(database, "UPDATE transitions SET position = '9999-01-01T00:00:00.000000Z' WHERE subject = 'bid_1'")
    sql(database, "UPDATE bids SET live = 0")
    finish(database)
    drop(database)
    with database.read() as connection:
        held = reach(connection).before
    assert held is not None
    assert held <= CUTOFF


def test_each_step_is_a_small_transaction_and_polls_go_on_between_two(database: Database) -> None:
    machines = [an_instance(f"inst_{number}", STARTING) for number in range(300)]
    first_sight(database, 400, a_bid(), *machines)
    for days in (300, 200):
        see(
            database,
            days,
            *(an_instance(f"inst_{number}", RUNNING if days == 300 else STARTING) for number in range(300)),
        )
    finish(database)
    dropped, held, sizes = Dropped(), counts(database)["transitions"], []
    for number, _ in zip(count(), retention.drop_transitions(database, CUTOFF, dropped), strict=False):
        left = counts(database)["transitions"]
        sizes.append(held - left)
        see(database, -number, a_bid(f"bid_{number + 10}", "Open"))
        held = counts(database)["transitions"]
    assert max(sizes) <= retention.ROWS
    assert sum(sizes) == dropped.transitions == 600
    assert len(sizes) > 6


def test_a_drop_that_was_cut_off_is_begun_anew_and_ends_alike(tmp_path: Path) -> None:
    ends = []
    for cut in (False, True):
        with opened(tmp_path / str(cut)) as database:
            first_sight(database, 400, a_bid(), *(an_instance(f"inst_{number}") for number in range(250)))
            see(database, 300, *(an_instance(f"inst_{number}", STARTING) for number in range(250)))
            finish(database)
            if cut:
                next(retention.drop_transitions(database, CUTOFF, Dropped()))
            drop(database)
            with database.read() as connection:
                ends.append((counts(database), steps(database), reach(connection)))
    assert ends[0] == ends[1]


LIMITS = Limits(
    transitions=None,
    output=timedelta(days=30),
    output_bytes=1000,
    prices_whole=timedelta(days=2),
    prices_hourly=timedelta(days=90),
    prices_daily=timedelta(days=730),
)


def outputs(database: Database) -> list[tuple[Any, ...]]:
    return sql(database, "SELECT output, output_bytes FROM attempts ORDER BY started_at")


def print_output(database: Database, days: float, text: str) -> None:
    status = sql(database, "SELECT status FROM instances")[0][0]
    see(database, days, an_instance(status=RUNNING if status == STARTING else STARTING))
    moment = days_ago(days) + timedelta(seconds=1)
    (one,) = outbox.claim(database, ("log", "run"), free=1, max_age=None, run="run_1", now=moment)
    settle_one(database, one, Outcome("done", "done", exit_code=0, output=text), run="run_1", now=moment)


def test_what_hooks_printed_goes_by_age_and_then_by_size_and_the_attempt_stays(database: Database) -> None:
    first_sight(database, 400, a_bid(), an_instance())
    for days, text in ((31, "old"), (20, "é" * 300), (10, "x" * 500), (5, ""), (1, "y" * 300)):
        print_output(database, days, text)
    dropped = Dropped()
    for _ in bounded.drop_outputs(database, LIMITS, at(0), dropped):
        pass
    assert outputs(database) == [(None, 3), (None, 600), ("x" * 500, 500), ("", 0), ("y" * 300, 300)]
    assert (dropped.outputs, dropped.output_bytes) == (2, 603)
    assert [row[0] for row in deliveries(database, "state")] == ["done"] * 5


def test_much_output_goes_in_small_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "OUTPUT_BYTES", 1000)
    first_sight(database, 400, a_bid(), an_instance())
    for number in range(12):
        print_output(database, 60 - number, "x" * 400)
    held, dropped, sizes = 12, Dropped(), []
    for _ in bounded.drop_outputs(database, LIMITS, at(0), dropped):
        left = sum(output is not None for output, _ in outputs(database))
        sizes.append(held - left)
        held = left
    assert sizes == [2] * 6


def sample(database: Database, days: float, cents: int, region: str = "us-central1-b") -> None:
    keep_prices(database, [an_auction(region, cents)], days_ago(days))


def prices(database: Database, region: str = "us-central1-b") -> list[int]:
    return [row[0] for row in sql(database, "SELECT spot_price_cents FROM prices WHERE region = ? ORDER BY at", region)]


def thin(database: Database, now: datetime) -> int:
    dropped = Dropped()
    for _ in bounded.drop_prices(database, LIMITS, now, dropped):
        pass
    return dropped.prices


def test_prices_become_hourly_then_daily_then_nothing(database: Database) -> None:
    minute = 1 / 1440
    for minutes, cents in enumerate((500, 700, 300, 400, 450)):
        sample(database, 10 - minutes * minute, cents)  # an hour of ten days ago
        sample(database, 1 - minutes * minute, cents + 1)  # and one of yesterday, still whole
    sample(database, 9.95, 900)  # the hour after
    assert thin(database, at(0)) == 2
    assert prices(database) == [700, 300, 450, 900, 501, 701, 301, 401, 451]
    assert thin(database, at(0)) == 0
    assert thin(database, at(90 * DAY)) == 4
    assert prices(database) == [300, 900, 701, 301, 451]
    assert thin(database, at(1000 * DAY)) == 5
    assert prices(database) == []


def test_each_auction_is_thinned_by_itself_and_a_thinned_time_is_not_looked_at_again(database: Database) -> None:
    for region in ("us-a", "us-b"):
        for minutes, cents in enumerate((500, 700, 300, 400, 450)):
            sample(database, 10 - minutes / 1440, cents, region)
    assert thin(database, at(0)) == 4
    assert prices(database, "us-a") == prices(database, "us-b") == [700, 300, 450]
    marks = dict(sql(database, "SELECT key, value FROM meta WHERE key LIKE 'prices_by_%'"))
    assert marks == {"prices_by_3600s": at(-2 * DAY).isoformat()}
    sql(database, "INSERT INTO prices (at, capacity, spot_price_cents, region, instance_type)"
        " SELECT at, capacity, 440, region, instance_type FROM prices WHERE spot_price_cents = 450")  # fmt: skip
    assert thin(database, at(0)) == 0


def test_a_sweep_drops_all_of_it_and_tells_what(database: Database) -> None:
    a_life(database)
    for minutes in range(5):
        sample(database, 300 - minutes / 1440, 500 + minutes)
    dropped = Dropped()
    limits = Limits(KEPT, *(getattr(LIMITS, name) for name in Limits.__slots__[1:]))
    for _ in retention.sweep(database, limits, at(0), timedelta(0), dropped):
        pass
    assert str(dropped) == "7 transitions, 3 price samples"
    retention.note(database, dropped, at(5))
    with database.read() as connection:
        assert retention.last_dropped(connection) == (at(5), dropped)
    assert str(Dropped()) == "nothing"
