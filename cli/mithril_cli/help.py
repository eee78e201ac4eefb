"""Help above the level of one command, from the table of commands."""

from __future__ import annotations

from mithril_cli import commands
from mithril_cli.command import Command, examples_text, fold
from mithrild import wire

ABOUT = (
    "Shows, places and ends spot bids and instances on the Mithril marketplace: at once, from the record of the "
    "daemon mithrild, which watches them."
)
HANDED_OVER = "handed over to the vendor's own ml, if one is on PATH"
EXAMPLES = (
    ("ml setup", "the API key and the project, once"),
    ("ml instance list", "bids, their state and price"),
    ("ml instance info train", "one bid and its instances"),
    ("ml ssh train", "into the first of them"),
    ("ml events -f", "changes as they happen"),
    ("ml history train", "what a bid went through"),
)
EXIT_CODES = (
    (wire.EXIT_DONE, "done"),
    (wire.EXIT_FAILED, "failed"),
    (wire.EXIT_USAGE, "wrong usage"),
    (wire.EXIT_NO_DAEMON, "the daemon does not answer"),
    (wire.EXIT_NO_MARKETPLACE, "the marketplace does not answer"),
    (wire.EXIT_KEY_REFUSED, "the key was refused"),
    (wire.EXIT_NOT_FOUND, "nothing is called so"),
    (wire.EXIT_REFUSED, "the marketplace refused"),
    (wire.EXIT_TIMEOUT, "waited too long"),
    (127, "nobody to hand over to"),
    (wire.EXIT_INTERRUPTED, "interrupted"),
    (255, "no remote command was begun"),
)


def overview() -> str:
    """`ml -h`."""
    lines = [
        "usage: ml COMMAND [OPTIONS]",
        "",
        fold(ABOUT),
        "",
        "commands:",
        *_table([(_spelled(group, one), one.summary) for group in commands.GROUPS for one in commands.load(group)]),
        "",
        "options:",
        *_table(
            [
                ("-h, --help", "this help; after a command, that command's"),
                ("--version", "our version and the daemon's"),
            ]
        ),
        "",
        examples_text(EXAMPLES),
        "",
        fold(f"{', '.join(commands.HANDED_OVER)}: {HANDED_OVER}."),
        "",
        fold(f"exit codes: {', '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES)}"),
    ]
    return "\n".join(lines) + "\n"


def group(name: str, table: tuple[Command, ...]) -> str:
    """`ml GROUP -h`."""
    lines = [
        f"usage: ml {name} COMMAND [OPTIONS]",
        "",
        f"{commands.GROUPS[name].capitalize()}.",
        "",
        "commands:",
        *_table([(one.name, one.summary) for one in table]),
        "",
        examples_text(tuple(example for one in table for example in one.examples[:2])),
        "",
        f"ml {name} COMMAND -h tells the options of a command.",
    ]
    return "\n".join(lines) + "\n"


def _spelled(group: str, command: Command) -> str:
    return f"{group} {command.name}".strip()


def _table(rows: list[tuple[str, str]]) -> list[str]:
    wide = max(len(name) for name, _ in rows)
    return [fold(meaning, f"  {name.ljust(wide)}   ") for name, meaning in rows]
