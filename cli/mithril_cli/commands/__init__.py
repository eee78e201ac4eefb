"""The one table of commands. A group's module is imported only when the group is named, or for help."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.command import Command

# Each has a module of its name here, whose COMMANDS are its commands.
GROUPS = {
    "instance": "bids and their instances, as they are now",
    "events": "what has changed, and what is changing",
    "history": "the timeline of one bid and its instances",
    "daemon": "the daemon itself",
}

# Words of the vendor's command line, and of ours to come, that a person may well try.
NOT_YET: dict[str, tuple[str, ...]] = {
    "k8s": (),
    "ssh": (),
    "setup": (),
    "hooks": (),
    "instance": ("create", "delete", "update", "list-types", "ssh"),
}


def load(group: str) -> tuple[Command, ...]:
    """The commands of a group of `GROUPS`."""
    from importlib import import_module

    commands: tuple[Command, ...] = import_module(f"mithril_cli.commands.{group}").COMMANDS
    return commands
