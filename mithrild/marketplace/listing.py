"""All pages of one listing, gathered: the good items, a line for each bad one, and why it ended early."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from mithrild.errors import BrokenAnswer
from mithrild.fleet.model import Listing, Seen
from mithrild.marketplace.mapping import Mapped
from mithrild.marketplace.schema import Unreadable

Noun = TypeVar("Noun")


class Gathering(Generic[Noun]):
    """What the pages of a listing have given so far."""

    def __init__(
        self,
        noun: str,
        read: Callable[[object], Mapped[Noun]],
        identity: Callable[[Noun], Hashable],
        plain: Callable[[str], str],
    ) -> None:
        self._noun, self._read, self._identity, self._plain = noun, read, identity, plain
        self._items: dict[Hashable, Seen[Noun]] = {}
        self._set_aside: list[str] = []

    def add(self, rows: object, ticket: int) -> None:
        """The rows of one page. Of one thing on two pages the later stays: its request was sent later.

        Raises BrokenAnswer where `rows` is no list; one bad row is only set aside.
        """
        if not isinstance(rows, list):
            raise BrokenAnswer(f"the marketplace sent no list of {self._noun}s")
        for number, row in enumerate(rows, start=1):
            try:
                value, notes = self._read(row)
            except Unreadable as error:
                notes = [f"{error}; left out"]
            else:
                self._items[self._identity(value)] = Seen(value, ticket)
            label = _label(row, number) if notes else ""
            self._set_aside += [self._plain(f"{self._noun} {label}: {note}") for note in notes]

    def listing(self, broken: str | None = None) -> Listing[Noun]:
        return Listing(tuple(self._items.values()), tuple(self._set_aside), broken)


def next_cursor(answer: object, before: set[str]) -> str | None:
    """The cursor of the next page, None after the last one. Only null (or none at all) ends a listing.

    Raises BrokenAnswer for one that leads nowhere: empty, no text, or one of `before`, which it joins.
    """
    cursor = answer.get("next_cursor") if isinstance(answer, dict) else None
    if cursor is None:
        return None
    if not isinstance(cursor, str) or not cursor:
        raise BrokenAnswer("the marketplace named a next page that cannot be asked for (an empty cursor)")
    if cursor in before:
        raise BrokenAnswer("the marketplace named a page that it had already sent (a repeated cursor)")
    before.add(cursor)
    return cursor


def _label(row: object, number: int) -> str:
    fid = row.get("fid") if isinstance(row, dict) else None
    return fid if isinstance(fid, str) and fid else f"number {number} of its page"
