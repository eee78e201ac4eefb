"""How lively a fleet is, and so how often it is worth a look. Pure.

What is on its way somewhere (starting, under notice, stopping, bid a moment ago) is looked at fast, what is allocated
at the usual pace. Bids that only wait for an auction are looked at seldom, and just after each auction. But nothing is
on its way for ever: what has stood in such a status for long is stuck, and deserves no haste.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from mithrild.fleet import lifecycle
from mithrild.fleet.auction_clock import Rhythm
from mithrild.fleet.model import Fleet
from mithrild.fleet.state import count_running

Pace = Literal["changing", "active", "waiting", "idle"]
LIVELIEST: tuple[Pace, ...] = ("changing", "active", "waiting", "idle")

JUST_BID = timedelta(minutes=5)  # two auctions, and what they bring
STUCK = timedelta(minutes=15)

DENSE = 1 / 6  # of a period after its auction (20 s of two minutes): results do not all appear at once
SETTLE = 1 / 120  # of a period (1 s): the marketplace is given this long to show what came of an auction
# Of a period, 5 s before an auction and 6 s after it: between these looks at the market its price is caught moving.
BEFORE, LATER = 1 / 24, 1 / 20
# Of the usual time between two looks at the market, while the rhythm is looked for. An uneven part: looks that fall
# on every auction alike would leave it as vague as the time between them.
SEARCH = 1 / 8.4
# An auction that comes more often than this many fast looks is not waited for: any look is just after one.
WORTH_WAITING = 4


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between two looks."""

    changing: float
    active: float
    idle: float

    @property
    def fast(self) -> float:
        return min(self.changing, self.active)


def pace_of(fleet: Fleet, now: datetime, ahead: timedelta = timedelta(0)) -> Pace:
    """`ahead` is the marketplace's clock minus ours: some of the times on record are by that one."""

    def fresh(since: datetime, limit: timedelta) -> bool:
        return min(abs(now - since), abs(now + ahead - since)) < limit

    running: dict[str | None, list[str]] = {}
    pace: Pace = "idle"
    for instance in fleet.instances.values():
        status = instance.value.status
        if instance.gone:
            continue
        running.setdefault(instance.value.bid, []).append(status)
        if status not in lifecycle.SETTLED:
            if fresh(instance.since, STUCK):
                return "changing"
            pace = "active"
    for fid, bid in fleet.bids.items():
        status = bid.value.status
        if bid.gone or status in lifecycle.FINAL or status == "Paused":
            continue
        if status == "Open":
            if fresh(bid.since, JUST_BID):
                return "changing"
            pace = liveliest((pace, "waiting"))
            continue
        whole = status == "Allocated" and count_running(running.get(fid, ())) >= bid.value.instance_quantity
        if not whole and fresh(bid.since, STUCK):
            return "changing"
        pace = "active"
    return pace


def liveliest(paces: Iterable[Pace]) -> Pace:
    return min(paces, key=LIVELIEST.index, default="idle")


def interval(pace: Pace, often: Intervals, rhythm: Rhythm | None, now: float) -> float:
    """Seconds until the next look while all is well. `now` is by the clock of the rhythm.

    Where the rhythm of the auctions is known, one look falls just after each, and the next ones follow it fast:
    that is when bids are won and lost.
    """
    usual = {"changing": often.fast, "active": often.active}.get(pace, often.idle)
    if rhythm is None or pace == "idle" or rhythm.period < WORTH_WAITING * often.fast:
        return usual
    since, settled = rhythm.since(now), SETTLE * rhythm.period
    if since < settled / 2:  # and not to the microsecond: clocks wake a little early
        return min(usual, settled - since)
    if since < DENSE * rhythm.period:
        usual = min(usual, often.fast)
    return min(usual, rhythm.until(now) + settled)


def prices_interval(pace: Pace, usual: float, rhythm: Rhythm | None, now: float) -> float:
    """Seconds until the market is looked at again, which is asked for every `usual` seconds or so.

    Prices move at auctions, so they are asked just after one. Where somebody's bids are at stake they are asked
    just before it too, and once more: what moved in between keeps the rhythm known, and sharpens it. While it is not
    known they are asked more often.
    """
    at_stake = pace != "idle"
    if rhythm is None:
        return usual * SEARCH if at_stake else usual
    period = rhythm.period
    settled, before, later = SETTLE * period, BEFORE * period, LATER * period
    since, until = rhythm.since(now), rhythm.until(now)
    skipped = max(round(usual / period) - 1, 0) * period
    if since < settled / 2:
        return settled - since
    if not at_stake:
        return until + skipped + settled
    if since < later - settled:
        return later - since
    return until + settled if until < 2 * before else until + skipped - before
