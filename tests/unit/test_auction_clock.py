"""When the auctions are, told by traces of them alone."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithrild.fleet.auction_clock import GIVE, LEAST, MEMORY, Rhythm, Trace, infer

START = 1_700_000_000.0


def exact(*moments: float) -> list[Trace]:
    return [Trace(START + at, START + at) for at in moments]


def looks(every: float, *moments: float) -> list[Trace]:
    """What somebody sees who looks every so often: each moment lies between two looks."""
    return [Trace(START + at // every * every, START + at // every * every + every) for at in moments]


def off(rhythm: Rhythm, auction: float) -> float:
    """Seconds between an auction and the nearest one that the rhythm knows of."""
    since = rhythm.since(START + auction)
    return min(since, rhythm.period - since)


AUCTIONS = [7.0 + 120 * number for number in range(40)]

KNOWN = {
    "times that the marketplace told": (exact(7, 127, 367, 607), 120, 607, 0.01),
    "of auctions far apart": (exact(7, 607, 847, 2407, 3367), 120, 3367, 0.01),
    "prices, looked at every 15 s": (looks(15, *AUCTIONS[:6]), 120, 607, 7.5),
    "prices, looked at every 5 s": (looks(5, *AUCTIONS[:5]), 120, 487, 2.5),
    "both": ([*exact(7, 607), *looks(15, 127, 367, 487)], 120, 607, 1),
    "results that appear by and by": (exact(7, 8, 9.5, 127, 131, 249, 367.4, 368), 120, 367, 3),
    "an auction every two minutes or so": (exact(7, 128, 246, 369, 486, 608), 120, 608, 4),
    "a price that somebody set by hand": ([*looks(15, *AUCTIONS[:7]), *exact(190)], 120, 727, 7.5),
    "two strangers among eight": (exact(*AUCTIONS[:8], 55, 441), 120, 847, 1),
    "another period": (looks(15, *(3 + 90 * number for number in range(12))), 90, 993, 7.5),
    "a sandbox at speed 10": (looks(1.5, *(3 + 12 * number for number in range(12))), 12, 135, 0.75),
    "a sandbox at speed 60": (exact(*(1.3 + 2 * number for number in range(0, 18, 3)), 33.3), 2, 33.3, 0.01),
    "a few of many auctions": (exact(*(1.3 + 2 * number for number in (0, 1, 5, 6, 9, 14))), 2, 29.3, 0.01),
    "a period that has changed": (
        exact(*AUCTIONS[:20], *(2300 + 2 * number for number in range(20))),
        2,
        2338,
        0.01,
    ),
}  # fmt: skip

UNKNOWN = {
    "nothing": [],
    "one auction": exact(7),
    "one auction, of which many bids tell": exact(*(7 + bid / 10 for bid in range(30))),
    "two auctions": exact(7, 127),
    "three auctions": exact(7, 127, 247),
    "four looks of 15 s": looks(15, *AUCTIONS[:4]),
    "looks as wide as the period": looks(120, *AUCTIONS),
    "looks wider than it": looks(600, *AUCTIONS),
    "times without a rhythm": exact(0, 13, 150, 171, 320, 333, 350, 371, 700, 811),
    "what was long ago": exact(*(at - 2 * MEMORY * 120 for at in AUCTIONS)),
    "what is to come": exact(*(at + 86_400 for at in AUCTIONS)),
}


@pytest.mark.parametrize(("traces", "period", "auction", "give"), KNOWN.values(), ids=KNOWN)
def test_the_rhythm_is_known_from(traces: list[Trace], period: float, auction: float, give: float) -> None:
    rhythm = infer(traces, max(trace.until for trace in traces))
    assert rhythm is not None
    assert rhythm.period == pytest.approx(period, rel=0.02)
    assert off(rhythm, auction) <= give
    assert rhythm.agreeing >= LEAST


@pytest.mark.parametrize("traces", UNKNOWN.values(), ids=UNKNOWN)
def test_the_rhythm_is_unknown_from(traces: list[Trace]) -> None:
    assert infer(traces, START + 120 * 40) is None


@given(st.floats(-1e9, 1e9))
def test_the_order_of_the_traces_and_the_hour_of_the_day_mean_nothing(shift: float) -> None:
    traces = [Trace(one.after + shift, one.until + shift) for one in looks(15, *AUCTIONS[:8])]
    now = max(trace.until for trace in traces)
    rhythm = infer(traces, now)
    assert rhythm is not None
    assert infer(reversed(traces), now) == rhythm
    assert abs(rhythm.since(START + shift + 847) % 120 - 0) % 120 < 8 or rhythm.until(START + shift + 847) < 8


@pytest.mark.parametrize("period", [2.0, 12.0, 90.0, 120.0, 300.0])
def test_a_rhythm_that_is_there_is_found_and_stays(period: float) -> None:
    """Most auctions move a price, results come within 2 % of the period, and looks are an eighth of it apart. Of sixty
    markets two at most leave doubt once ten auctions have been seen, and none is taken for another."""
    doubts = 0
    for seed in range(60):
        random = Random(seed)
        auctions = [(number + seed / 60) * period for number in range(30) if random.random() < 0.8]
        traces = looks(period / 8, *(at + random.random() * period / 50 for at in auctions))
        for count in range(10, len(traces) + 1, 4):
            rhythm = infer(traces[:count], traces[count - 1].until)
            if rhythm is None:
                doubts += 1
                break
            assert rhythm.period == pytest.approx(period, rel=0.02)
            assert off(rhythm, auctions[count - 1]) <= period * GIVE + period / 16
    assert doubts <= 2


@settings(max_examples=40)
@given(st.lists(st.floats(0, 3600), max_size=16), st.floats(0, 20))
def test_chance_is_seldom_taken_for_a_rhythm(moments: list[float], width: float) -> None:
    """Whatever is said to be known agrees with most of what is remembered of its time."""
    traces = [Trace(START + at - width, START + at) for at in moments]
    rhythm = infer(traces, START + 3600)
    if rhythm is not None:
        assert rhythm.agreeing >= LEAST


def test_since_and_until_meet() -> None:
    rhythm = Rhythm(120, START)
    assert (rhythm.since(START + 250), rhythm.until(START + 250)) == (10, 110)
    assert rhythm.since(START - 10) == 110
