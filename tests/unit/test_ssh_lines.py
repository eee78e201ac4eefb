"""What several programs print at once, in lines."""

from __future__ import annotations

import pytest

from mithril_cli.ssh.stream import LONGEST_LINE, Lines


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([b"a\nb\n"], b"> a\n> b\n"),
        ([b"a", b"b", b"c\n"], b"> abc\n"),
        ([b"a\n\nb"], b"> a\n> \n> b\n"),
        ([b"no end"], b"> no end\n"),
        ([b"dos\r\nlines\r", b"\n"], b"> dos\n> lines\n"),
        ([b" 10%\r 20%\r", b" 30%\n"], b">  10%\n>  20%\n>  30%\n"),
        ([b"back\r"], b"> back\n"),
        ([b"\xff\xfe\n"], b"> \xff\xfe\n"),
        ([], b""),
    ],
)
def test_each_line_has_its_word_in_front(pieces: list[bytes], shown: bytes) -> None:
    lines = Lines(b"> ")
    assert b"".join([*map(lines.feed, pieces), lines.end()]) == shown


def test_a_line_comes_out_as_soon_as_it_is_whole() -> None:
    lines = Lines(b"> ")
    assert lines.feed(b"one\ntw") == b"> one\n"
    assert lines.feed(b"o\n") == b"> two\n"


def test_a_line_without_an_end_does_not_grow_without_bounds() -> None:
    lines = Lines(b"> ")
    out = b"".join(lines.feed(b"x" * 1000) for _ in range(1000))
    assert len(out) > 1000 * 1000 - 2 * LONGEST_LINE
