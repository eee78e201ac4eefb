"""The entry of `ml`: finds the command, runs it, and turns whatever happens into an exit code."""

from __future__ import annotations

import os
import sys

from mithril_cli import commands, output
from mithril_cli.errors import Failure, Usage
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mithril_cli.command import Command

EXIT_PIPE_CLOSED = 141  # what a shell shows for a program that SIGPIPE ended
VERSION_PATIENCE = 2.0  # seconds; `ml --version` is about us, and does not wait long for the daemon


def main(argv: list[str] | None = None) -> int:
    """Run one command line, and return its exit code."""
    try:
        code = run(sys.argv[1:] if argv is None else argv)
        output.flush()
        return code
    except KeyboardInterrupt:
        return _ended(wire.EXIT_INTERRUPTED)
    except BrokenPipeError:
        return _ended(EXIT_PIPE_CLOSED)
    except Failure as failure:
        return _ended(failure.exit_code, str(failure))
    except SystemExit as end:  # argparse, after it has printed a command's help
        return _ended(end.code if isinstance(end.code, int) else wire.EXIT_FAILED)
    except OSError as error:  # what the socket and the files may raise is a Failure by now: this is our own output
        return _ended(wire.EXIT_FAILED, f"the answer cannot be written: {error.strerror or error}")


def run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        from mithril_cli import help

        output.write(help.overview())
        return wire.EXIT_DONE
    if argv[0] in ("-V", "--version"):
        return _version()
    group, rest = argv[0], argv[1:]
    if group in commands.HANDED_OVER:
        from mithril_cli.handover import hand_over

        return hand_over(argv)
    if group == "__complete":
        from mithril_cli.completion import quietly

        return quietly(rest)
    if group not in commands.GROUPS:
        raise _unknown(group, "ml", commands.GROUPS)
    table = commands.load(group)
    if not table[0].name:
        return _run(table[0], f"ml {group}", rest)
    if not rest or rest[0] in ("-h", "--help"):
        from mithril_cli import help

        text = help.group(group, table)
        if rest:
            output.write(text)
            return wire.EXIT_DONE
        output.aside(text)
        return wire.EXIT_USAGE
    for command in table:
        if command.name == rest[0]:
            return _run(command, f"ml {group} {command.name}", rest[1:])
    raise _unknown(rest[0], f"ml {group}", [command.name for command in table])


def _run(command: Command, prog: str, argv: list[str]) -> int:
    from mithril_cli.command import build

    return command.run(build(command, prog).parse_args(argv))


def _unknown(word: str, prog: str, known: Iterable[str]) -> Usage:
    """What to say of a word that is no command."""
    from mithril_cli.text import clean, shorten

    word = shorten(clean(word), 60)
    if word.startswith("-"):
        return Usage(f"unknown option {word}; try: {prog} -h")
    from difflib import get_close_matches

    near = get_close_matches(word[:100], list(known), 1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return Usage(f"there is no command `{prog} {word}`{meant}; try: {prog} -h")


def _version() -> int:
    from mithril_cli import client
    from mithrild import __version__

    output.write(f"ml {__version__}\n")
    try:
        theirs = str(client.get(f"/{wire.API_VERSION}/status", timeout=VERSION_PATIENCE).get("version"))
    except Failure:
        return wire.EXIT_DONE
    from mithril_cli.text import clean

    output.write(f"mithrild {clean(theirs)}\n")
    if theirs != __version__:
        output.note("the two versions differ: restart the daemon, or update the older one")
    return wire.EXIT_DONE


def _ended(code: int, message: str = "") -> int:
    """The end of a command that did not run through: say why, and leave nothing for the interpreter to flush.

    Without that, Python would find the broken pipe again at exit and complain about it.
    """
    from contextlib import suppress

    try:
        output.flush()
    except (OSError, KeyboardInterrupt):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if message:
        with suppress(OSError):  # if nobody listens there either, the exit code has to do
            output.note(message)
    return code


if __name__ == "__main__":
    sys.exit(main())
