"""Asks a person which one is meant. Everything is said on standard error: standard output is the answer's.

On a terminal that can draw it is a list to filter (`menu`), on a dumb one a numbered question.
"""

from __future__ import annotations

import os
import sys

from mithril_cli import answers, client, output
from mithril_cli.errors import Failure, Usage
from mithril_cli.table import Column, render
from mithril_cli.text import clean
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.answers import Object

TRIES = 3
BID_COLUMNS = (Column("NAME", least=12), Column("STATE"), Column("TYPE", least=10, rank=1), Column("REGION", rank=2))
CLUSTER_COLUMNS = (Column("NAME", least=12), Column("STATE"), Column("REGION", rank=1))
CHOICE_COLUMNS = (Column("", least=12),)


class NothingToPick(Failure):
    exit_code = wire.EXIT_NOT_FOUND


class Choice:
    """What may be picked: its value, the names it goes by (the first is the one shown), and its row."""

    __slots__ = ("cells", "names", "value")

    def __init__(self, value: str, names: Sequence[str], cells: Sequence[str]) -> None:
        self.value = value
        self.names = names
        self.cells = cells


def on_terminal() -> bool:
    """Whether there is somebody to ask, and a place to ask them that is not the answer's."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def pick_bid(query: client.Query, prog: str) -> str:
    """The fid of the bid that a person picks: an active one, unless the query says otherwise.

    Without a terminal it is wrong usage to name none.
    """
    if not on_terminal():
        raise Usage(f"which bid? name one: {prog} NAME (see `ml instance list`)")
    answer = client.get("/v1/bids", [*query, ("details", 0)])
    state = dict(query).get("state")
    if not (bids := answers.objects(answer, "bids")):
        raise NothingToPick(
            f"no bids are {state}" if state else "no active bids; `ml instance list --all` shows ended ones"
        )
    choices = [_choice(bid, ("name", "state", "instance_type_name", "region")) for bid in bids]
    return _ask("bid", choices, BID_COLUMNS, answer)


def pick_cluster(query: client.Query, prog: str) -> str:
    """The fid of the Kubernetes cluster that a person picks. Without a terminal it is wrong usage to name none."""
    if not on_terminal():
        raise Usage(f"which cluster? name one: {prog} CLUSTER (see `ml k8s list`)")
    answer = client.get("/v1/clusters", query)
    if not (clusters := answers.objects(answer, "clusters")):
        raise NothingToPick("no active clusters; `ml k8s list --all` shows ended ones")
    return _ask("cluster", [_choice(one, ("name", "state", "region")) for one in clusters], CLUSTER_COLUMNS, answer)


def pick(prog: str, what: str, choices: Sequence[tuple[str, str]]) -> str:
    """The value that a person picks among pairs of a value and its label. `what` is a noun: "project"."""
    if not on_terminal():
        labels = ", ".join(label for _, label in choices) or "none"
        raise Usage(f"which {what}? there are: {labels}; try: {prog} -h")
    if not choices:
        raise NothingToPick(f"there is no {what} to pick")
    return _ask(what, [Choice(value, (label, value), (label,)) for value, label in choices], CHOICE_COLUMNS, {})


def choose(typed: str, choices: Sequence[Choice]) -> str | None:
    """The value that a number, a name or a value stands for. A name is tried first: a bid may be called `2`."""
    by_value = [one.value for one in choices if one.value == typed]
    by_name = [one.value for one in choices if typed in one.names]
    for found in (by_value, by_name):
        if len(found) == 1:
            return found[0]
    if typed.isascii() and typed.isdigit() and len(typed) < 6 and 0 < int(typed) <= len(choices):
        return choices[int(typed) - 1].value
    return None


def _choice(thing: Object, keys: Sequence[str]) -> Choice:
    fid = answers.words(thing.get("fid"))
    return Choice(fid, (answers.words(thing.get("name")), fid), [answers.words(thing.get(key)) for key in keys])


def _ask(what: str, choices: Sequence[Choice], columns: Sequence[Column], answer: Object) -> str:
    question = f"which {clean(what)}? "
    stale = answers.stale_line(answers.part(answer, "freshness"))
    if output.dumb():
        return _ask_by_number(question, choices, columns, stale)
    from mithril_cli import menu

    header, *lines = render(columns, [one.cells for one in choices], max(_room() - menu.MARGIN, 1)).splitlines()
    items = [menu.Item(line, [clean(name) for name in one.names]) for line, one in zip(lines, choices, strict=True)]
    index = menu.choose(question, items, header, f"{clean(stale)}; " if stale else "")
    if index is None:
        raise Usage("nothing was picked")
    output.aside(f"{question}{clean(choices[index].names[0])}\n")  # the list is gone from the terminal by now
    return choices[index].value


def _ask_by_number(question: str, choices: Sequence[Choice], columns: Sequence[Column], stale: str | None) -> str:
    if stale:
        output.note(stale)
    rows = [(str(place), *one.cells) for place, one in enumerate(choices, 1)]
    output.aside(render((Column("#"), *columns), rows, _room()))
    for _ in range(TRIES):
        output.aside(f"{question.rstrip('? ')} (number or name)? ")
        typed = sys.stdin.buffer.readline().decode("utf-8", "replace")
        if not typed.strip():
            break
        chosen = choose(typed.strip(), choices)
        if chosen is not None:
            return chosen
        output.note(f"{typed.strip()} is none of these")
    raise Usage("nothing was picked")


def _room() -> int:
    """Columns of the terminal that is drawn on: standard error's."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
