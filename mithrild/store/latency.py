"""How long after the fact things were seen, and hooks begun, in the last day: by the marketplace's own times.

A poll sees a step some time after it happened; when it happened the marketplace's history tells later. What nobody saw
but the history (backfilled), and what already was so at a first sight, was never seen in time: that is counted, and not
timed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Float, cast, func, select

from mithrild.clock import Clock
from mithrild.store.database import Database
from mithrild.store.tables import AttemptRow, DeliveryRow, NoticeRow, TransitionRow, table_of

_transitions, _notices = table_of(TransitionRow), table_of(NoticeRow)
_deliveries, _attempts = table_of(DeliveryRow), table_of(AttemptRow)

SPAN = timedelta(days=1)
GOOD_FOR = 30.0  # seconds: a day of a large fleet is some work to sort
# A zero time, to some marketplaces the year 1, is none.
_NO_TIME = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds: half of `count` took `p50` at most, and 95 % `p95`."""

    count: int
    p50: float
    p95: float
    worst: float


@dataclass(frozen=True, slots=True)
class Latency:
    """`unseen` steps were never seen in time. `least_left` is the shortest time, in seconds, that the first try for a
    notice still had until its deadline: below zero it came too late."""

    as_of: datetime
    seen: Spread | None
    unseen: int
    hooks: Spread | None
    least_left: float | None


class Latencies:
    """The figures, taken anew when they are older than half a minute."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._taken: tuple[float, Latency] | None = None

    def latest(self) -> Latency:
        with self._lock:
            now = self._clock.monotonic()
            if self._taken is None or not 0 <= now - self._taken[0] < GOOD_FOR:
                with self._database.read_kept() as connection:
                    self._taken = now, measure(connection, self._clock.now())
            return self._taken[1]


def measure(connection: Connection, now: datetime) -> Latency:
    """The figures of the day that ends now."""
    recent = _transitions.c.observed_at >= now - SPAN
    timely = (_transitions.c.provenance == "observed") & _transitions.c.baseline.is_(False)
    status = _transitions.c.kind.in_(("bid", "instance")) & (_transitions.c.aspect == "status")
    when_seen = _seconds(_transitions.c.observed_at)
    seen = connection.execute(select(when_seen - _happened()).where(recent, status, timely, _told())).scalars()
    late = (_transitions.c.provenance == "backfilled") | _transitions.c.baseline.is_(True)
    unseen = connection.execute(select(func.count()).where(recent, status, late)).scalar_one()

    began = _seconds(_attempts.c.started_at)
    # What nobody but we can tell (that all of a bid runs) began when we saw it.
    after = began - func.iif(_told(), _happened(), when_seen)
    tries = (
        _transitions.join(_deliveries, _deliveries.c.sequence == _transitions.c.sequence)
        .join(_attempts, _attempts.c.delivery == _deliveries.c.id)
        .join(_notices, _notices.c.sequence == _deliveries.c.notice, isouter=True)
    )
    by_itself = _deliveries.c.rehearsal.is_(None) & _deliveries.c.by_hand.is_(False)
    first = by_itself & (_attempts.c.number == 1)
    query = select(after, _seconds(_notices.c.deadline) - began).select_from(tries).where(recent, timely, first)
    hooks = connection.execute(query).all()
    left = [until_deadline for _, until_deadline in hooks if until_deadline is not None]
    return Latency(now, _spread(seen), unseen, _spread(took for took, _ in hooks), min(left, default=None))


def _told() -> ColumnElement[bool]:
    return _transitions.c.occurred_at > _NO_TIME


def _happened() -> ColumnElement[float]:
    """When it happened, by our clock as it then was."""
    return _seconds(_transitions.c.occurred_at) - _transitions.c.ahead_seconds


def _seconds(column: ColumnElement[datetime]) -> ColumnElement[float]:
    return cast(func.julianday(column), Float) * 86400.0


def _spread(seconds: Iterable[float]) -> Spread | None:
    # No step was seen before it happened: what seems so is what is left of the difference of two clocks.
    sorted_ = sorted(max(one, 0.0) for one in seconds)
    if not sorted_:
        return None
    return Spread(len(sorted_), _quantile(sorted_, 0.5), _quantile(sorted_, 0.95), sorted_[-1])


def _quantile(sorted_: list[float], part: float) -> float:
    """The smallest value that at least this part of all does not exceed."""
    return sorted_[math.ceil(part * len(sorted_)) - 1]
