"""`ml drill`: what would happen, made to happen for the hooks alone."""

from __future__ import annotations

from mithril_cli.command import JSON, PROJECT, Command, Option, span, word

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse


def preempt(args: argparse.Namespace) -> int:
    from mithril_cli.hooks import drill

    return drill.preempt(args)


COMMANDS = (
    Command(
        "preempt",
        "A preemption that does not happen, through every hook that takes it",
        preempt,
        about=(
            "The bid and each of its instances get notice, and at its end they stop, for the hooks alone: events\n"
            "of the same shape, with the provenance simulated. The hooks themselves run in earnest, so they are\n"
            "shown first, and it is asked. Nothing reaches the marketplace, the record of the fleet stays as it\n"
            "is, and no statistics count it. The report tells what ran, when, and with how much time left.\n"
            "Ctrl-C ends the drill: what runs is ended, and what is queued does not run. Exit 1: something failed."
        ),
        options=(
            Option("bid", metavar="NAME", type=word, help="a bid's name or fid"),
            Option("--notice", metavar="TIME", type=span, default=300, help="how long the notice is; default 5m"),
            Option("--fast", action="store_true", help="do not wait out the notice: end it once its hooks have ended"),
            Option("--reprieve", action="store_true", help="at the end the notice is taken back, and nothing stops"),
            Option("-y", "--yes", action="store_true", help="do not ask"),
            *PROJECT,
            JSON,
        ),
        examples=(
            ("ml drill preempt train --fast", "does what should happen happen, and how fast"),
            ("ml drill preempt train --notice 1m --reprieve", "and is it undone when the notice is taken back"),
        ),
    ),
)
