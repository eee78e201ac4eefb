"""What a bid and its instances went through: the steps of the record, and how long each status lasted."""

from __future__ import annotations

from mithril_cli import answers, times
from mithril_cli.table import Column, render

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.answers import Object

GAP = "gap"  # the aspect of a time in which nobody watched: `from` and `to` are moments
FINAL = frozenset({"terminated", "replaced", "gone"})

COLUMNS = (
    Column("WHEN"),
    Column("WHAT", least=8),
    Column("CHANGE", least=12),
    Column("LASTED", rank=1),
    Column("NOTE", least=8, rank=2),
)


class Span:
    """How long the status that a step began lasted, in seconds; `ongoing` ones until now."""

    __slots__ = ("certain", "ongoing", "seconds")

    def __init__(self, seconds: float, *, ongoing: bool, certain: str) -> None:
        self.seconds = seconds
        self.ongoing = ongoing
        self.certain = certain  # "": exact, "~": from or to a window, ">": it began before our first sight


def spans(steps: Sequence[Object], now: float) -> list[Span | None]:
    """For each step its span, None where nothing lasts: an end, or a change of something else than the status."""
    found: list[Span | None] = [None] * len(steps)
    follower: dict[str, tuple[float, bool]] = {}  # subject -> when its next status began, and whether exactly
    for index in range(len(steps) - 1, -1, -1):
        step = steps[index]
        at = times.moment(step.get("at"))
        if step.get("aspect") != "status" or at is None:
            continue
        subject = answers.words(step.get("subject"))
        end, end_exact = follower.get(subject, (now, True))
        if subject in follower or answers.status_word(step.get("to")) not in FINAL:
            found[index] = Span(
                max(end - at, 0.0), ongoing=subject not in follower, certain=_certainty(step, end_exact)
            )
        follower[subject] = (at, bool(step.get("exact")))
    return found


def _certainty(step: Object, end_exact: bool) -> str:
    if not step.get("exact") and step.get("not_before") is None:
        return ">"
    return "" if step.get("exact") and end_exact else "~"


def when(step: Object, now: float) -> str:
    """When a step happened, as exactly as anybody knows."""
    at = times.local(times.moment(step.get("at")), now)
    if step.get("exact"):
        return at
    if step.get("aspect") == GAP:
        until = times.local(times.moment(step.get("to")), now)
        day, _, clock = until.rpartition(" ")
        return f"from {at} to {clock if day and at.startswith(day) else until}"
    start = times.moment(step.get("not_before"))
    if start is None:
        return f"by {at}"
    first = times.local(start, now)
    if first == at:
        return f"about {at}"
    day, _, clock = at.rpartition(" ")
    return f"between {first} and {clock if first.startswith(day) else at}"


def change(step: Object) -> str:
    """From what to what; the name of the thing in front where it is not the status."""
    aspect = answers.words(step.get("aspect"))
    if aspect == GAP:
        return "nobody watched, and the marketplace does not remember all of it"
    if aspect == "health":  # judged by the daemon, not a word of the marketplace
        to = answers.words(step.get("to"))
        return "all wanted instances run" if to == "running" else to
    word = answers.status_word if aspect == "status" else answers.words
    before = step.get("from")
    steps = word(step.get("to")) if before is None else f"{word(before)} → {word(step.get('to'))}"
    return steps if aspect == "status" else f"{aspect.replace('_', ' ')} {steps}"


def chained(steps: Sequence[Object]) -> list[Object]:
    """The steps, each from where the one before it led. The daemon's own `from` is what it held when it learned of a
    step; what it learned of later may lie in between."""
    last: dict[tuple[str, str], object] = {}
    linked = []
    for step in steps:
        if step.get("aspect") == GAP:  # no step that follows another
            linked.append(step)
            continue
        key = (answers.words(step.get("subject")), answers.words(step.get("aspect")))
        linked.append({**step, "from": last.get(key, step.get("from"))})
        last[key] = step.get("to")
    return linked


def table(steps: Sequence[Object], now: float, room: int | None) -> str:
    steps = chained(steps)
    rows = [
        (when(step, now), _what(step), change(step), _lasted(span), _note(step))
        for step, span in zip(steps, spans(steps, now), strict=True)
    ]
    return render(COLUMNS, rows, room)


def documented(steps: Sequence[Object], now: float) -> list[Object]:
    """The steps as `--json` gives them: the daemon's, with `lasted_seconds` (null: nothing lasts) and `ongoing`."""
    return [
        {
            **step,
            "lasted_seconds": round(span.seconds, 3) if span else None,
            "ongoing": span is not None and span.ongoing,
        }
        for step, span in zip(steps, spans(steps, now), strict=True)
    ]


def _what(step: Object) -> str:
    if step.get("aspect") == GAP:
        return "the watch"
    if step.get("subject_kind") == "bid":
        return "the bid"
    return answers.words(step.get("name") or step.get("subject"))


def _lasted(span: Span | None) -> str:
    if span is None:
        return ""
    return f"{span.certain}{times.duration(span.seconds)}{' so far' if span.ongoing else ''}"


def _note(step: Object) -> str:
    if step.get("baseline"):
        return "first sight"
    if answers.words(step.get("type")).endswith(".reprieved"):
        return "reprieved: it never stopped"
    provenance = answers.words(step.get("provenance"), "observed")
    if provenance == "observed":
        return ""
    return f"{provenance}, inferred" if step.get("inferred") else provenance
