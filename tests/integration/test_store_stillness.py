"""What is recorded of hooks that keep still: silences, quiet hours, and siblings of a first."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from mithrild.fleet.bounds import parse
from mithrild.fleet.matching import Match
from mithrild.fleet.routing import HookRule
from mithrild.fleet.stillness import QuietHours
from mithrild.store import outbox, silences
from mithrild.store.database import Database
from tests.integration.store_builders import (
    PREEMPTING,
    RUNNING,
    STARTING,
    a_bid,
    a_rule,
    an_instance,
    at,
    deliveries,
    keep,
    opened,
    poll,
    settle_one,
    sql,
)

MACHINES = ("inst_1", "inst_2", "inst_3")
FIRST = HookRule("save", ("instance.*", "bid.preempting"), Match(), None, ("run",), first=True)


def see(
    database: Database,
    seconds: float,
    rules: Iterable[HookRule],
    deadline: float = 900,
    bid: str = "Allocated",
    **status: str,
) -> None:
    """One poll in which some machines have a status; the others run."""
    machines = [an_instance(fid, status.get(fid, RUNNING)) for fid in MACHINES]
    keep(database, poll(seconds, a_bid(status=bid), *machines, deadlines=dict.fromkeys(MACHINES, at(deadline))), rules)


def told(database: Database, *types: str) -> list[tuple[str, str]]:
    """(subject, state) of the deliveries of these events, in order."""
    rows = sql(
        database,
        "SELECT d.subject, d.state, e.type FROM deliveries d JOIN events e USING (sequence) ORDER BY sequence, hook",
    )
    return [(subject, state) for subject, state, type in rows if type in types]


def test_siblings_of_the_first_are_skipped_and_name_it(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 10, [FIRST], inst_1=PREEMPTING, inst_2=PREEMPTING)
        assert told(database, "instance.preempting") == [("inst_1", "pending"), ("inst_2", "skipped")]
        ((event,),) = sql(database, "SELECT id FROM events WHERE sequence = (SELECT min(sequence) FROM deliveries)")
        ((reason,),) = sql(database, "SELECT reason FROM deliveries WHERE state = 'skipped'")
        assert reason == f'when = "first": {event} came before it'


def test_a_sibling_of_a_later_poll_and_of_a_later_start_is_skipped_too(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 10, [FIRST], inst_1=PREEMPTING)
        outbox.claim(database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(11))
    with opened(tmp_path) as database:
        see(database, 20, [FIRST], inst_1="STATUS_STOPPING", inst_2=PREEMPTING)  # its sibling's notice is over already
        see(database, 30, [FIRST], bid="Preempting", inst_1="STATUS_STOPPING", inst_2=PREEMPTING, inst_3=PREEMPTING)
        assert told(database, "instance.preempting", "bid.preempting") == [
            ("inst_1", "running"),
            ("inst_2", "skipped"),
            ("bid_1", "skipped"),
            ("inst_3", "skipped"),
        ]


def test_turn_of_a_first_that_never_ran_goes_to_a_sibling_whose_notice_stands(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 10, [FIRST], inst_1=PREEMPTING, inst_2=PREEMPTING, inst_3=PREEMPTING)
        see(database, 20, [FIRST], inst_1="STATUS_TERMINATED", inst_2=PREEMPTING, inst_3=PREEMPTING)
        mine = ("instance.preempting",)
        assert told(database, *mine) == [("inst_1", "superseded"), ("inst_2", "pending"), ("inst_3", "skipped")]
        see(database, 30, [FIRST], inst_1="STATUS_TERMINATED", inst_2="STATUS_TERMINATED", inst_3=PREEMPTING)
        assert told(database, *mine) == [("inst_1", "superseded"), ("inst_2", "superseded"), ("inst_3", "pending")]
        claims = outbox.claim(database, ("save", "run"), free=9, max_age=None, run="run_1", now=at(31))
        taken = [json.loads(one.body) for one in claims]
        assert [one["subject"] for one in taken if one["type"] == "instance.preempting"] == ["inst_3"]


def test_first_that_ran_leaves_no_turn_to_its_siblings(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 10, [FIRST], inst_1=PREEMPTING, inst_2=PREEMPTING)
        (one,) = outbox.claim(database, ("save", "run"), free=9, max_age=None, run="run_1", now=at(11))
        again = outbox.Outcome("pending", "interrupted", next_at=at(12), counts=False)
        settle_one(database, one, again, run="run_1", now=at(12))
        see(database, 20, [FIRST], inst_1="STATUS_TERMINATED", inst_2=PREEMPTING)
        assert told(database, "instance.preempting") == [("inst_1", "superseded"), ("inst_2", "skipped")]


def test_each_notice_of_a_bid_has_a_first_and_so_has_each_reprieve(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        for begin in (10, 110):
            see(database, begin, [FIRST], inst_1=PREEMPTING, inst_2=PREEMPTING)
            see(database, begin + 20, [FIRST], inst_2=PREEMPTING)
            see(database, begin + 40, [FIRST])
        assert (
            told(database, "instance.preempting")
            == [
                ("inst_1", "superseded"),
                ("inst_2", "superseded"),  # its sibling's never ran, so it was its turn
            ]
            * 2
        )
        assert told(database, "instance.reprieved") == [("inst_1", "pending"), ("inst_2", "skipped")] * 2


def test_a_notice_after_one_that_ran_out_has_a_first_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 10, [FIRST], deadline=300, inst_1=PREEMPTING, inst_2=PREEMPTING)
        see(database, 310, [FIRST], inst_1="STATUS_STOPPING", inst_2="STATUS_STOPPING")
        see(database, 400, [FIRST])
        see(database, 410, [FIRST], inst_2=PREEMPTING, inst_3=PREEMPTING)
        assert told(database, "instance.preempting")[2:] == [("inst_2", "pending"), ("inst_3", "skipped")]


def test_first_is_of_each_bid_and_of_notices_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        others = (a_bid("bid_2"), an_instance("inst_4", bid="bid_2"))
        keep(database, poll(0, a_bid(), *map(an_instance, MACHINES), *others))
        machines = [an_instance(fid, PREEMPTING) for fid in MACHINES[:2]]
        starting = (a_bid("bid_2"), an_instance("inst_4", PREEMPTING, bid="bid_2"), an_instance("inst_3", STARTING))
        keep(database, poll(10, a_bid(), *machines, *starting), [FIRST])
        assert told(database, "instance.preempting") == [
            ("inst_1", "pending"),
            ("inst_2", "skipped"),
            ("inst_4", "pending"),
        ]
        assert told(database, "instance.starting") == [("inst_3", "pending")]


def test_one_that_was_held_back_is_no_first(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        silences.begin(database, "*", None, at(15), at(5))
        see(database, 10, [FIRST], inst_1=PREEMPTING)
        see(database, 20, [FIRST], inst_1=PREEMPTING, inst_2=PREEMPTING)
        assert told(database, "instance.preempting") == [("inst_1", "skipped"), ("inst_2", "pending")]


def test_what_a_silence_holds_back_is_recorded_with_its_reason(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        silences.begin(database, "name-of-bid_1", "quiet", at(100), at(5))
        rules = [a_rule("loud", "instance.*"), a_rule("quiet", "instance.*")]
        see(database, 10, rules, inst_1=STARTING)
        see(database, 100, rules)
        assert deliveries(database, "hook, state, reason, finished_at IS NULL, next_at IS NULL") == [
            ("loud", "pending", None, 1, 0),
            ("quiet", "skipped", "silence 1: name-of-bid_1", 0, 1),
            ("loud", "pending", None, 1, 0),
            ("quiet", "pending", None, 1, 0),
        ]


def test_a_silence_puts_aside_what_waits_and_lets_go_on_what_runs(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 10, [a_rule("a"), a_rule("b")], inst_1=STARTING)
        see(database, 20, [a_rule("a")], inst_1=STARTING, inst_2=STARTING)
        keep(database, poll(30, a_bid("bid_2", "Open"), whole=frozenset()), [a_rule("a")])
        outbox.claim(database, ("a", "run"), free=1, max_age=None, run="run_1", now=at(31))
        silence, held = silences.begin(database, "name-of-bid_1", None, at(100), at(40))
        assert (silence.id, held) == (1, 2)
        assert deliveries(database, "hook, subject, state, reason") == [
            ("a", "inst_1", "running", None),
            ("b", "inst_1", "skipped", "silence 1: name-of-bid_1"),
            ("a", "inst_2", "skipped", "silence 1: name-of-bid_1"),
            ("a", "bid_2", "pending", None),
        ]


def test_silences_end_by_number_or_by_pattern_and_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        for pattern in ("train-a", "train-b", "eval", "7"):
            silences.begin(database, pattern, None, at(100), at(0))
        silences.begin(database, "over", None, at(5), at(0))

        def end(which: str) -> list[str]:
            return [one.pattern for one in silences.end(database, which, at(10))]

        assert end("over") == []
        assert end("99") == []
        assert end("7") == ["7"]
        assert end("3") == ["eval"]
        assert end("train-*") == ["train-a", "train-b"]
        assert end("*") == []
        with database.read() as connection:
            ends = {one.pattern: one.until for one in silences.listing(connection, 10)}
            assert silences.standing(connection, at(10)) == []
        assert ends == {"over": at(5)} | dict.fromkeys(("7", "eval", "train-a", "train-b"), at(10))


QUIET = HookRule("tell", ("*",), Match(), None, ("run", "notify"), quiet=QuietHours(time(12, 1), time(13), UTC))


def test_the_hour_is_looked_at_when_news_comes_and_again_before_each_try(tmp_path: Path) -> None:
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 50, [QUIET], inst_1=STARTING)
        see(database, 70, [QUIET])
        assert deliveries(database, "action, state, reason") == [
            ("notify", "pending", None),
            ("run", "pending", None),
            ("notify", "skipped", "quiet hours, 12:01-13:00 UTC"),
            ("run", "pending", None),
        ]
        for action in ("run", "notify"):
            outbox.claim(database, ("tell", action), free=9, max_age=None, run="run_1", now=at(80), rule=QUIET)
        assert deliveries(database, "action, state, reason") == [
            ("notify", "skipped", "quiet hours, 12:01-13:00 UTC"),
            ("run", "running", None),
            ("notify", "skipped", "quiet hours, 12:01-13:00 UTC"),
            ("run", "pending", None),  # of the same machine, and the other one runs
        ]


@pytest.mark.parametrize(
    ("seconds", "state", "reason"),
    [(779, "running", None), (780, "expired", '120 s left, match.remaining is ">2m"')],
)
def test_the_time_that_is_left_is_judged_before_each_try(
    tmp_path: Path, seconds: float, state: str, reason: str | None
) -> None:
    bounds = parse(">2m", lambda text: int(text.removesuffix("m")) * 60_000)
    rule = a_rule("save", "instance.*", match=Match(remaining=bounds))
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 10, [rule], inst_1=PREEMPTING)
        assert deliveries(database, "state") == [("pending",)]
        outbox.claim(database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(seconds), rule=rule)
        assert deliveries(database, "state, reason") == [(state, reason)]


def test_what_a_person_asked_for_is_tried_however_late_and_at_whatever_hour(tmp_path: Path) -> None:
    old = datetime(2027, 1, 1, 12, 30, tzinfo=UTC)
    with opened(tmp_path) as database:
        see(database, 0, [])
        see(database, 50, [QUIET], inst_1=STARTING, inst_2=PREEMPTING)
        sql(database, "UPDATE deliveries SET by_hand = 1")
        for action in ("run", "notify"):
            lane = ("tell", action)
            outbox.claim(database, lane, free=9, max_age=timedelta(minutes=1), run="run_1", now=old, rule=QUIET)
        assert deliveries(database, "state") == [("running",)] * 4
