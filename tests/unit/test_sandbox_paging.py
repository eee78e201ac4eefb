"""Pages by key: what comes and goes between two pages shifts nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from mithrild.sandbox.models import cents, dollars
from mithrild.sandbox.paging import page

Turn = Callable[[], None]


def pages(
    items: list[str],
    lanes: list[list[int]],
    *,
    limit: int,
    descending: bool = False,
    by_word: bool = False,
    between: Turn = lambda: None,
) -> list[str]:
    """All pages, one after another; `between` is called after each."""
    found: list[str] = []
    cursor: str | None = None
    for _ in range(1000):
        some, cursor = page(
            items, lanes, cursor=cursor, limit=limit, descending=descending, keep=lambda item: item != "hidden",
            key=(lambda item: item) if by_word else None,
        )  # fmt: skip
        assert len(some) <= limit
        found += some
        if cursor is None:
            return found
        between()
    raise AssertionError("the pages do not end")


@given(
    st.lists(st.sampled_from(["a", "b", "c", "hidden"]), max_size=30),
    st.integers(1, 7),
    st.booleans(),
    st.booleans(),
)
def test_pages_put_together_are_the_whole(words: list[str], limit: int, descending: bool, by_word: bool) -> None:
    lanes = [[seq for seq in range(len(words)) if seq % 3 == part] for part in range(3)]
    expected = [(word if by_word else "", seq) for seq, word in enumerate(words) if word != "hidden"]
    expected.sort(reverse=descending)
    found = pages(words, lanes, limit=limit, descending=descending, by_word=by_word)
    assert found == [words[seq] for _, seq in expected]


def test_what_is_added_or_taken_away_behind_us_shifts_nothing() -> None:
    items = [f"item{seq}" for seq in range(10)]
    lane = list(range(10))

    def between() -> None:
        # The newest comes, and one that was already seen goes: an offset would skip or repeat now.
        items.append(f"item{len(items)}")
        lane.append(len(items) - 1)
        if 9 in lane:
            lane.remove(9)

    found = pages(items, [lane], limit=3, descending=True, between=between)
    assert found == [f"item{seq}" for seq in range(9, -1, -1)]


def test_the_last_page_has_no_cursor_even_if_it_is_full() -> None:
    items = ["a", "b", "c", "d"]
    _, cursor = page(items, [[0, 1, 2, 3]], cursor=None, limit=2, descending=False, keep=lambda _: True)
    last, end = page(items, [[0, 1, 2, 3]], cursor=cursor, limit=2, descending=False, keep=lambda _: True)
    assert last == ["c", "d"]
    assert end is None


def test_a_cursor_may_come_back_with_its_quotes() -> None:
    items = ["a", "b", "c"]
    _, cursor = page(items, [[0, 1, 2]], cursor=None, limit=1, descending=False, keep=lambda _: True)
    assert cursor is not None
    for given_back in (cursor, json.dumps(cursor)):
        found, _ = page(items, [[0, 1, 2]], cursor=given_back, limit=1, descending=False, keep=lambda _: True)
        assert found == ["b"]


def test_a_cursor_of_another_order_is_refused() -> None:
    items = ["a", "b", "c"]
    _, cursor = page(items, [[0, 1, 2]], cursor=None, limit=1, descending=False, keep=lambda _: True)
    with pytest.raises(RequestValidationError):
        page(items, [[0, 1, 2]], cursor=cursor, limit=1, descending=True, keep=lambda _: True)


@pytest.mark.parametrize("cursor", ["x", "abc", '"', '"abc', "eyJhIjoxfQ", "W10", "ÿ", "bnVsbA"])
def test_a_cursor_that_never_was_one_is_refused(cursor: str) -> None:
    with pytest.raises(RequestValidationError):
        page(["a"], [[0]], cursor=cursor, limit=1, descending=False, keep=lambda _: True)


@pytest.mark.parametrize(("text", "value"), [("$8", 800), ("$8.5", 850), ("$8.05", 805), ("$0.01", 1)])
def test_prices_are_read_exactly(text: str, value: int) -> None:
    assert cents(text) == value
    assert cents(dollars(value)) == value


@pytest.mark.parametrize(
    "text", ["", "$", "8.00", "$0", "$0.00", "$-1", "$NaN", "$inf", "$1e3", "$8.001", "$8.", "$ 8", "$８", "$8\n"]
)
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="price"):
        cents(text)
