"""Durations: what is read, what is refused, and that writing and reading agree."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.config import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("5s", timedelta(seconds=5)),
        ("4m", timedelta(minutes=4)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1h30m", timedelta(minutes=90)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        (" 90s ", timedelta(seconds=90)),
        ("0s", timedelta()),
    ],
)
def test_what_is_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", " ", "5", "s", "5 s", "-5s", "+5s", "1.5h", "5S", "30m1h", "5s5s", "1w", "5s!", "٥s", "9999999999s"]
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    length = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(length)) == length


@given(st.text(alphabet="0123456789dhms .-", max_size=30) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        length = parse_duration(text)
    except ValueError:
        return
    assert parse_duration(format_duration(length)) == length
