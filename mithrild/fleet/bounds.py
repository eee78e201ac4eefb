"""A range of whole numbers, as comparisons tell it: `>=2, <8`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_COMPARISON = re.compile(r"(>=|<=|>|<|=)?\s*([^<>=\s].*)")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Both ends included; None leaves an end open. `written` is for people."""

    written: str
    least: int | None = None
    most: int | None = None

    def admit(self, value: int) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def admit_any_from(self, lowest: int) -> bool:
        """Whether any number from `lowest` up lies in this range."""
        return self.most is None or self.most >= max(lowest, self.least if self.least is not None else lowest)


def parse(text: str, unit: Callable[[str], int]) -> Bounds:
    """Comparisons joined by commas, all of which must hold: `>=2, <8`. A bare number means that number.

    `unit` reads one number, and raises ValueError in words for a person; so does this.
    """
    least: int | None = None
    most: int | None = None
    for part in text.split(","):
        found = _COMPARISON.fullmatch(part.strip())
        if found is None:
            raise ValueError(f'"{text[:40]}" is no comparison: write it like ">=4", "<8" or ">=4, <8"')
        sign, value = found[1] or "=", unit(found[2])
        if sign in (">", ">=", "="):
            bound = value + (sign == ">")
            least = bound if least is None else max(least, bound)
        if sign in ("<", "<=", "="):
            bound = value - (sign == "<")
            most = bound if most is None else min(most, bound)
    return Bounds(text.strip(), least, most)
