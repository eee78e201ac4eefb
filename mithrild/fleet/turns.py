"""Whose turn it is when the first of a notice never ran: `when = "first"` means once, not never. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """A delivery of one hook and action. `event` is what it tells of, `before` the event that took its place.

    `stands`: whether the notice that it is for is not over.
    """

    id: str
    lane: tuple[str, str]
    event: str
    before: str
    stands: bool


def passed_on(gone: Iterable[tuple[tuple[str, str], str]], skipped: Iterable[Turn]) -> dict[str, str | None]:
    """What becomes of `skipped`, the oldest first, when of these lanes these events were never run, and never will be.

    By id: None for the one whose turn it is now, and for the others the event that takes their place from now on. Those
    whose own notice is over stay as they are, and so does everything that waited for another event.
    """
    next_of: dict[tuple[tuple[str, str], str], str | None] = dict.fromkeys(gone)
    changed: dict[str, str | None] = {}
    for one in skipped:
        place = one.lane, one.before
        if place not in next_of or not one.stands:
            continue
        changed[one.id] = next_of[place]
        next_of[place] = next_of[place] or one.event
    return changed
