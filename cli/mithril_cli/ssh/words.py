"""What the commands that dial take on their command line, and the line that `--show` prints."""

from __future__ import annotations

import argparse

from mithril_cli import output
from mithril_cli.command import Command, Option, build
from mithril_cli.errors import Usage

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = Option("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to run there; without it, a shell")
SHOW = Option("--show", action="store_true", help="print the command line of ssh instead of running it")


def remote_command(args: argparse.Namespace, table: Command, prog: str) -> list[str]:
    """The words after NAME, without our own options before them, which are taken like any others.

    `ml ssh train --node 1 -- nvidia-smi -L` is typed as often as `ml ssh --node 1 train nvidia-smi -L`, and no
    remote command begins with a dash.
    """
    words: list[str] = args.command
    if words and words[0].startswith("-") and words[0] != "--":
        options = tuple(one for one in table.options if one is COMMAND or one.flags[0].startswith("-"))
        rest = Command("", table.summary, table.run, options=options, about=table.about, examples=table.examples)
        build(rest, f"{prog} NAME").parse_args(words, args)
        words = args.command
    words = words[1:] if words[:1] == ["--"] else words
    if words and not "".join(words).strip():
        raise Usage("the command is empty: leave it out for a shell")  # an empty variable in a script, most likely
    return words


def checked_identity(path: str | None) -> str | None:
    """The file of a key. `ssh` would only mention that it is not there, and try without it."""
    if path is None:
        return None
    try:
        open(path, "rb").close()
    except OSError as error:
        raise Usage(f"the key {path} cannot be read: {error.strerror}") from None
    return path


def index(text: str) -> int:
    """An argument that counts from 0."""
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return int(text)


def show(argv: Sequence[str]) -> None:
    """A command line that can be pasted, as one line of standard output; arguments may be bytes that are no text."""
    import os
    import shlex
    import sys

    output.flush()
    if sys.stdout is not None:
        sys.stdout.buffer.write(os.fsencode(shlex.join(argv)) + b"\n")
