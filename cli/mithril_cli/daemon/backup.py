"""`ml daemon backup`: has the daemon make one, waits until it is verified, and tells where it lies."""

from __future__ import annotations

import sys
import time

from mithril_cli import answers, client, output
from mithril_cli.errors import Failure, Interrupted
from mithril_cli.text import clean
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

LOOK_EVERY = 0.2  # seconds
PATH = "/v1/backups"


def run(args: argparse.Namespace) -> int:
    begun = client.ask("POST", PATH, timeout=client.TIMEOUT)
    try:
        backups = _until_ended(answers.number(begun.get("run")) or 0, answers.one(begun, "backups"))
    except KeyboardInterrupt:
        raise Interrupted("the daemon goes on with the backup: `ml daemon status` tells what comes of it") from None
    finally:
        _show("")
    made = answers.part(backups, "made")
    if not made:
        why = answers.words(backups.get("error"), "the daemon did not say why")
        raise Failure(f"no backup was made: {why}; those that are there stay as they are")
    if args.json:
        output.document({"backup": made})
    else:
        output.write(f"{clean(answers.words(made.get('path')))}\n")
    return wire.EXIT_DONE


def _until_ended(run: float, backups: Object) -> Object:
    while answers.number(backups.get("run")) == run and (running := answers.part(backups, "running")):
        share = answers.number(running.get("share"))
        percent = "" if share is None else f" {share:.0%}"
        _show(f"{answers.words(running.get('stage'))}{percent}")
        time.sleep(LOOK_EVERY)
        backups = answers.one(client.get(PATH), "backups")
    if answers.number(backups.get("run")) != run:
        raise Failure(
            "another daemon answers than the one that began the backup: `ml daemon status` tells what there is"
        )
    return backups


def _show(words: str) -> None:
    """What is being done, on one line of the terminal that is written over; elsewhere nothing."""
    if sys.stderr is not None and sys.stderr.isatty():
        output.aside(f"\r\x1b[K{clean(words)}")
