"""The report of a drill: what ran, when, with how much time left, or how it failed."""

from __future__ import annotations

from mithril_cli import answers, output, times
from mithril_cli.hooks import deliveries
from mithril_cli.table import Column

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.answers import Object

RESULT = 4
COLUMNS = (
    Column("AT"),
    Column("EVENT", least=16),
    Column("OF", least=6, rank=1),
    Column("HOOK", least=8),
    Column("RESULT"),
    Column("LEFT"),
    Column("TOOK"),
    Column("WHY"),
)


def show_report(begun: Object, drilled: Sequence[Object]) -> None:
    began = times.moment(begun.get("began_at")) or 0.0
    output.write(deliveries.table(COLUMNS, [_row(one, began) for one in drilled], RESULT))
    deliveries.write_lines(summary(begun, drilled).split("; "))


def document(begun: Object, drilled: Sequence[Object], how: str) -> Object:
    """The same for programs."""
    known = {key: begun.get(key) for key in ("drill", "bid", "instances", "began_at", "deadline")}
    return {**known, "end": how, "deliveries": list(drilled), "summary": summary(begun, drilled)}


def summary(begun: Object, drilled: Sequence[Object]) -> str:
    """In one line: how many did what they are for, and how much of the notice the last of them left."""
    tried = [one for one in drilled if one.get("started_at")]
    done = [one for one in tried if one.get("state") == "done"]
    said = f"{len(done)} of {len(tried)} that ran did what they are for" if tried else "nothing ran"
    kept = [one for one in drilled if not one.get("started_at")]
    if kept:
        said += f", {len(kept)} did not run"
    deadline = times.moment(begun.get("deadline"))
    of_notice = [one for one in done if answers.number(one.get("remaining_seconds")) is not None]
    ends = [end for one in of_notice if (end := times.moment(one.get("finished_at"))) is not None]
    if ends and deadline is not None:
        left = deadline - max(ends)
        said += f"; the last for the notice had ended {times.duration(abs(left))} "
        said += "before its deadline" if left >= 0 else "after its deadline"
    return said


def _row(one: Object, began: float) -> tuple[str, ...]:
    at = times.moment(one.get("started_at") or one.get("finished_at") or one.get("created_at"))
    return (
        "-" if at is None else f"+{times.duration(at - began)}",
        answers.words(one.get("type")),
        deliveries.about(one),
        deliveries.hook(one),
        answers.words(one.get("state")),
        deliveries.left(one) or "-",
        deliveries.took(one) if one.get("started_at") else "-",
        answers.words(one.get("reason"), ""),
    )
