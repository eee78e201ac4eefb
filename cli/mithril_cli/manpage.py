"""The manual page, in roff, from the table of commands."""

from __future__ import annotations

import time

from mithril_cli import commands, help
from mithril_cli.command import build
from mithrild import __version__

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mithril_cli.command import Command, Option

ENVIRONMENT = (
    ("MITHRILD_SOCKET", "where the daemon listens, if not at one of the usual places"),
    ("MITHRIL_PROFILE", "the profile of config.yaml to go by"),
    ("MITHRIL_PROJECT", "the project that is meant where no -p names one"),
    ("MITHRIL_API_KEY, MITHRIL_PROJECT, MITHRIL_API_URL", "go before what the profile says, for `ml setup`"),
    ("NO_COLOR", "if it is not empty, nothing is coloured"),
    ("COLUMNS", "how wide tables may be on a terminal"),
    ("KUBECONFIG", "the file that `ml k8s update-kubeconfig` merges into"),
)
FILES = (
    ("$XDG_CONFIG_HOME/mithril/config.yaml", "the key and the project, as `ml setup` writes them"),
    ("$XDG_RUNTIME_DIR/mithrild/mithrild.sock", "the daemon's socket"),
)


def page() -> str:
    lines = [
        f'.TH ML 1 "{time.strftime("%Y-%m-%d", time.gmtime())}" "mithrild {text(__version__)}" "User Commands"',
        ".SH NAME",
        text("ml - spot bids and instances on the Mithril marketplace"),
        ".SH SYNOPSIS",
        ".B ml",
        r"\fICOMMAND\fR [\fIOPTIONS\fR]",
        ".SH DESCRIPTION",
        text(help.ABOUT),
        ".SH COMMANDS",
        *(line for group in commands.GROUPS for one in commands.load(group) for line in command(group, one)),
        ".SH COMMANDS OF THE VENDOR",
        text(f"{', '.join(commands.HANDED_OVER)}: {help.HANDED_OVER}."),
        ".SH EXIT STATUS",
        *definitions([(str(code), meaning) for code, meaning in help.EXIT_CODES]),
        ".SH ENVIRONMENT",
        *definitions(ENVIRONMENT),
        ".SH FILES",
        *definitions(FILES),
        ".SH EXAMPLES",
        *definitions(help.EXAMPLES),
        ".SH SEE ALSO",
        r"\fBssh\fR(1), \fBkubectl\fR(1), \fBsystemctl\fR(1)",
    ]
    return "\n".join(lines) + "\n"


def command(group: str, one: Command) -> Iterator[str]:
    """One command: how it is typed, what it does, its options, its examples."""
    prog = f"ml {group} {one.name}".rstrip()
    yield f".SS {text(prog)}"
    usage = " ".join(build(one, prog).format_usage().split()).removeprefix("usage: ")
    yield rf"\fB{text(prog)}\fR{text(usage.removeprefix(prog))}"
    yield from paragraphs(f"{one.summary}.")
    yield from paragraphs(one.about)
    yield from definitions([(_spelled(option), _help(option)) for option in one.options])
    yield from definitions(one.examples)


def _spelled(option: Option) -> str:
    name = ", ".join(option.flags)
    metavar = option.settings.get("metavar")
    if not option.flags[0].startswith("-"):
        return str(metavar or name)
    return f"{name} {metavar}" if metavar else name


def _help(option: Option) -> str:
    return str(option.settings.get("help") or "").replace("%%", "%")


def definitions(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in pairs:
        yield ".TP"
        yield rf"\fB{text(name)}\fR"
        yield text(meaning)


def paragraphs(words: str) -> Iterator[str]:
    """Plain text, whose line ends mean nothing, and whose empty lines part paragraphs."""
    for paragraph in words.split("\n\n"):
        if paragraph.strip():
            yield ".PP"
            yield text(" ".join(paragraph.split()))


def text(words: str) -> str:
    """Words on one line of roff, where nothing in them means anything to it."""
    line = " ".join(words.split("\n"))
    shown = "".join(_ESCAPED.get(sign) or (sign if sign.isascii() else f"\\[u{ord(sign):04X}]") for sign in line)
    return rf"\&{shown}" if shown.startswith((".", "'")) else shown


# A bare hyphen would be set as a dash that cannot be copied into a shell, and so on.
_ESCAPED = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "~": r"\(ti", "^": r"\(ha", '"': r"\(dq"}
