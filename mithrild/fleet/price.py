"""Prices as the marketplace writes them, in exact integer cents."""

from __future__ import annotations

import re
from decimal import Decimal

_DOLLARS = re.compile(r"\$?\s*((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)")
_LONGEST = 24  # characters: no price is longer, and Decimal's 28 places hold this many digits times 100
_HIGHEST = 10**12  # cents: far above any price, far below what a database integer holds


def cents(words: object) -> int | None:
    """`"$15.60"`, `"1,200"` and `"15.6"` count dollars; a JSON integer counts cents (the `…_cents` fields).

    None for everything that is not an exact, non-negative number of cents: `"$1.005"`, `""`, `"NaN"`, a
    float (whose unit nobody can know), null. A list is a series of prices, one for each time stamp, and
    not a price: its reader calls this for each member.
    """
    if isinstance(words, int) and not isinstance(words, bool):
        return words if 0 <= words <= _HIGHEST else None
    if not isinstance(words, str) or len(words) > _LONGEST:
        return None
    match = _DOLLARS.fullmatch(words.strip())
    if match is None:
        return None
    exact = Decimal(match[1].replace(",", "")) * 100
    return int(exact) if exact == exact.to_integral_value() and exact <= _HIGHEST else None


def verbatim(words: object) -> str:
    """The marketplace's own words for a price, as text that can be stored: null is the empty string."""
    if isinstance(words, str):
        return words[:100].encode("utf-8", "replace").decode()  # a lone surrogate would fail at the database
    if words is None or isinstance(words, bool):
        return ""
    return str(words) if isinstance(words, int | float) else "?"


def spelled(words: str) -> str:
    """One spelling for one price: `"$29"` and `"29.00"` are `"$29.00"`. Words that are no exact price stay."""
    exact = cents(words)
    return words if exact is None else dollars(exact)


def dollars(cents: int) -> str:
    """800 as `"$8.00"`, the form that the marketplace takes."""
    return f"${cents // 100}.{cents % 100:02d}"
