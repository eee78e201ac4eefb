"""The difference between two clocks, from what one of them says in whole seconds, and not by every answer truly."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from mithrild.marketplace.skew import WITNESSES, Moment, Skew
from tests.unit.fleet_builders import moment

BIDS, INSTANCES, HISTORY = "/spot/bids", "/instances", "/spot/bids/bid_{}/history"
POLL = (BIDS, BIDS, BIDS, INSTANCES)


class Answers:
    """Answers that each take a moment, one after the other. `ahead` is what their Date is ahead of our clock."""

    def __init__(self) -> None:
        self.skew = Skew()
        self._now = self._set = 0.0

    def come(self, paths: Iterable[str], ahead: float) -> float:
        """And what is thought of the difference after them."""
        for path in paths:
            self._now += 1.07
            self.note(path, self._now, self._now + 0.02, ahead)
        assert self.skew.ahead is not None
        return self.skew.ahead.total_seconds()

    def note(self, path: str, sent: float, received: float, ahead: float) -> None:
        date = moment((sent + received) / 2 + ahead).replace(microsecond=0)
        bearing = timedelta(seconds=self._set)
        self.skew.note(path, date, sent=Moment(moment(sent), bearing), received=Moment(moment(received), bearing))

    def set_our_clock(self, by: float) -> None:
        self._now += by
        self._set += by


def test_nobody_knows_before_the_first_answer() -> None:
    assert Skew().ahead is None


@pytest.mark.parametrize("ahead", [0.0, 0.4, 3.0, -3.7, 600.25, -14400.0])
def test_each_answer_narrows_it_down(ahead: float) -> None:
    answers = Answers()
    assert abs(answers.come([BIDS], ahead) - ahead) <= 0.6
    assert abs(answers.come([BIDS] * 39, ahead) - ahead) <= 0.1


def test_those_of_other_calls_do_too() -> None:
    answers = Answers()
    for number in range(8):
        found = answers.come(["/me", "/projects", BIDS, INSTANCES, HISTORY.format(number)], 3.7)
    assert abs(found - 3.7) <= 0.1


@pytest.mark.parametrize("lie", [-7200, 7200, 5])
@pytest.mark.parametrize("liar", [BIDS, INSTANCES, HISTORY, "/me"])
def test_one_call_whose_answers_bear_a_wrong_date_is_not_believed(liar: str, lie: float) -> None:
    answers = Answers()
    answers.come(["/me", "/projects", *POLL], 0)
    for number in range(20):
        for path in (*POLL, HISTORY):
            found = answers.come([path.format(number)], lie if path == liar else 0)
            assert abs(found) <= 1, path


def test_whoever_begins_with_one_that_lies_learns_the_truth_from_the_next_two() -> None:
    answers = Answers()
    assert abs(answers.come(["/me"], 7200) - 7200) <= 1
    assert abs(answers.come([BIDS, INSTANCES], 0)) <= 1


def test_a_marketplace_whose_clock_was_set_is_believed_when_most_calls_say_so() -> None:
    answers = Answers()
    answers.come(["/me", "/projects", "/spot/availability", *POLL], 600)
    assert abs(answers.come([*POLL, *POLL], 0) - 600) <= 1
    assert abs(answers.come(["/spot/availability"], 0)) <= 1


def test_only_the_last_few_calls_are_heard() -> None:
    answers = Answers()
    answers.come([f"/once/{number}" for number in range(50)], 600)
    assert abs(answers.come([f"/now/{number}" for number in range(WITNESSES // 2)], 0) - 600) <= 1
    assert abs(answers.come(["/now/last"], 0)) <= 1


def test_our_clock_that_was_set_is_noticed_at_once() -> None:
    answers = Answers()
    answers.come(["/me", "/projects", *POLL * 5], 0)
    answers.set_our_clock(3600)
    assert abs(answers.come([BIDS], -3600) + 3600) <= 1


@pytest.mark.parametrize("slept", [True, False])
@pytest.mark.parametrize("first", [BIDS, INSTANCES])
def test_one_that_lies_is_not_believed_after_a_sleep_or_a_clock_that_was_set_either(first: str, slept: bool) -> None:
    answers = Answers()
    answers.come(["/me", "/projects", *POLL * 5], 0)
    answers.set_our_clock(3600)
    true = 0 if slept else -3600
    for path in (first, BIDS, INSTANCES):
        found = answers.come([path], true - 7200 if path == INSTANCES else true)
    assert abs(found - true) <= 1


@pytest.mark.parametrize("set_by", [3600, -3600])
def test_an_answer_over_which_the_clock_was_set_says_nothing(set_by: float) -> None:
    answers = Answers()
    known = answers.come([BIDS], 0)
    before, after = Moment(moment(9), timedelta()), Moment(moment(9.1 + set_by), timedelta(seconds=set_by))
    answers.skew.note(BIDS, moment(9), sent=before, received=after)
    assert answers.skew.ahead == timedelta(seconds=known)
    answers.set_our_clock(set_by)
    assert abs(answers.come([BIDS], -set_by) + set_by) <= 1
