"""The difference between two clocks, from what one of them says in whole seconds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mithrild.marketplace.skew import Skew
from tests.unit.fleet_builders import moment


def told(ahead: float, *answers: tuple[float, float]) -> float | None:
    """What is thought of a marketplace that is so far ahead, after answers (sent, received), each dated halfway."""
    skew = Skew()
    for sent, received in answers:
        date = moment((sent + received) / 2 + ahead).replace(microsecond=0)
        skew.note(date, sent=moment(sent), received=moment(received))
    return None if skew.ahead is None else skew.ahead.total_seconds()


def test_nobody_knows_before_the_first_answer() -> None:
    assert told(0) is None


@pytest.mark.parametrize("ahead", [0.0, 0.4, 3.0, -3.7, 600.25, -14400.0])
def test_each_answer_narrows_it_down(ahead: float) -> None:
    first = told(ahead, (0.0, 0.1))
    assert first is not None
    assert abs(first - ahead) <= 0.6
    later = told(ahead, *((n * 1.07, n * 1.07 + 0.02) for n in range(40)))
    assert later is not None
    assert abs(later - ahead) <= 0.1


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    skew = Skew()
    for n in range(20):
        skew.note(moment(n), sent=moment(n), received=moment(n + 0.1))
    skew.note(moment(30), sent=moment(3630), received=moment(3630.1))
    assert skew.ahead is not None
    assert abs(skew.ahead + timedelta(hours=1)) <= timedelta(seconds=1)


@pytest.mark.parametrize("set_by", [3600, -3600])
def test_an_answer_over_which_the_clock_was_set_says_nothing_wrong(set_by: float) -> None:
    skew = Skew()
    skew.note(moment(0), sent=moment(0), received=moment(0.1))
    skew.note(moment(1), sent=moment(1), received=moment(1.1 + set_by))
    assert skew.ahead is not None
    assert abs(skew.ahead) <= timedelta(seconds=1)
