"""Help fits the terminal, and says nothing less for it."""

from __future__ import annotations

import pytest

from mithril_cli import commands, output
from mithril_cli import help as helping
from mithril_cli.command import build, examples_text, fold


@pytest.mark.parametrize("room", [72, 80, 200])
def test_no_line_of_any_help_is_longer_than_the_terminal_is_wide(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(output, "room", lambda: room)
    texts = [helping.overview()]
    for group in commands.GROUPS:
        table = commands.load(group)
        if group:
            texts.append(helping.group(group, table))
        texts += [build(one, f"ml {group} {one.name}").format_help() for one in table]
    lines = [line for text in texts for line in text.splitlines()]
    # A command that one could copy is never broken.
    copied = {line for group in commands.GROUPS for one in commands.load(group) for line, _ in one.examples}
    assert [line for line in lines if len(line) > room and line.strip() not in copied] == []


def test_what_an_example_is_for_stands_below_it_where_it_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "room", lambda: 30)
    assert examples_text((("ml a", "short"), ("ml bb", "short"))) == "examples:\n  ml a    short\n  ml bb   short"
    long = (("ml a", "what it is for"), ("ml bb --more", "short"))
    assert examples_text(long) == "examples:\n  ml a\n      what it is for\n  ml bb --more\n      short"


def test_prose_is_folded_at_words_behind_what_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "room", lambda: 20)
    assert fold("a gpu-instance that\nis there", "  x   ") == "  x   a gpu-instance\n      that is there"
