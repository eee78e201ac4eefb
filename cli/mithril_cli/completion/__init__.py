"""Completion at the shell's prompt: what may follow the words there are, from the table and the daemon's record."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_FILES = 10  # what is wanted here is a file, which shells complete best


def complete(argv: Sequence[str]) -> int:
    """`ml __complete SHELL …`: a candidate a line. Whatever goes wrong, nothing is said: somebody is typing.

    bash and fish give the line up to the cursor, zsh its words. For bash a candidate stands as it has to be typed;
    the others quote by themselves, and take a description behind a tab.
    """
    from mithril_cli import output
    from mithril_cli.completion import asking, place, words
    from mithril_cli.text import clean

    shell, rest = argv[0], list(argv[1:])
    typed = words.Line(rest[0] if rest else "", shell) if shell != "zsh" else None
    if typed is not None and not typed.plain:
        return 0
    sought = place.find(rest if typed is None else typed.words[1:])
    if sought.kind == place.FILES:
        return EXIT_FILES
    lines = []
    for value, about in asking.fitting(sought):
        shown: str | None = sought.before + value
        if shell == "bash" and typed is not None and shown is not None:
            shown = typed.for_bash(shown)
        elif about:
            shown = f"{shown}\t{clean(about)}"
        if shown is not None:
            lines.append(f"{shown}\n")
    output.write("".join(dict.fromkeys(lines)))
    return 0


def quietly(argv: Sequence[str]) -> int:
    """The same, with every failure turned into no candidates."""
    try:
        return complete(argv) if argv else 0
    except OSError:
        raise  # our own output: `main` knows what to do
    except Exception:  # a traceback would be written into the line that is being typed
        return 0
