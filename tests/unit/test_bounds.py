"""Ranges of numbers as comparisons tell them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet.bounds import Bounds, parse


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        (">=4", 4, None),
        (">4", 5, None),
        ("<= 4", None, 4),
        ("<4", None, 3),
        ("4", 4, 4),
        ("=4", 4, 4),
        (">=2, <8", 2, 7),
        ("<8,>=2", 2, 7),
        (">=2, >=3, <9, <8", 3, 7),
        (">5, <5", 6, 4),
    ],
)
def test_what_is_written_and_what_it_means(text: str, least: int | None, most: int | None) -> None:
    assert parse(text, int) == Bounds(text, least, most)


@pytest.mark.parametrize("text", ["", " ", ">", ">=", "><4", "> >4", ">=2,", ",", "=<4", "!=4"])
def test_what_is_no_comparison_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|invalid literal"):
        parse(text, int)


@given(
    parts=st.lists(st.tuples(st.sampled_from([">", ">=", "<", "<=", "="]), st.integers(-9, 9)), min_size=1, max_size=4),
    value=st.integers(-12, 12),
    lowest=st.integers(-12, 12),
)
def test_it_admits_what_each_comparison_does(parts: list[tuple[str, int]], value: int, lowest: int) -> None:
    bounds = parse(", ".join(f"{sign}{number}" for sign, number in parts), int)

    def admitted(one: int) -> bool:
        holds = {">": int.__gt__, ">=": int.__ge__, "<": int.__lt__, "<=": int.__le__, "=": int.__eq__}
        return all(holds[sign](one, number) for sign, number in parts)

    assert bounds.admit(value) is admitted(value)
    assert bounds.admit_any_from(lowest) is any(admitted(one) for one in range(lowest, 30))
