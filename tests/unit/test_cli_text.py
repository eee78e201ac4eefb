"""Names cannot break a table or a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithril_cli.text import LONGEST, clean, pad, shorten, width


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028break", r"line\u2028break"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("a" + "\u0301" * 5, "a" + "\u0301" * 3 + r"\u0301" * 2),
    ],
)
def test_what_could_harm_a_terminal_is_shown_escaped(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


@pytest.mark.parametrize("harmless", ["train-0", "naïve", "火車", "cafe\u0301", "a b", "🚂", ""])
def test_what_is_harmless_stays(harmless: str) -> None:
    assert clean(harmless) == harmless


@pytest.mark.parametrize(
    ("text", "columns"),
    [("train", 5), ("火車", 4), ("cafe\u0301", 4), ("🚂", 2), ("ｗide", 5), ("\u1100\u1161\u11a8", 2)],
)
def test_width_counts_columns_and_not_characters(text: str, columns: int) -> None:
    assert width(text) == columns


def test_shortening_never_splits_a_wide_character() -> None:
    assert shorten("火車火車", 4) == "火…"
    assert shorten("火車火車", 8) == "火車火車"
    assert shorten("train", 4) == "tra…"
    assert shorten("train", 1) == "…"
    assert shorten("train", 0) == ""


def test_marks_without_end_are_cut_by_their_number() -> None:
    assert len(shorten("a" + "\u0301" * 10_000, 100)) <= LONGEST + 1


@given(st.text(), st.integers(min_value=0, max_value=300))
def test_shown_text_is_printable_and_fits(text: str, room: int) -> None:
    shown = shorten(clean(text), room)
    assert shown.isprintable()
    assert width(shown) <= room
    assert width(pad(shown, 300)) == 300
