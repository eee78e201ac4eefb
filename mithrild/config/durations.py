"""Durations as people write them: "250ms", "5s", "4m", "2h", "1d", and joined, "1h30m"."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
# Each unit once, the largest first. Nine digits keep the longest sum inside what a timedelta can hold.
_WRITTEN = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _MILLISECONDS))


def parse_duration(text: str) -> timedelta:
    """Read a duration. Raises ValueError, whose words are fit for a person."""
    written = _WRITTEN.fullmatch(text.strip())
    if written is None or not any(written.groups()):
        raise ValueError(f'not a duration: "{text[:40]}" (write it like "250ms", "5s", "4m", "2h", "1d" or "1h30m")')
    counts = zip(written.groups(default="0"), _MILLISECONDS.values(), strict=True)
    return timedelta(milliseconds=sum(int(count) * unit for count, unit in counts))


def format_duration(length: timedelta) -> str:
    """The shortest way to write a duration of whole milliseconds that is not below zero."""
    left = length // timedelta(milliseconds=1)
    words = []
    for unit, size in _MILLISECONDS.items():
        count, left = divmod(left, size)
        if count:
            words.append(f"{count}{unit}")
    return "".join(words) or "0s"


def within(least: str, most: str) -> BeforeValidator:
    """A validator that reads a duration and keeps it inside a range, both ends included."""
    return BeforeValidator(_reader(least, most))


def within_or(word: str, least: str, most: str) -> BeforeValidator:
    """The same, or `word` for no limit: then None."""
    read = _reader(least, most)

    def check(value: object) -> timedelta | None:
        if value is None or value == word:
            return None
        try:
            return read(value)
        except ValueError as error:
            raise ValueError(f'{error}; "{word}" is the other choice') from None

    return BeforeValidator(check)


def _reader(least: str, most: str) -> Callable[[object], timedelta]:
    low, high = parse_duration(least), parse_duration(most)

    def read(value: object) -> timedelta:
        if isinstance(value, timedelta):
            length = value
        elif isinstance(value, str):
            length = parse_duration(value)
        else:
            raise ValueError('must be a duration in quotes, such as "5s"')
        if not low <= length <= high:
            raise ValueError(f"{format_duration(length)} is outside {least} to {most}")
        return length

    return read


Wait = Annotated[timedelta, within("100ms", "5m")]
Interval = Annotated[timedelta, within("100ms", "7d")]
Grace = Annotated[timedelta, within("0s", "5m")]
Timeout = Annotated[timedelta, within("100ms", "1d")]
Age = Annotated[timedelta, within("1s", "365d")]
# How long rows are kept. What was told a week ago is needed no more by anything that runs.
Kept = Annotated[timedelta | None, within_or("forever", "7d", "36500d")]
Span = Annotated[timedelta, within("1h", "36500d")]
Every = Annotated[timedelta | None, within_or("never", "1m", "366d")]
