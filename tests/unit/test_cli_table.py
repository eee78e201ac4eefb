"""The column writer: what gives way, and that lines fit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mithril_cli.table import Column, fit, render
from mithril_cli.text import LONGEST, width

COLUMNS = (Column("NAME", least=6), Column("STATE"), Column("REGION", rank=1), Column("AGE", rank=2))


def test_columns_stand_under_each_other() -> None:
    assert render(COLUMNS[:2], [("train", "running"), ("火車x", "paused")]) == (
        "NAME   STATE\ntrain  running\n火車x  paused\n"
    )


def test_no_line_ends_in_spaces() -> None:
    lines = render(COLUMNS, [("a", "b", "", "")]).splitlines()
    assert lines == [line.rstrip() for line in lines]


def test_without_rows_the_header_stands_alone() -> None:
    assert render(COLUMNS[:2], []) == "NAME  STATE\n"


def test_into_a_pipe_nothing_is_cut_but_a_monstrous_name() -> None:
    long, monstrous = "n" * LONGEST, "m" * 10_000
    rows = [(long, "x"), (monstrous, "y")]
    lines = render(COLUMNS[:2], rows).splitlines()
    assert lines[1].split() == [long, "x"]
    assert lines[2].split() == ["m" * (LONGEST - 1) + "…", "y"]


def test_the_widest_gives_way_first_down_to_its_least() -> None:
    two = (Column("A", least=4), Column("B", least=4))
    assert fit(two, [30, 10], 32) == {0: 20, 1: 10}
    assert fit(two, [30, 10], 22) == {0: 10, 1: 10}
    assert fit(two, [30, 10], 12) == {0: 5, 1: 5}


def test_then_columns_are_left_out_the_highest_rank_first() -> None:
    widths = [20, 10, 13, 3]
    assert fit(COLUMNS, widths, 52) == dict(enumerate(widths))
    assert list(fit(COLUMNS, widths, 37)) == [0, 1, 2]
    assert list(fit(COLUMNS, widths, 20)) == [0, 1]


def test_what_is_left_out_gives_its_room_back() -> None:
    assert fit(COLUMNS, [20, 10, 13, 3], 35)[0] == 8


def test_a_colour_takes_no_room() -> None:
    def paint(column: int, text: str) -> str:
        return "31" if column == 1 and text == "failed" else ""

    shown = render(COLUMNS[:3], [("a", "failed", "us"), ("b", "running", "eu")], 60, paint)
    assert shown.splitlines()[1] == "a     \x1b[31mfailed \x1b[0m  us"
    assert shown.replace("\x1b[31m", "").replace("\x1b[0m", "") == render(
        COLUMNS[:3], [("a", "failed", "us"), ("b", "running", "eu")]
    )


CELL = st.one_of(st.text(max_size=40), st.text(alphabet="火a\u0301\x1b\n", max_size=60))


@given(st.lists(st.tuples(CELL, CELL, CELL, CELL), max_size=5), st.integers(min_value=1, max_value=120))
def test_every_line_fits_whatever_the_cells_hold(rows: list[tuple[str, ...]], room: int) -> None:
    lines = render(COLUMNS, rows, room).split("\n")
    assert len(lines) == len(rows) + 2
    assert lines.pop() == ""
    assert all(line.isprintable() and width(line) <= room for line in lines)
