"""The one table of commands. A group's module is imported only when the group is named, or for help."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.command import Command

# Each has a module of its name here, whose COMMANDS are its commands.
GROUPS = {
    "instance": "bids and their instances, as they are now",
    "ssh": "into the instances of a bid",
    "k8s": "Kubernetes clusters",
    "events": "what has changed, and what is changing",
    "history": "the timeline of one bid and its instances",
    "setup": "the API key and the project",
    "daemon": "the daemon itself",
    "completion": "words completed at the shell's prompt",
    "man": "the manual page",
}

# What the vendor's own `ml` does, with programs of theirs: handed over to it as it was typed.
HANDED_OVER = ("launch", "exec", "status", "logs", "queue", "start", "stop", "down", "sky")

# Words of the vendor's command line, and of ours to come, that a person may well try.
NOT_YET: dict[str, tuple[str, ...]] = {
    "hooks": (),
}


def load(group: str) -> tuple[Command, ...]:
    """The commands of a group of `GROUPS`."""
    from importlib import import_module

    commands: tuple[Command, ...] = import_module(f"mithril_cli.commands.{group}").COMMANDS
    return commands
