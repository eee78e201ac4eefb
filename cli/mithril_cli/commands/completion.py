"""`ml completion`: a shell that completes the words of `ml`."""

from __future__ import annotations

from mithril_cli import output
from mithril_cli.command import Command, Option
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse


def show_script(args: argparse.Namespace) -> int:
    from mithril_cli.completion.scripts import script

    output.write(script(args.shell))
    return wire.EXIT_DONE


COMMANDS = (
    Command(
        "",
        "Print what makes a shell complete commands, options and names",
        show_script,
        about=(
            "Names of bids, clusters, projects, types and regions come from the daemon's record, within a second or\n"
            "not at all. zsh needs `autoload -Uz compinit; compinit` before it."
        ),
        options=(Option("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish"),),
        examples=(
            ('eval "$(ml completion bash)"', "in ~/.bashrc; in ~/.zshrc with zsh"),
            ("ml completion fish > ~/.config/fish/completions/ml.fish", "for fish, once"),
        ),
    ),
)
