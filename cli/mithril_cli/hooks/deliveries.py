"""Deliveries as a person sees them: a line of a table, and a page with every try."""

from __future__ import annotations

from mithril_cli import answers, output, times
from mithril_cli.table import render
from mithril_cli.text import clean, shorten, width

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.answers import Object
    from mithril_cli.table import Column, Paint

SHORT = 12  # letters of an id in a table: enough to tell it from others, and to type it
ENDED = ("done", "failed", "dead", "expired", "skipped", "superseded", "cancelled")
FAILED = ("failed", "dead", "expired")
COLOUR = {
    "done": output.GREEN,
    "failed": output.RED,
    "dead": output.RED,
    "expired": output.RED,
    "running": output.YELLOW,
    "pending": output.YELLOW,
    "skipped": output.DIM,
    "superseded": output.DIM,
    "cancelled": output.DIM,
}


def short(delivery: Object) -> str:
    return answers.words(delivery.get("id"))[:SHORT]


def hook(delivery: Object) -> str:
    """The hook, with its action where that is not the usual one."""
    name, action = answers.words(delivery.get("hook")), answers.words(delivery.get("action"))
    return name if action == "run" else f"{name} ({action})"


def about(delivery: Object) -> str:
    """Whose event it was."""
    return answers.words(delivery.get("instance_name") or delivery.get("bid_name"), "")


def why(delivery: Object, now: float) -> str:
    """Why it is in its state, and when it goes on."""
    parts = [answers.words(delivery.get("reason"), "")]
    again = times.moment(delivery.get("next_at"))
    if delivery.get("state") == "pending" and delivery.get("attempts") and again is not None:
        parts.append(f"again in {times.duration(again - now)}")
    if delivery.get("rehearsal"):
        parts.append(f"({answers.words(delivery.get('rehearsal')).partition('_')[0]})")
    if delivery.get("by_hand") and not delivery.get("rehearsal"):
        parts.append("(asked for)")
    return " ".join(part for part in parts if part)


def left(thing: Object) -> str:
    """How much of the notice was left when a try began."""
    seconds = answers.number(thing.get("remaining_seconds"))
    return "" if seconds is None else times.duration(seconds)


def took(thing: Object, began: str = "started_at", ended: str = "finished_at") -> str:
    start, end = times.moment(thing.get(began)), times.moment(thing.get(ended))
    return "" if start is None or end is None else times.duration(end - start)


def try_lines(one: Object, now: float) -> list[str]:
    """One try: when, how it went, and what it printed."""
    head = f"try {answers.words(one.get('number'))}  {times.local(times.moment(one.get('started_at')), now)}"
    if remains := left(one):
        head += f", {remains} left"
    spent = took(one, ended="ended_at")
    outcome = answers.words(one.get("outcome"), "running")
    head += f": {outcome}{f' after {spent}' if spent else ''}"
    if reason := answers.words(one.get("reason"), ""):
        head += f", {reason}"
    return [clean(head), *output_lines(one)]


def output_lines(one: Object) -> list[str]:
    """What it printed, each line harmless and set apart from ours."""
    printed = one.get("output")
    if not isinstance(printed, str) or not printed.strip():
        gone = answers.number(one.get("output_bytes"))
        return [f"  | ({gone:.0f} bytes, no longer kept)"] if gone and printed is None else []
    return [f"  | {clean(line.expandtabs())}" for line in printed.rstrip("\n").split("\n")]


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], state: int) -> str:
    """A table whose last column is why. Where a terminal is too narrow for it, each reason stands under its row: it
    is what somebody looks for."""
    room, colours = output.room(), output.colours()
    drawn = render(columns, rows, room, paint(state) if colours else None)
    if room is None or max(map(width, render(columns, rows).split("\n"))) <= room:
        return drawn
    head, *lines = render(columns[:-1], [row[:-1] for row in rows], room, paint(state) if colours else None).split("\n")
    shown = [head]
    for row, line in zip(rows, lines, strict=False):
        shown.append(line)
        if row[-1]:
            shown += [f"    {part}" for part in folded(clean(row[-1]), room - 4)]
    return "\n".join(shown) + "\n"


def folded(text: str, room: int) -> list[str]:
    """Clean text in lines of at most so many columns, broken between words where there are some."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if width(longer) <= room or not lines[-1]:
            lines[-1] = shorten(longer, max(room, 1))
        else:
            lines.append(shorten(word, max(room, 1)))
    return lines


def paint(column: int) -> Paint:
    """Colours the column of the state."""
    return lambda index, cell: COLOUR.get(cell.partition(" ")[0], "") if index == column else ""


def write_lines(lines: Sequence[str]) -> None:
    output.write("".join(f"{line}\n" for line in lines))
