"""Help above the level of one command, from the table of commands."""

from __future__ import annotations

from mithril_cli import commands
from mithril_cli.command import Command, examples_text

EXAMPLES = (
    ("ml instance list", "bids, their state and price"),
    ("ml instance info train", "one bid and its instances"),
    ("ml events -f", "changes as they happen"),
    ("ml history train", "what a bid went through"),
)


def overview() -> str:
    """`ml -h`."""
    lines = [
        "usage: ml COMMAND [OPTIONS]",
        "",
        "Shows spot bids and instances on the Mithril marketplace, from the daemon's record.",
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
        "exit codes: 0 done, 1 failed, 2 wrong usage, 3 the daemon does not answer, 4 the marketplace does not",
        "answer, 5 the key was refused, 6 no such bid, 7 the marketplace refused, 8 waited too long, 130 interrupted",
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
    return [f"  {name.ljust(wide)}   {meaning}" for name, meaning in rows]
