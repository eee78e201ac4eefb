"""What is wanted at the cursor, by the table of commands: which kind of value, or which fixed words."""

from __future__ import annotations

import argparse

from mithril_cli import commands

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.command import Command, Option

WORDS, FILES, NOTHING = "words", "files", "nothing"
# By what stands for the value in the help; a flag that means another thing by it comes first.
BY_FLAG = {"--name": NOTHING, "--profile": "profiles", "--type": "events", "--name-pattern": "bids"}
BY_METAVAR = {
    "NAME": "bids",
    "CLUSTER": "clusters",
    "PROJECT": "projects",
    "REGION": "regions",
    "TYPE": "types",
    "STATE": "states",
    "HOOK": "hooks",
    "DELIVERY": "deliveries",
    "EVENT": "event-ids",
    "SILENCE": "silences",
    "PATTERN": "bids",
    "KEY": "ssh-keys",
    "FILE": FILES,
    "PATH": FILES,
}
HELP = ("--help", "tells what it does")


class Sought:
    """A kind of value, or fixed words with what they mean; the beginning they have; and what was given before.

    `before` is what of the current word comes ahead of the value: the `--project=` of `--project=la`.
    """

    __slots__ = ("before", "given", "group", "kind", "start", "words")

    def __init__(self, kind: str, start: str, words: Sequence[tuple[str, str]] = (), before: str = "") -> None:
        self.kind = kind
        self.start = start
        self.words = words
        self.before = before
        self.group = ""
        self.given: dict[str, str] = {}


def find(words: Sequence[str]) -> Sought:
    """What the last of the words may become. They begin behind `ml`."""
    *before, current = words or [""]
    if not before:
        handed = [(word, "the vendor's") for word in commands.HANDED_OVER]
        options = [HELP, ("--version", "our version and the daemon's")]
        return Sought(WORDS, current, [*commands.GROUPS.items(), *handed, *options])
    group, *rest = before
    if group in commands.HANDED_OVER:
        return Sought(FILES, current)
    if group not in commands.GROUPS:
        return Sought(NOTHING, current)
    table = commands.load(group)
    if table[0].name:
        if not rest:
            return Sought(WORDS, current, [*((one.name, one.summary) for one in table), HELP])
        named = [one for one in table if one.name == rest[0]]
        if not named:
            return Sought(NOTHING, current)
        sought = _in_command(named[0], rest[1:], current)
    else:
        sought = _in_command(table[0], rest, current)
    sought.group = group
    return sought


class _Reader:
    """Goes through the words of a command as argparse would."""

    def __init__(self, command: Command) -> None:
        self.flags = {flag: option for option in command.options for flag in option.flags if flag.startswith("-")}
        self.positionals = [option for option in command.options if not option.flags[0].startswith("-")]
        self.given: dict[str, str] = {}
        self.used: list[Option] = []
        self.waiting: Option | None = None  # an option whose value comes next
        self.only_values = False  # `--` was said
        self.place = 0

    @property
    def positional(self) -> Option | None:
        """The one that comes next; the last one may take many."""
        return self.positionals[self.place] if self.place < len(self.positionals) else None

    def read(self, word: str) -> None:
        if self.waiting is not None:
            self.given[self.waiting.flags[-1]] = word
            self.waiting = None
        elif self.only_values or not word.startswith("-") or word == "-":
            if self.positional is None or not _takes_the_rest(self.positional):
                self.place += 1
        elif word == "--":
            self.only_values = True
        else:
            self._read_option(word)

    def _read_option(self, word: str) -> None:
        flag, equals, value = word.partition("=")
        if not word.startswith("--"):
            flag, equals, value = word[:2], word[2:], word[2:].removeprefix("=")
        option = self.flags.get(flag)
        if option is None:
            return
        self.used.append(option)
        if takes_value(option):
            if equals:
                self.given[option.flags[-1]] = value
            else:
                self.waiting = option


def _in_command(command: Command, before: Sequence[str], current: str) -> Sought:
    reader = _Reader(command)
    for word in before:
        reader.read(word)
    rest = reader.positional
    sought = Sought(NOTHING, current)
    if rest is not None and _takes_the_rest(rest) and reader.place:
        pass  # a command of another machine's: its words are not ours
    elif reader.waiting is not None:
        sought = _value(reader.waiting, current)
    elif current.startswith("-") and not reader.only_values:
        flag, equals, value = current.partition("=")
        option = reader.flags.get(flag)
        if equals and option is not None and takes_value(option):
            sought = _value(option, value, f"{flag}=")
        else:
            sought = Sought(WORDS, current, [*_offered(command, reader.used), HELP])
    elif rest is not None:
        sought = _value(rest, current)
    sought.given = reader.given
    return sought


def _offered(command: Command, used: Sequence[Option]) -> list[tuple[str, str]]:
    """The long spelling of every option that may still come."""
    return [
        (option.flags[-1], str(option.settings.get("help", "")))
        for option in command.options
        if option.flags[0].startswith("-") and (option not in used or option.settings.get("action") == "append")
    ]


def _value(option: Option, start: str, before: str = "") -> Sought:
    if choices := option.settings.get("choices"):
        return Sought(WORDS, start, [(str(choice), "") for choice in choices], before)
    return Sought(kind_of(option), start, before=before)


def kind_of(option: Option) -> str:
    metavar = str(option.settings.get("metavar"))
    return BY_FLAG.get(option.flags[-1]) or BY_METAVAR.get(metavar, NOTHING)


def takes_value(option: Option) -> bool:
    return option.settings.get("action", "store") in ("store", "append")


def _takes_the_rest(option: Option) -> bool:
    return option.settings.get("nargs") in (argparse.REMAINDER, "*", "+")
