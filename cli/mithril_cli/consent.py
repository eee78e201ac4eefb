"""Asking before something is done that cannot be undone. The question goes to standard error, its answer is typed."""

from __future__ import annotations

import sys

from mithril_cli import output, picker
from mithril_cli.errors import Failure, Usage
from mithril_cli.text import clean


class Declined(Failure):
    """The person who was asked said no: nothing was done."""


def need_somebody(what: str, *, yes: bool) -> None:
    """Raises Usage where nobody can be asked, and -y was not said. To be called before anything else is done."""
    if not yes and not picker.on_terminal():
        raise Usage(f"{what} has to be confirmed, and there is no terminal to ask on: say -y")


def ask(question: str, refused: str) -> None:
    """Raises Declined, with `refused` as its line, unless a person types y or yes. Anything else is no."""
    output.aside(f"{clean(question)} [y/N] ")
    typed = sys.stdin.buffer.readline() if sys.stdin is not None else b""
    if not typed:
        output.aside("\n")  # Ctrl-D leaves the cursor behind the question
    if typed.strip().lower() not in (b"y", b"yes"):
        raise Declined(refused)
