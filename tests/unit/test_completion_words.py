"""Reading a line that is being typed, and writing a value into it; what is wanted at each place of the table."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithril_cli import commands
from mithril_cli.completion import place
from mithril_cli.completion.asking import STATE_WORDS
from mithril_cli.completion.scripts import _fish_quoted
from mithril_cli.completion.words import Line, can_be_typed, escaped

# Metavars of values that nobody could guess for the person who types.
FREE = {"N", "PRICE", "TIME", "INDEX", "SEQ", "AGE|TIME", "URL", "COMMAND", "VOLUME", "PATTERN"}
TYPEABLE = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), min_size=1).filter(can_be_typed)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", [""]),
        ("ml", ["ml"]),
        ("ml ", ["ml", ""]),
        ("ml  a\tb", ["ml", "a", "b"]),
        (r"ml two\ wo", ["ml", "two wo"]),
        ("ml 'two wo", ["ml", "two wo"]),
        ("ml 'two words' ", ["ml", "two words", ""]),
        ('ml "a\\"b\\c" \'\' x', ["ml", 'a"b\\c', "", "x"]),
        ("ml a\\", ["ml", "a"]),
        (r"ml 'a\'", ["ml", "a\\"]),
    ],
)
def test_a_line_is_read_up_to_the_cursor(line: str, words: list[str]) -> None:
    read = Line(line)
    assert read.words == words
    assert read.plain


@pytest.mark.parametrize("line", ["ml $x", "ml a;b", "ml `x`", 'ml "$x', 'ml "`', "ml a>b", "ml (", "a | ml "])
def test_what_the_shell_makes_something_else_of_is_known(line: str) -> None:
    assert not Line(line).plain


@given(st.lists(TYPEABLE, min_size=1))
def test_what_is_escaped_is_read_as_it_was_by_us_and_by_others(values: list[str]) -> None:
    line = " ".join(map(escaped, values))
    assert shlex.split(line) == values
    assert Line(line).words == values
    assert Line(line).plain


@given(TYPEABLE, st.data())
def test_from_any_beginning_of_it_a_value_is_completed(value: str, data: st.DataObject) -> None:
    """As readline does it: what it is given takes the place of what stands behind the last break."""
    typed = escaped(value[: data.draw(st.integers(0, len(value)))])
    given = Line(f"ml {typed}").for_bash(value)
    assert given == escaped(value)  # all that would break the word is escaped
    assert shlex.split(f"ml {given}") == ["ml", value]


@pytest.mark.parametrize(
    ("typed", "value", "given"),
    [
        ("a:", "a:b", "b"),
        ("--project=la", "--project=lab", "lab"),
        ("--project=a:b", "--project=a:b@c d", r"b\@c\ d"),
        ("a:b@", "a:b@c d", r"\@c\ d"),
        (r"a\:", "a:b", r"a\:b"),
        ("'two w", "two words", "two words"),
        ("'it", "it's", None),
        ('"two w', "two words", "two words"),
        ('"do', "do$x", None),
        ("a'b c", "ab cd", None),
        ("'a'b", "abc", None),
    ],
)
def test_breaks_and_open_quotes_are_heeded(typed: str, value: str, given: str | None) -> None:
    assert Line(f"ml {typed}").for_bash(value) == given


def test_a_fish_word_is_quoted_as_fish_does() -> None:
    assert _fish_quoted("it's a\\b") == r"'it\'s a\\b'"
    assert Line(r"ml 'it\'s a\\b' ", "fish").words == ["ml", r"it's a\b", ""]


def test_every_option_is_completed_or_known_to_be_free() -> None:
    for group in commands.GROUPS:
        for command in commands.load(group):
            for option in command.options:
                if place.takes_value(option) and not option.settings.get("choices"):
                    metavar = option.settings.get("metavar")
                    known = metavar in place.BY_METAVAR or option.flags[-1] in place.BY_FLAG or metavar in FREE
                    assert known, (group, command.name, option.flags)


@pytest.mark.parametrize(
    ("line", "kind", "start"),
    [
        ("inst", place.WORDS, "inst"),
        ("instance ", place.WORDS, ""),
        ("instance list --", place.WORDS, "--"),
        ("instance list -s ", "states", ""),
        ("instance list --state=p", "states", "p"),
        ("instance list x", place.NOTHING, "x"),
        ("instance info ", "bids", ""),
        ("instance info train ", place.NOTHING, ""),
        ("instance info --json tr", "bids", "tr"),
        ("instance info -- -x", "bids", "-x"),
        ("instance info -plab ", "bids", ""),
        ("instance info -p ", "projects", ""),
        ("instance create -n ", place.NOTHING, ""),
        ("instance create --startup-script ", place.FILES, ""),
        ("instance nothing ", place.NOTHING, ""),
        ("nothing ", place.NOTHING, ""),
        ("launch ", place.FILES, ""),
        ("events --type ", "events", ""),
        ("setup --profile ", "profiles", ""),
        ("ssh ", "bids", ""),
        ("ssh train -", place.NOTHING, "-"),
        ("ssh train ls ", place.NOTHING, ""),
    ],
)
def test_what_is_wanted_is_told_by_the_table(line: str, kind: str, start: str) -> None:
    sought = place.find(line.split(" "))
    assert (sought.kind, sought.start) == (kind, start)


def test_an_option_is_offered_once_unless_it_may_be_repeated() -> None:
    words = [word for word, _ in place.find(["instance", "create", "--wait", "--ssh-key", "a", "--"]).words]
    assert "--wait" not in words
    assert "--ssh-key" in words
    assert "--help" in words


def test_states_are_each_offered_once() -> None:
    assert len(set(STATE_WORDS)) == len(STATE_WORDS)
