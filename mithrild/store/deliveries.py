"""Deliveries as they are looked at: lists of them, one with all its tries, and how many ended in which way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, select

from mithrild.store.tables import AttemptRow, DeliveryRow, EventRow, NoticeRow, table_of

_deliveries, _attempts, _events = table_of(DeliveryRow), table_of(AttemptRow), table_of(EventRow)
_notices = table_of(NoticeRow)

# Ended without having done what they were for.
FAILED = ("failed", "dead", "expired")
SHORTEST_PREFIX = len("dlv_") + 4


def listing(
    connection: Connection,
    *,
    hook: str | None = None,
    event: str | None = None,
    states: Collection[str] = (),
    rehearsal: str | None = None,
    rehearsals: bool = True,
    ended_since: datetime | None = None,
    limit: int = 100,
) -> Sequence[RowMapping]:
    """Deliveries with their last try and the deadline of their notice, the newest first. With `rehearsals` False only
    what really happened."""
    # Which they are is settled first, in an index: sorting whole rows, with all their text, would take seconds.
    order = (_deliveries.c.sequence.desc(), _deliveries.c.hook, _deliveries.c.action)
    chosen = select(_deliveries.c.id).order_by(*order).limit(limit)
    its_sequence = select(_events.c.sequence).where(_events.c.id == event).scalar_subquery()
    for condition, asked in (
        (_deliveries.c.hook == hook, hook is not None),
        (_deliveries.c.sequence == its_sequence, event is not None),
        (_deliveries.c.state.in_(states), bool(states)),
        (_deliveries.c.rehearsal == rehearsal, rehearsal is not None),
        (_deliveries.c.rehearsal.is_(None), not rehearsals),
    ):
        if asked:
            chosen = chosen.where(condition)
    if ended_since is not None:
        chosen = chosen.where(_deliveries.c.finished_at >= ended_since)
    query = _with_last_try().where(_deliveries.c.id.in_(chosen)).order_by(*order)
    return connection.execute(query).mappings().all()


def find(connection: Connection, id: str) -> list[RowMapping]:
    """The deliveries whose id is this or begins with it. Fewer than four of its digits find nothing."""
    query = _with_last_try().limit(2)
    exact = connection.execute(query.where(_deliveries.c.id == id)).mappings().all()
    if exact or len(id) < SHORTEST_PREFIX:
        return list(exact)
    return list(connection.execute(query.where(_deliveries.c.id.startswith(id, autoescape=True))).mappings())


def tries(connection: Connection, id: str) -> list[RowMapping]:
    """Every try of a delivery, with the deadline of its notice as it now stands."""
    query = (
        select(_attempts, _notices.c.deadline)
        .select_from(
            _attempts.join(_deliveries, _deliveries.c.id == _attempts.c.delivery).join(
                _notices, _notices.c.sequence == _deliveries.c.notice, isouter=True
            )
        )
        .where(_attempts.c.delivery == id)
        .order_by(_attempts.c.number)
    )
    return list(connection.execute(query).mappings())


def tally(connection: Connection) -> dict[str, dict[str, int]]:
    """How many deliveries of each hook are in each state. Rehearsals do not count."""
    counts: dict[str, dict[str, int]] = {}
    query = (
        select(_deliveries.c.hook, _deliveries.c.state, func.count())
        .where(_deliveries.c.rehearsal.is_(None))
        .group_by(_deliveries.c.hook, _deliveries.c.state)
    )
    for hook, state, count in connection.execute(query):
        counts.setdefault(hook, {})[state] = count
    return counts


def _with_last_try() -> Select[Any]:
    numbers = _attempts.alias("numbers")
    last = select(func.max(numbers.c.number)).where(numbers.c.delivery == _deliveries.c.id).correlate(_deliveries)
    return select(
        _deliveries,
        _events.c.id.label("event"),
        _events.c.type,
        _events.c.body,
        _attempts.c.started_at,
        _attempts.c.exit_code,
        _attempts.c.output,
        _attempts.c.output_bytes,
        _notices.c.deadline,
    ).select_from(
        _deliveries.join(_events, _events.c.sequence == _deliveries.c.sequence)
        .join(_notices, _notices.c.sequence == _deliveries.c.notice, isouter=True)
        .join(
            _attempts,
            and_(_attempts.c.delivery == _deliveries.c.id, _attempts.c.number == last.scalar_subquery()),
            isouter=True,
        )
    )
