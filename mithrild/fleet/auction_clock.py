"""When the auctions are, as far as what we saw of them tells. Pure.

Nobody tells us when the marketplace holds its auctions, only that there is one about every two minutes. But each
leaves traces: bids are allocated and preempted at its own moment, which the marketplace's history tells, and prices
move between two looks at them. A trace is a span of time in which an auction was held; an exact time is a short one.

Fold the traces onto one period, like a strip of paper around a cylinder: if the period is right they come to lie on
top of each other, at the auction. How sure that makes us is a matter of chance: a trace as wide as half the period
meets any moment with probability 1/2, so that it does is worth little; a narrow one is worth much. What lies
elsewhere speaks against the period, but is not fatal: a price can be set by hand.

All times are seconds since the epoch by the marketplace's own clock.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NOMINAL = 120.0  # what the marketplace's pages say of the period: "about every two minutes"
SHORTEST, LONGEST = 0.2, 600.0  # periods that are thought of at all
GIVE = 1 / 24  # of a period: how far a trace may lie from its auction (5 s of two minutes)
KEPT = 16  # traces that are looked at, the newest
MEMORY = 30  # periods after which a trace says nothing of the present: auctions are not held to the second
AHEAD = 5.0  # seconds by which a trace may seem to be of the future: clocks are compared no better than that
STRAY = 0.05  # how often a trace is none of an auction's
LEAST = 4  # auctions that must agree, whatever the odds
SURE = math.log(20)  # twenty to one
# The odds before anything is seen: half for the period that is documented, half for all others together; and within
# one period the auction may be anywhere, in places that are twice the give apart.
_ANYWHERE = math.log(0.5 * 2 * GIVE)
_ANY_PERIOD = _ANYWHERE - math.log(200)
_STRAYED = math.log(STRAY)


@dataclass(frozen=True, slots=True)
class Trace:
    """An auction was held in this span, its end included."""

    after: float
    until: float

    @property
    def middle(self) -> float:
        return (self.after + self.until) / 2

    @property
    def width(self) -> float:
        return self.until - self.after


@dataclass(frozen=True, slots=True)
class Rhythm:
    """One auction every `period` seconds, one of them at `moment`; `agreeing` of the traces say so."""

    period: float
    moment: float
    agreeing: int = 0

    def since(self, now: float) -> float:
        """Seconds since the last auction, from 0 up to the period."""
        return (now - self.moment) % self.period

    def until(self, now: float) -> float:
        """Seconds until the next one."""
        return self.period - self.since(now)


def infer(traces: Iterable[Trace], now: float) -> Rhythm | None:
    """The rhythm that the traces tell, None while they leave doubt."""
    past = [trace for trace in traces if trace.until <= now + AHEAD]
    newest = sorted(past, key=lambda trace: trace.until)[-KEPT:]
    best: tuple[float, float] = (SURE, 0.0)
    rhythm = None
    for period in _periods(newest):
        heard = _one_each([one for one in newest if one.until > now - MEMORY * period], period)
        if len(heard) < LEAST:
            continue
        for phase in _phases(heard):
            odds, met = _judge(heard, period, phase)
            # Every part of the true period explains as much as it does: the longest is meant.
            if len(met) >= LEAST and (round(odds, 6), period) > best:
                best = (round(odds, 6), period)
                rhythm = _sharpened(met, period, phase)
    return rhythm


def _periods(traces: Sequence[Trace]) -> list[float]:
    """What the period might be: the one that is documented, and every whole part of the time between two traces."""
    found = []
    for one, other in itertools.combinations(_narrowest(traces), 2):
        span = other.middle - one.middle
        found += [span / parts for parts in range(1, MEMORY + 1) if SHORTEST <= span / parts <= LONGEST]
    kept = [NOMINAL]
    for period in sorted(found):
        # Nearer to each other than this, no two of them part ways within our memory.
        if period - kept[-1] > period * GIVE / MEMORY or len(kept) == 1:
            kept.append(period)
    return kept


def _narrowest(traces: Sequence[Trace]) -> list[Trace]:
    """The few from which periods and phases are taken, in their order."""
    return sorted(sorted(traces, key=lambda trace: trace.width)[:6], key=lambda trace: trace.middle)


def _phases(traces: Sequence[Trace]) -> list[float]:
    """Where an auction may have been: in the middle of a trace, or where one ends and another begins."""
    return sorted({edge for one in _narrowest(traces) for edge in (one.middle, one.until)})


def _one_each(traces: Sequence[Trace], period: float) -> list[Trace]:
    """One trace an auction, the narrowest: ten bids that are allocated at once say no more than one."""
    groups: list[list[Trace]] = []
    for trace in sorted(traces, key=lambda trace: trace.middle):
        if groups and trace.middle - groups[-1][0].middle < period / 4:
            groups[-1].append(trace)
        else:
            groups.append([trace])
    return [min(group, key=lambda trace: trace.width) for group in groups]


def _judge(traces: Sequence[Trace], period: float, phase: float) -> tuple[float, list[Trace]]:
    """The logarithm of the odds for this rhythm against chance, and the traces that agree with it."""
    odds = _ANYWHERE if period == NOMINAL else _ANY_PERIOD
    give = GIVE * period
    met = []
    for trace in traces:
        reach = trace.width / 2 + give
        if abs(_off(trace, period, phase)) <= reach:
            met.append(trace)
            chance = min(2 * reach / period, 1.0)
            odds += math.log((1 - STRAY) / chance + STRAY)
        else:
            odds += _STRAYED
    return odds, met


def _off(trace: Trace, period: float, phase: float) -> float:
    """Seconds from the nearest auction to the middle of a trace."""
    return (trace.middle - phase + period / 2) % period - period / 2


def _sharpened(traces: Sequence[Trace], period: float, phase: float) -> Rhythm:
    """The rhythm that lies nearest to all that agree: a straight line through them, the narrow ones weighing most."""
    points = []
    for trace in traces:
        number = round((trace.middle - phase) / period)
        points.append((number, _off(trace, period, phase), (trace.width / 2 + GIVE * period / 4) ** -2))
    total = sum(weight for _, _, weight in points)
    centre = sum(number * weight for number, _, weight in points) / total
    height = sum(off * weight for _, off, weight in points) / total
    spread = sum(weight * (number - centre) ** 2 for number, _, weight in points)
    slope = sum(weight * (number - centre) * (off - height) for number, off, weight in points) / spread
    last = max(number for number, _, _ in points)
    moment = phase + last * period + height + slope * (last - centre)
    return Rhythm(period + slope, moment, len(traces))
