"""Commands that are the vendor's alone: their own `ml` takes over, with the same words, streams and process."""

from __future__ import annotations

import os
import sys

from mithril_cli import output
from mithril_cli.errors import Failure

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Mapping

# Holds the programs that were handed over to on the way here, so that wrappers around us cannot go round for ever.
GUARD = "MITHRIL_CLI_HANDED_OVER"
MOST_HANDOVERS = 6  # their programs may well call `ml` again
OURS = b"mithril_cli"  # stands in every entry script of ours, whoever installed it
LOOKED_AT = 8192  # bytes of a program


class NobodyThere(Failure):
    """As a shell does it when there is no such command."""

    exit_code = 127


class CannotRun(Failure):
    exit_code = 126


def hand_over(argv: list[str]) -> int:
    """Becomes the vendor's `ml`. Raises Failure where there is none, or none but what leads back here."""
    program, env = choose(argv[0], os.environ)
    output.flush()
    _as_at_start()
    try:
        os.execve(program, [program, *argv], env)  # noqa: S606  # no shell is wanted
    except OSError as error:
        raise CannotRun(f"{program} cannot be run: {error.strerror}") from None


def choose(word: str, environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The program to become, and its environment."""
    before = [each for each in environ.get(GUARD, "").split(os.pathsep) if each]
    found = theirs(environ.get("PATH") or os.defpath)
    if not found:
        raise NobodyThere(
            f"`ml {word}` is the vendor's, and their `ml` is not on PATH: install the package mithril-client into an"
            " environment of its own, and put its bin folder on PATH behind ours"
        )
    if len(before) >= MOST_HANDOVERS:
        raise NobodyThere(f"`ml {word}` goes round in circles: {before[-1]} leads back to this `ml`; take it off PATH")
    program = min(found, key=before.count)  # what has led back here comes after what has not been tried
    return program, {**environ, GUARD: os.pathsep.join([*before, program])}


def theirs(path: str) -> list[str]:
    """Every `ml` on the path that is none of ours, in order."""
    programs = (os.path.join(folder, "ml") for folder in path.split(os.pathsep) if os.path.isabs(folder))
    return [each for each in dict.fromkeys(programs) if _is_program(each) and not _is_ours(each)]


def _is_program(file: str) -> bool:
    return os.path.isfile(file) and os.access(file, os.X_OK)


def _is_ours(file: str) -> bool:
    try:
        if os.path.samefile(file, sys.argv[0]):
            return True
    except OSError:
        pass
    try:
        with open(file, "rb") as stream:
            return OURS in stream.read(LOOKED_AT)
    except OSError:  # it may be run and not read: that is not how ours is installed
        return False


def _as_at_start() -> None:
    """Undoes what Python changes at its start and a new program would inherit."""
    import signal

    for name in ("SIGPIPE", "SIGXFSZ"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_DFL)
