"""Asking for what a listing lacks, one thing at a time, and weighing how many are said not to be there."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from mithrild.errors import BrokenAnswer, MarketplaceError, NotFound
from mithrild.fleet.completeness import believable, is_live
from mithrild.fleet.model import Noun, Record, Seen, Thing

AT_ONCE = 50  # missing things asked for in one tick; the rest waits for the next


@dataclass(slots=True)
class Trouble:
    """What a tick could not ask (`lines`), and what it could not read (`set_aside`), one line each. A refusal is a
    line too: it may concern one thing alone, and a refused key is met by the listing of bids before all else."""

    lines: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answers(Generic[Noun]):
    found: Mapping[str, Seen[Noun]]
    absent: frozenset[str]  # 404, and to be believed
    resolved: bool  # whether every question was asked and answered


class ByName(Generic[Noun]):
    """Questions of one kind. `ask` gets one thing by its fid and raises MarketplaceError."""

    def __init__(self, noun: str, ask: Callable[[str], Awaitable[Seen[Noun]]]) -> None:
        self._noun, self._ask = noun, ask
        self._last = ""  # the fid that was asked for last: the next tick goes on behind it

    async def __call__(
        self, fids: Iterable[str], known: Mapping[str, Record[Thing]], trouble: Trouble
    ) -> Answers[Noun]:
        """An answer that cannot be read is one, about that thing alone: it is there, and is set aside. `known` is
        what the record holds of this kind."""
        wanted = sorted(fids)
        some = _turn(wanted, self._last)
        self._last = some[-1] if some else ""
        found: dict[str, Seen[Noun]] = {}
        absent: set[str] = set()
        resolved = True
        for fid, answer in zip(some, await asyncio.gather(*map(self._ask, some), return_exceptions=True), strict=True):
            match answer:
                case NotFound():
                    absent.add(fid)
                case BrokenAnswer():
                    trouble.set_aside.append(str(answer))
                case MarketplaceError():
                    trouble.lines.append(str(answer))
                    resolved = False
                case BaseException():
                    raise answer
                case _:
                    found[fid] = answer
        if len(some) < len(wanted):
            trouble.lines.append(f"{len(wanted)} {self._noun}s left the listings; {len(some)} were asked for by name")
            resolved = False
        live = sum(is_live(one.value.status, one.gone) for one in known.values())
        # Of those whose turn has not come as many are taken to be gone as of those that were asked for: else a
        # large fleet that vanished would be believed a slice at a time.
        likely = len(absent) * len(wanted) // max(len(some), 1)
        if not believable(live, likely):
            trouble.lines.append(f"about {likely} of {live} {self._noun}s are not there any more: not believed")
            return Answers(found, frozenset(), False)
        return Answers(found, frozenset(absent), resolved)


def _turn(wanted: Sequence[str], last: str) -> list[str]:
    """The next ones behind `last`, round and round, so that a question that is never answered starves no other."""
    start = bisect_right(wanted, last)
    return [*wanted[start:], *wanted[:start]][:AT_ONCE]
