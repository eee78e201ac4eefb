"""Standard output is the answer and nothing else; whatever else there is to say goes to standard error."""

from __future__ import annotations

import os
import sys

from mithril_cli.errors import Failure
from mithril_cli.text import clean

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from typing import TextIO

LONGEST_NOTE = 2000  # characters
RED, GREEN, YELLOW, DIM = "31", "32", "33", "2"
# What stands in for our own signs where the stream cannot carry them; each is as wide as the sign.
_PLAIN_SIGNS = {ord("…"): "~", ord("→"): ">"}


def write(text: str) -> None:
    """Put text on standard output as it stands. Cells and names must have been cleaned."""
    if sys.stdout is None:
        raise Failure("standard output is closed, so there is nowhere to put the answer")
    sys.stdout.write(_encodable(text, sys.stdout))


def flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def document(value: object) -> None:
    """One JSON document, in ASCII so that no name reaches a terminal raw; indented where a person reads."""
    import json

    write(json.dumps(value, indent=2 if terminal() else None) + "\n")


def note(message: str) -> None:
    """One line on standard error. It may hold anything: it is made harmless here, and quotes nothing at length."""
    shown = message if len(message) <= LONGEST_NOTE else f"{message[:LONGEST_NOTE]}…"
    aside(f"ml: {clean(shown)}\n")


def aside(text: str) -> None:
    """Put text on standard error as it stands: help that nobody asked for, a question."""
    if sys.stderr is not None:
        sys.stderr.write(_encodable(text, sys.stderr))
        sys.stderr.flush()


def terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def colours() -> bool:
    """Whether standard output may be coloured: on a terminal that has not been told otherwise."""
    return terminal() and not os.environ.get("NO_COLOR") and not dumb()


def dumb() -> bool:
    """Whether the terminal understands nothing but lines of text, or nobody has said what it understands."""
    return os.environ.get("TERM", "dumb") in ("dumb", "")


def room() -> int | None:
    """Columns of the terminal; None where the output is no terminal, and so has no width to fit."""
    if not terminal():
        return None
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and 0 < len(told) < 6 and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80  # a terminal may not know: 0
    except OSError:
        return 80


def reader_gone() -> bool:
    """Whether the reader of our pipe has closed it: a follower with nothing to write would never notice."""
    import select

    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "ascii"
    if text.isascii() or encoding.lower().replace("-", "") == "utf8":
        return text
    return text.translate(_PLAIN_SIGNS).encode(encoding, "backslashreplace").decode(encoding)
