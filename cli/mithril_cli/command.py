"""What a command is, and how the table of them becomes parsers and help."""

from __future__ import annotations

import argparse
import os

from mithril_cli import output
from mithril_cli.errors import Usage
from mithril_cli.text import LONGEST, clean, shorten

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Run = Callable[[argparse.Namespace], int]

HELP_WIDTH = 100


class Option:
    """One argument of a command, as `argparse.ArgumentParser.add_argument` takes it."""

    __slots__ = ("flags", "settings")

    def __init__(self, *flags: str, **settings: Any) -> None:
        self.flags = flags
        self.settings = settings


class Command:
    """One line of the table: a verb of a group, or a group that is itself the command (`name` is then "")."""

    __slots__ = ("about", "examples", "name", "options", "run", "summary")

    def __init__(
        self,
        name: str,
        summary: str,
        run: Run,
        *,
        options: tuple[Option, ...] = (),
        about: str = "",
        examples: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.name = name
        self.summary = summary
        self.run = run
        self.options = options
        self.about = about
        self.examples = examples


class Elsewhere(Command):
    """A command that another group's module makes: imported once more of it is asked for than its name and summary."""

    __slots__ = ("_find",)

    def __init__(self, name: str, summary: str, find: Callable[[], Command]) -> None:
        self.name = name
        self.summary = summary
        self._find = find

    def __getattr__(self, name: str) -> Any:
        """Called for what is not set: the first time, for everything else that a command has."""
        if name not in Command.__slots__:
            raise AttributeError(name)
        found = self._find()
        self.run, self.options, self.about, self.examples = found.run, found.options, found.about, found.examples
        return getattr(self, name)


def word(text: str) -> str:
    """An argument that says something: a script's variable that is not set is no value."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


NAME = Option("name", metavar="NAME", nargs="?", type=word, help="a bid's name or fid; without it, pick one")
CLUSTER = Option(
    "cluster", metavar="CLUSTER", nargs="?", type=word, help="a cluster's name or fid; without it, pick one"
)
YES = Option("-y", "--yes", action="store_true", help="do not ask")
IDENTITY = Option("-i", "--identity", metavar="PATH", help="offer this key alone; else ssh finds them as ever")
JSON = Option("--json", action="store_true", help="print one JSON document")
PROJECT = (
    Option(
        "-p",
        "--project",
        metavar="PROJECT",
        type=word,
        help="a project that the daemon watches, before MITHRIL_PROJECT",
    ),
    Option("--all-projects", action="store_true", help="across all projects that the daemon watches"),
)


def project_query(args: argparse.Namespace) -> list[tuple[str, object]]:
    """The part of a query that says whose bids are meant: the configured project, unless told otherwise."""
    if args.project is not None and args.all_projects:
        raise Usage("-p and --all-projects exclude each other")
    if args.all_projects:
        return [("all_projects", 1)]
    return [("project", chosen_project(args.project))]


def chosen_project(named: str | None) -> str | None:
    """What -p names, else MITHRIL_PROJECT of this shell, as the vendor's users set it. None: the daemon's own."""
    return named if named is not None else os.environ.get("MITHRIL_PROJECT", "").strip() or None


def positive(text: str) -> int:
    """An argument that counts something: from 1 up."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def span(text: str) -> int:
    """An argument that is a length of time, in seconds: `90`, `10m`, `2h`, `1h30m`."""
    from mithril_cli import times

    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else times.span(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90, 10m or 2h")
    return seconds


class Parser(argparse.ArgumentParser):
    """One command's parser. What it dislikes becomes a Usage error, one line like every other."""

    def error(self, message: str) -> NoReturn:
        # It quotes what was typed, and that may be a whole file.
        raise Usage(f"{shorten(clean(message), LONGEST)}; try: {self.prog} -h")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        # The width is given because argparse would import shutil for it, on every start and not only for help.
        super().__init__(prog, max_help_position=28, width=help_width() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Prose is folded to the terminal, paragraph by paragraph; lines that begin with a blank stay as they are."""
        return "\n\n".join(part if "\n " in part else fold(part) for part in text.split("\n\n"))


def help_width() -> int:
    """How wide help is: as wide as the terminal, and no wider than is well read."""
    return min(output.room() or HELP_WIDTH, HELP_WIDTH)


def fold(prose: str, first: str = "") -> str:
    """Prose in lines that fit, behind what comes `first`."""
    from textwrap import fill

    return fill(
        " ".join(prose.split()),
        help_width(),
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_on_hyphens=False,
        break_long_words=False,
    )


def build(command: Command, prog: str) -> argparse.ArgumentParser:
    # Abbreviated options would make a script mean something else once an option is added.
    parser = Parser(
        prog=prog,
        description=f"{command.summary}.\n\n{command.about}".strip(),
        epilog=examples_text(command.examples),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    for option in command.options:
        parser.add_argument(*option.flags, **option.settings)
    return parser


def examples_text(examples: tuple[tuple[str, str], ...]) -> str:
    """Beside each line what it is for; or below it, where one would not fit."""
    wide = max((len(line) for line, _ in examples), default=0)
    lines = [f"  {line.ljust(wide)}   {meaning}" for line, meaning in examples]
    if max(map(len, lines), default=0) > help_width():
        lines = [part for line, meaning in examples for part in (f"  {line}", f"      {meaning}")]
    return "\n".join(["examples:", *lines])
