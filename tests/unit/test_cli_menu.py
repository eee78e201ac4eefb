"""What a typed word stands for, and what is in sight of a long list."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mithril_cli.menu import Item, Menu, matches
from mithril_cli.picker import Choice, choose


def test_a_pick_by_name_goes_before_a_number() -> None:
    choices = [Choice(f"bid_{place}", (name, f"bid_{place}"), ()) for place, name in ((1, "2"), (2, "b"), (3, "b"))]
    assert choose("2", choices) == "bid_1"
    assert choose("1", choices) == "bid_1"
    assert choose("3", choices) == "bid_3"
    assert choose("bid_2", choices) == "bid_2"
    for wrong in ("b", "0", "4", "x", "²"):
        assert choose(wrong, choices) is None


def test_every_word_has_to_occur_and_whole_names_come_first() -> None:
    items = [Item(f"{name}  running", [name, f"bid_{name}"]) for name in ("my-train", "train-2", "Train", "eval")]
    assert matches(items, "train") == [2, 1, 0]
    assert matches(items, " TRAIN  running ") == [0, 1, 2]
    assert matches(items, "bid_train") == [2, 1]
    assert matches(items, "running eval") == [3]
    assert matches(items, "") == [0, 1, 2, 3]
    assert matches(items, "trian") == []


@given(
    st.integers(0, 40),
    st.integers(1, 12),
    st.lists(st.one_of(st.integers(-15, 15), st.sampled_from(["", "1", "2", "x"])), max_size=20),
)
def test_the_one_pointed_at_is_always_in_sight(count: int, room: int, steps: list[int | str]) -> None:
    menu = Menu([Item(f"item {number}", [str(number)]) for number in range(count)], "HEADER", "")
    for step in steps:
        menu.filter(step) if isinstance(step, str) else menu.move(step)
        lines = [(style, text) for style, text, *_ in menu.lines(room)][1:]
        if not menu.shown:
            assert menu.picked() is None
            assert len(lines) == 1
            continue
        [pointed] = [text for style, text in lines if style == "reverse"]
        picked = menu.picked()
        assert picked is not None
        assert pointed == f"> {menu.items[picked].line}\n"
        assert len(lines) == min(room, len(menu.shown)) or len(lines) <= room
        places = [menu.shown.index(int(text[2:].split()[1])) for _, text in lines]
        assert all(after == before + 1 for before, after in pairwise(places))
