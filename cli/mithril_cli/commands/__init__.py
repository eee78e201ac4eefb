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
    "hooks": "what runs when something happens",
    "drill": "what might happen, for the hooks alone",
    "setup": "the API key and the project",
    "daemon": "the daemon itself",
    "completion": "words completed at the shell's prompt",
    "man": "the manual page",
}

# What the vendor's own `ml` does, with programs of theirs: handed over to it as it was typed.
HANDED_OVER = ("launch", "exec", "status", "logs", "queue", "start", "stop", "down", "sky")


def load(group: str) -> tuple[Command, ...]:
    """The commands of a group of `GROUPS`."""
    from importlib import import_module

    commands: tuple[Command, ...] = import_module(f"mithril_cli.commands.{group}").COMMANDS
    return commands
