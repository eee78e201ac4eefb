"""Asks a person which bid is meant. Everything is said on standard error: standard output is the answer's."""

from __future__ import annotations

import sys

from mithril_cli import answers, client, output
from mithril_cli.errors import Failure, Usage
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.answers import Object

TRIES = 3
COLUMNS = (Column("#"), Column("NAME", least=12), Column("STATE"), Column("TYPE", least=10, rank=1))


class NothingToPick(Failure):
    exit_code = wire.EXIT_NOT_FOUND


def pick_bid(query: client.Query, prog: str) -> str:
    """The fid of the active bid that a person picks. Without a terminal it is wrong usage to name none."""
    if sys.stdin is None or sys.stderr is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Usage(f"which bid? name one: {prog} NAME (see `ml instance list`)")
    bids = answers.objects(client.get("/v1/bids", query), "bids")
    if not bids:
        raise NothingToPick("no active bids; `ml instance list --all` shows ended ones")
    rows = [
        (str(place), *(answers.words(bid.get(key)) for key in ("name", "state", "instance_type_name")))
        for place, bid in enumerate(bids, 1)
    ]
    output.aside(render(COLUMNS, rows, output.room() or 80))
    for _ in range(TRIES):
        output.aside("which one (number or name)? ")
        typed = sys.stdin.readline()
        if not typed.strip():
            break
        chosen = choose(typed.strip(), bids)
        if chosen:
            return chosen
        output.note(f"{typed.strip()} is none of these")
    raise Usage("nothing was picked")


def choose(typed: str, bids: Sequence[Object]) -> str | None:
    """The fid that a number, name or fid stands for. A name is tried first: a bid may be called `2`."""
    for key in ("fid", "name"):
        found = [str(bid.get("fid")) for bid in bids if bid.get(key) == typed]
        if len(found) == 1:
            return found[0]
    if typed.isascii() and typed.isdigit() and len(typed) < 6 and 0 < int(typed) <= len(bids):
        return str(bids[int(typed) - 1].get("fid"))
    return None
