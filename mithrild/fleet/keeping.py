"""What is kept, and for how long: which rows may go. Pure: rows and the time in, what may go out.

Transitions are kept for ever unless somebody says otherwise. All else is bounded: what hooks print by age and size,
samples of the market by getting coarser with age.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Nothing is dropped by a clock that is further than this from the marketplace's: it would take young rows for old.
TRUSTED = timedelta(days=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each kind is kept; None is for ever. Of prices the lengths count from now, each at least the last."""

    transitions: timedelta | None
    output: timedelta | None
    output_bytes: int
    prices_whole: timedelta
    prices_hourly: timedelta
    prices_daily: timedelta | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A price sample: `cents` is None where nothing was for sale."""

    id: int
    at: datetime
    cents: int | None


@dataclass(frozen=True, slots=True)
class Coarse:
    """Of what is older than `before` no more than three samples of each `bucket` stay."""

    bucket: timedelta
    before: datetime


def distrust(skew: timedelta | None) -> str | None:
    """Why age may not be judged, None if it may. `skew`: the marketplace's clock minus ours, once it has answered."""
    if skew is None:
        return "no answer of the marketplace has confirmed the clock yet"
    if abs(skew) > TRUSTED:
        return f"the clock of this machine and the marketplace's are {abs(skew) // DAY} days apart"
    return None


def floor(moment: datetime, bucket: timedelta) -> datetime:
    """When the bucket begins in which a moment lies: hours and days of UTC."""
    return moment - (moment - _EPOCH) % bucket


def windows(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The time from `begin` to `end`, a day of UTC at a time at the most."""
    while begin < end:
        until = min(floor(begin, DAY) + DAY, end)
        yield begin, until
        begin = until


def coarser(limits: Limits, now: datetime) -> tuple[Coarse, Coarse]:
    """What becomes hourly and what becomes daily by now. A bucket that is still growing stays as it is."""
    hourly = floor(now - limits.prices_whole, HOUR)
    daily = floor(min(hourly, now - limits.prices_hourly), DAY)
    return Coarse(HOUR, hourly), Coarse(DAY, daily)


def too_old_prices(limits: Limits, now: datetime) -> datetime | None:
    """Before when no price is kept at all; None for never."""
    if limits.prices_daily is None:
        return None
    return min(now - limits.prices_daily, coarser(limits, now)[1].before)


def superfluous(samples: Iterable[Sample], bucket: timedelta) -> list[int]:
    """The ids of one auction's samples that may go: of each bucket the lowest, the highest and the last stay.

    What stays is what was really sampled, and the last says what the next bucket began with. Doing it again drops
    nothing more, and coarser buckets made of finer ones keep the same three.
    """
    groups: dict[datetime, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(floor(sample.at, bucket), []).append(sample)
    going: list[int] = []
    for group in groups.values():
        group.sort(key=lambda sample: (sample.at, sample.id))
        priced = [(sample.cents, at) for at, sample in enumerate(group) if sample.cents is not None]
        stays = {len(group) - 1}
        if priced:
            stays |= {min(priced)[1], max(priced)[1]}
        going += [sample.id for at, sample in enumerate(group) if at not in stays]
    return going


def spilled(outputs: Sequence[tuple[datetime, int]], total: int, limits: Limits, now: datetime) -> int:
    """How many of the oldest outputs may go. `outputs`: (when, bytes) of some, the oldest first; `total`: of all."""
    cutoff = None if limits.output is None else now - limits.output
    for count, (at, size) in enumerate(outputs):
        if total <= limits.output_bytes and (cutoff is None or at >= cutoff):
            return count
        total -= size
    return len(outputs)
