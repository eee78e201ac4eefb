"""Reading server-sent events, however the bytes fall into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithril_cli import feed
from mithril_cli.errors import BrokenAnswer

TEXT = (
    'id: evt_a_1\nevent: bid.placed\ndata: {"a": 1}\n\n: alive\n\n'
    "id: evt_a_2\r\ndata: x\r\ndata: y\r\n\r\n"
    "id: evt_a_3\ndata: cut"
)


def test_messages_and_signs_of_life() -> None:
    read = list(feed.messages([TEXT.encode()]))
    assert [one for one in read if one] == [("evt_a_1", '{"a": 1}'), ("evt_a_2", "x\ny")]
    assert None in read


@given(st.lists(st.integers(min_value=0, max_value=len(TEXT))))
def test_it_does_not_matter_where_pieces_end(cuts: list[int]) -> None:
    data = TEXT.encode()
    ends = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(ends)]
    assert [one for one in feed.messages(pieces) if one] == [("evt_a_1", '{"a": 1}'), ("evt_a_2", "x\ny")]


def test_an_event_without_an_end_is_broken() -> None:
    with pytest.raises(BrokenAnswer):
        list(feed.messages([b"data: "] + [b"x" * 65536] * 100))
    with pytest.raises(BrokenAnswer):
        list(feed.messages([b"data: " + b"x" * 65536 + b"\n"] * 100))


def test_many_events_are_not_one_long_event() -> None:
    one = b"id: evt_a_1\ndata: " + b"x" * 65536 + b"\n\n"
    assert len(list(feed.messages([one] * 100))) == 100


@pytest.mark.parametrize(
    ("cursor", "sequence"), [("17", 17), ("evt_8f3a_17", 17), ("evt_8f3a_", 0), ("x", 0), ("²", 0)]
)
def test_the_sequence_of_a_cursor(cursor: str, sequence: int) -> None:
    assert feed.cursor_sequence(cursor) == sequence


@pytest.mark.parametrize("sequence", [None, "", "x", "-1", 1.5, "9" * 40])
def test_an_event_needs_a_sequence(sequence: object) -> None:
    with pytest.raises(BrokenAnswer):
        feed.sequence_of({"sequence": sequence})
