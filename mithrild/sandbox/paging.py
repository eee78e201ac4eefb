"""Pages by key, not by offset: what comes and goes between two pages shifts nothing.

A cursor names the last item of its page. It comes back raw or JSON-encoded with its quotes; both are in use.
"""

from __future__ import annotations

import base64
import heapq
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from mithrild.sandbox.refusals import unreadable

T = TypeVar("T")
DEFAULT = 100


def _encode(key: list[str | int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _decode(cursor: str | None, order: str) -> list[str | int] | None:
    if not cursor:
        return None
    try:
        raw = str(json.loads(cursor)) if cursor.startswith('"') else cursor
        if not raw:
            return None
        key = json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
    except ValueError:
        raise unreadable("query", "next_cursor", "Invalid cursor") from None
    if not isinstance(key, list) or len(key) != 3 or key[0] != order or type(key[2]) is not int:
        raise unreadable("query", "next_cursor", "Invalid cursor")
    return key


def walk(lanes: Sequence[Sequence[int]], descending: bool, last: int | None) -> Iterator[int]:
    """The seqs of several sorted lanes as one, in order, behind `last`."""

    def part(lane: Sequence[int]) -> Iterator[int]:
        if descending:
            stop = len(lane) if last is None else bisect_left(lane, last)
            return (lane[at] for at in range(stop - 1, -1, -1))
        start = 0 if last is None else bisect_right(lane, last)
        return (lane[at] for at in range(start, len(lane)))

    if len(lanes) == 1:
        return part(lanes[0])
    return heapq.merge(*(part(lane) for lane in lanes), reverse=descending)


def page(
    items: Sequence[T],
    lanes: Sequence[Sequence[int]],
    *,
    cursor: str | None,
    limit: int | None,
    descending: bool,
    keep: Callable[[T], bool],
    key: Callable[[T], str] | None = None,
    order: str = "created_at",
) -> tuple[list[T], str | None]:
    """One page of `items` (by seq) out of `lanes`, and the cursor of the next one, None at the end.

    Without a `key` the order is that of creation and the walk stops at the end of the page. With one,
    all that matches is sorted first.
    """
    order = f"{order} {'desc' if descending else 'asc'}"
    last = _decode(cursor, order)
    wanted = DEFAULT if limit is None else limit
    seqs: Iterable[int]
    if key is None:
        seqs = walk(lanes, descending, None if last is None else int(last[2]))
    else:
        ranked = sorted((key(items[seq]), seq) for seq in walk(lanes, False, None))
        if descending:
            behind = len(ranked) if last is None else bisect_left(ranked, (str(last[1]), int(last[2])))
            ranked = ranked[:behind][::-1]
        elif last is not None:
            ranked = ranked[bisect_right(ranked, (str(last[1]), int(last[2]))) :]
        seqs = (seq for _, seq in ranked)
    found: list[T] = []
    end: list[str | int] = []
    for seq in seqs:
        item = items[seq]
        if not keep(item):
            continue
        if len(found) == wanted:
            return found, _encode(end)
        found.append(item)
        if len(found) == wanted:
            end = [order, key(item) if key else "", seq]
    return found, None
