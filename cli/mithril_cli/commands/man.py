"""`ml man`: the manual page."""

from __future__ import annotations

from mithril_cli import output
from mithril_cli.command import Command
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse


def show_page(_: argparse.Namespace) -> int:
    from mithril_cli.manpage import page

    output.write(page())
    return wire.EXIT_DONE


COMMANDS = (
    Command(
        "",
        "Print the manual page, as `man` reads it",
        show_page,
        examples=(
            ("ml man | man -l -", "read it"),
            ("ml man > ~/.local/share/man/man1/ml.1", "keep it, for `man ml`"),
        ),
    ),
)
