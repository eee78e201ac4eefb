"""Prices become exact cents, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet.price import cents, spelled, verbatim


@pytest.mark.parametrize(
    ("words", "exact"),
    [
        ("$15.60", 1560),
        ("$1,200.00", 120_000),
        ("$1,234,567.8", 123_456_780),
        ("15.6", 1560),
        ("1560", 156_000),  # words count dollars …
        (1560, 1560),  # … and only a JSON integer counts cents
        ("$8", 800),
        (" $ 8.00 ", 800),
        ("$.05", 5),
        ("$0", 0),
        (0, 0),
        ("$1.0000", 100),
        ("$1.005", None),
        ("$0.001", None),
        ("", None),
        ("$", None),
        (".", None),
        ("5.", None),
        ("NaN", None),
        ("inf", None),
        ("1e3", None),
        ("abc", None),
        ("$1,20.00", None),
        ("$12,00", None),
        ("-$1.00", None),
        ("$-1.00", None),
        (-1, None),
        ("€5.00", None),
        ("٣", None),
        ("$1.00\x00", None),
        ("9" * 30, None),
        (10**30, None),
        (15.6, None),
        (True, None),
        (None, None),
        (["$1.00", "$2.00"], None),
        ({"amount": 1}, None),
    ],
)
def test_cents(words: object, exact: int | None) -> None:
    assert cents(words) == exact


@given(st.integers(0, 10**12), st.booleans(), st.sampled_from(["$", "", "$ "]))
def test_every_amount_survives_its_writing(amount: int, grouped: bool, sign: str) -> None:
    dollars, rest = divmod(amount, 100)
    assert cents(f"{sign}{dollars:{',' if grouped else ''}}.{rest:02}") == amount


@given(st.integers(0, 10**9), st.integers(1, 999).filter(lambda mills: mills % 10))
def test_what_falls_between_two_cents_is_never_rounded(dollars: int, mills: int) -> None:
    assert cents(f"${dollars}.{mills:03}") is None


@given(st.text() | st.integers() | st.floats() | st.none() | st.lists(st.text()))
def test_anything_gives_cents_or_none(words: object) -> None:
    exact = cents(words)
    assert exact is None or 0 <= exact <= 10**12


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("$1.005", "$1.005"),
        (None, ""),
        (1560, "1560"),
        (1.5, "1.5"),
        ([1], "?"),
        ("\ud800", "?"),
        ("x" * 999, "x" * 100),
    ],
)
def test_verbatim(words: object, kept: str) -> None:
    assert verbatim(words) == kept


@pytest.mark.parametrize(
    ("words", "one"),
    [("$29", "$29.00"), ("29.0", "$29.00"), ("$29.00", "$29.00"), ("1,200", "$1200.00"), ("dear", "dear"), ("", "")],
)
def test_one_price_has_one_spelling(words: str, one: str) -> None:
    assert spelled(words) == one
