"""A target that fails again and again is left alone for a while. Pure. Notices are tried all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mithrild.fleet.schedule import backoff

FAILURES = 5  # in a row, before a target is left alone …
FIRST, LONGEST = 30.0, 300.0  # … for so many seconds at first, and at last

# all: whatever is due; one: a single try, to see whether it is back; urgent: what has a deadline, or was asked for.
Admits = Literal["all", "one", "urgent"]


@dataclass(frozen=True, slots=True)
class Circuit:
    """`until` is a monotonic time; None while the target is taken for well."""

    failures: int = 0
    until: float | None = None


def after(circuit: Circuit, *, reached: bool, now: float, draw: float) -> Circuit:
    """The circuit after a try that reached its target, whatever it answered, or did not. `draw`: see schedule."""
    if reached:
        return Circuit()
    failures = circuit.failures + 1
    if failures < FAILURES:
        return Circuit(failures)
    return Circuit(failures, now + backoff(failures - FAILURES + 1, draw, first=FIRST, cap=LONGEST))


def admits(circuit: Circuit, now: float) -> Admits:
    if circuit.until is None:
        return "all"
    return "one" if now >= circuit.until else "urgent"
