"""What /v1/status tells of the watch: how often it looks, by whose clock, and how late it sees."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from mithrild.api.answers import Json, Parts
from mithrild.fleet.event import stamp
from mithrild.health import Health
from mithrild.store.latency import SPAN, Latency, Spread


def polling(parts: Parts, requests: Json) -> Json:
    health = parts.health
    return {
        "interval_seconds": health.interval,
        "pace": health.pace,
        "polls": health.polls,
        "polls_last_minute": health.polls_a_minute(parts.clock.monotonic()),
        "discarded": health.discarded,
        **requests,
    }


def auctions(parts: Parts) -> Json | None:
    """When the auctions are, by our clock; None while it is not known."""
    rhythm, ahead = parts.health.rhythm, parts.health.ahead or timedelta()
    if rhythm is None:
        return None
    now = parts.clock.now()
    theirs = (now + ahead).timestamp()
    return {
        "period_seconds": round(rhythm.period, 3),
        "last_at": stamp(_whole(now - timedelta(seconds=rhythm.since(theirs)))),
        "next_at": stamp(_whole(now + timedelta(seconds=rhythm.until(theirs)))),
        "agreeing": rhythm.agreeing,
    }


def clock(health: Health) -> Json:
    """How far the marketplace's clock is ahead of ours; None before it has answered."""
    return {"ahead_seconds": None if health.ahead is None else round(health.ahead.total_seconds(), 1)}


def latency(figures: Latency) -> Json:
    return {
        "as_of": stamp(figures.as_of),
        "span_seconds": SPAN.total_seconds(),
        "seen": _spread(figures.seen),
        "unseen": figures.unseen,
        "hooks": _spread(figures.hooks),
        "least_left_seconds": None if figures.least_left is None else round(figures.least_left, 3),
    }


def _spread(spread: Spread | None) -> Json | None:
    """Seconds to the thousandth."""
    return None if spread is None else {name: round(value, 3) for name, value in asdict(spread).items()}


def _whole(moment: datetime) -> datetime:
    """Auctions are known to some seconds: more would be a pretence."""
    return datetime.fromtimestamp(round(moment.timestamp()), UTC)
