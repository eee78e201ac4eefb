"""A look back at a whole project that is under way. Lost with the process: the gap that it is for stands in the record,
and so does the moment up to which the project was looked back at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mithrild.fleet.gaps import Gap
from mithrild.fleet.timeline import InstanceStory
from mithrild.watcher.questions import Stories

THE_PROJECT = ""  # in the place of a bid: what was left open is not of one bid


@dataclass(slots=True)
class LookThrough:
    """`begun` is by our clock, `since` (what is asked for) by the marketplace's; `asked` the newest transition of all
    when it began, `stories` what the instances went through since then, None where each bid has to be asked."""

    begun: datetime
    since: datetime
    asked: int
    gap: Gap | None
    stories: Stories | None
    left: dict[str, None]  # the bids that it has not come to, in their order
    open: dict[str, str] = field(default_factory=dict)  # bid -> what is left open of the gap
    doubted: set[str] = field(default_factory=set)  # bids that are asked about anew, and from their beginning
    spent: int = 0  # requests, of all that looked back when it began

    def stories_of(self, bid: str, newest: int) -> Sequence[InstanceStory] | None:
        """Those of a bid, unless it changed after they were asked for."""
        if self.stories is None or newest > self.asked or bid not in self.left or bid in self.doubted:
            return None
        return self.stories.get(bid, ())

    def done(self, bid: str, open: str | None) -> None:
        if bid in self.left:
            del self.left[bid]
            if open is not None:
                self.open[bid] = open


def in_turn(live: Iterable[str], due: Iterable[str], stories: Stories | None) -> dict[str, None]:
    """Every bid once: those that changed, those whose instances moved, and the others."""
    moved = [bid for bid, told in (stories or {}).items() if bid is not None and any(one.steps for one in told)]
    live = list(live)
    wanted = {*live, *due}
    return dict.fromkeys(bid for bid in (*due, *moved, *live) if bid in wanted)
