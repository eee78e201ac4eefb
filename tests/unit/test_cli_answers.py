"""What is said about an answer, and what is made of one that has not the promised shape."""

from __future__ import annotations

import pytest

from mithril_cli import answers
from mithril_cli.client import segment
from mithril_cli.commands import events
from mithril_cli.errors import ApiError, BrokenAnswer
from mithrild import wire


def test_a_stale_answer_says_its_age_and_why() -> None:
    assert answers.stale_line({"stale": False, "age_seconds": 900}) is None
    assert answers.stale_line({}) is None
    assert answers.stale_line({"stale": True, "age_seconds": 250, "reason": "connection refused"}) == (
        "this is 4m old: connection refused"
    )
    assert answers.stale_line({"stale": True, "age_seconds": 60, "reason": None}) == ("this is 1m old")
    assert answers.stale_line({"stale": True, "age_seconds": None, "reason": "there is no API key"}) == (
        "no poll has been completed yet: there is no API key"
    )


def test_an_answer_that_is_not_written_down_says_so_however_fresh_it_is() -> None:
    full = "the disk is full"
    assert answers.stale_line({"stale": False, "warning": full}) == full
    assert answers.stale_line({"stale": True, "age_seconds": 60, "reason": full, "warning": full}) == (
        "this is 1m old: the disk is full"
    )
    assert answers.stale_line({"stale": True, "age_seconds": 60, "reason": "refused", "warning": full}) == (
        "this is 1m old: refused; the disk is full"
    )


@pytest.mark.parametrize("found", [None, 5, {}, [1], "x"])
def test_a_list_that_is_none_is_a_broken_answer(found: object) -> None:
    with pytest.raises(BrokenAnswer):
        answers.objects({"bids": found}, "bids")


@pytest.mark.parametrize(
    ("code", "exit_code"), [("not_found", 6), ("ambiguous", 2), ("bad_request", 2), ("cursor_gone", 1), ("new_one", 1)]
)
def test_an_error_code_decides_the_exit(code: str, exit_code: int) -> None:
    assert ApiError(400, {"code": code, "message": "no"}).exit_code == exit_code


def test_choices_that_the_message_leaves_out_are_told() -> None:
    error = {"code": "ambiguous", "message": "two bids are called a", "choices": [{"fid": "bid_1"}, "bid_2"]}
    assert str(ApiError(409, error)) == "two bids are called a (bid_1, bid_2)"
    assert str(ApiError(409, {**error, "message": "bid_1 or bid_2"})) == "bid_1 or bid_2"
    assert str(ApiError(500, {})) == "the daemon refused, and did not say why"


def test_a_name_of_any_letters_is_one_segment_of_a_path() -> None:
    assert segment("a-b_c.d~9") == "a-b_c.d~9"
    assert segment("a/b c%?#é\n") == "a%2Fb%20c%25%3F%23%C3%A9%0A"
    assert segment("\udcff") == "%FF"


def test_the_line_of_an_event_leaves_out_what_is_not_known() -> None:
    watch = {"type": "watch.gap", "time": None, "data": {"from": None, "to": None}}
    assert events.line(watch, 0.0).split() == ["-", "watch.gap", "-", "-"]


def test_each_family_of_the_wire_is_accepted_as_a_pattern() -> None:
    for family in wire.EVENT_FAMILIES:
        assert events._event_type(f"{family}.*") == f"{family}.*"
