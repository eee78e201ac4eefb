"""Which deliveries of a lane may be tried now, in what order, and which have come too late for it.

Every claim begins with this query, thousands of times while a price rises, so it is built once and carries nothing
that is only needed of the few that are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    RowMapping,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
)

from mithrild.fleet.matching import too_little
from mithrild.fleet.notices import CLOCKS_DIFFER
from mithrild.fleet.routing import HookRule, quiet
from mithrild.fleet.schedule import GATHERING, LONGEST_RETRY_GAP
from mithrild.store.tables import AttemptRow, DeliveryRow, EventRow, NoticeRow, TransitionRow, table_of

LONGEST_GAP = timedelta(seconds=LONGEST_RETRY_GAP)
GATHERED_WITHIN = timedelta(seconds=GATHERING)
ALL = -1
UNSURE = "it seems to be too late, and waits until the marketplace has told its time"

_deliveries, _attempts, _notices = table_of(DeliveryRow), table_of(AttemptRow), table_of(NoticeRow)
_events, _transitions = table_of(EventRow), table_of(TransitionRow)


def due(
    connection: Connection,
    lane: tuple[str, str],
    now: datetime,
    *,
    most: int = ALL,
    gather: bool = False,
    in_line: bool = False,
    urgent: bool = False,
    rehearsed: bool = False,
) -> Sequence[RowMapping]:
    """At most so many, the first to be tried first. `ready` of a row is false where it only waits for others of its
    kind, which `gather` asks for too."""
    moments = {"now": now, "gathered": now + GATHERED_WITHIN, "longest": now + LONGEST_GAP}
    moments["horizon"] = moments["gathered"] if gather else now
    values = {"hook": lane[0], "action": lane[1], "most": most, **moments}
    return connection.execute(_query(in_line, urgent, rehearsed), values).mappings().all()


@cache
def _query(in_line: bool, urgent: bool, rehearsed: bool) -> Select[Any]:
    mine, other = _deliveries, _deliveries.alias("other")
    now: Any = bindparam("now")
    # A clock that was set back must hold up nothing: neither what was never tried, which waits for others of its kind
    # at most, nor what waits for another try, whose gaps are never longer than LONGEST_GAP.
    # No notice is tried again after its deadline.
    put_off = select(1).where(_attempts.c.delivery == mine.c.id, _attempts.c.outcome == "put_off").correlate(mine)
    set_back = or_(
        mine.c.next_at > bindparam("longest"),
        and_(mine.c.next_at > bindparam("gathered"), mine.c.attempts == 0, ~put_off.exists()),
        mine.c.next_at > _notices.c.deadline,
    )
    # Where an older one may itself be held up (in a line, or since its target is left alone), a notice waits for none
    # that is not a notice too: its time would run out.
    held_up = other.c.notice.is_not(None) if in_line or urgent else true()
    earlier = and_(
        other.c.state == "pending",
        other.c.sequence < mine.c.sequence,
        other.c.next_at.is_not(None),  # it waits for nobody knows how long
        or_(_notices.c.sequence.is_(None), and_(other.c.next_at <= now, held_up)),
    )
    in_the_way = (
        select(1)
        .where(other.c.hook == mine.c.hook, other.c.action == mine.c.action, is_rehearsed(other, rehearsed))
        .where(true() if in_line else other.c.subject == mine.c.subject)
        .where(or_(other.c.state == "running", earlier))
        .correlate(mine, _notices)
        .exists()
    )
    last = select(func.max(_attempts.c.number)).where(_attempts.c.delivery == mine.c.id).correlate(mine)
    # Of many notices each has its first try before any has its second.
    nearest = (_notices.c.deadline.is_(None), mine.c.attempts > 0, _notices.c.deadline)
    return (
        select(
            *(mine.c[name] for name in ("id", "sequence", "hook", "action", "attempts", "by_hand", "rehearsal")),
            mine.c.progress,
            or_(mine.c.next_at <= now, set_back).label("ready"),
            last.scalar_subquery().label("last"),
            _notices.c.deadline,
            *(_transitions.c[name] for name in ("type", "bid", "before", "occurred_at", "window_start", "observed_at")),
            _transitions.c.ahead_seconds,
        )
        .select_from(
            mine.join(_transitions, _transitions.c.sequence == mine.c.sequence).join(
                _notices, _notices.c.sequence == mine.c.notice, isouter=True
            )
        )
        .where(mine.c.hook == bindparam("hook"), mine.c.action == bindparam("action"), mine.c.state == "pending")
        .where(or_(mine.c.next_at <= bindparam("horizon"), set_back), ~in_the_way, is_rehearsed(mine, rehearsed))
        .where(or_(_notices.c.sequence.is_not(None), mine.c.by_hand.is_(True)) if urgent else true())
        .order_by(*(() if in_line else nearest), mine.c.sequence)
        .limit(bindparam("most", type_=Integer))
    )


def is_rehearsed(deliveries: FromClause, rehearsed: bool) -> ColumnElement[bool]:
    """Whether it belongs to a test or a drill: or, the other way round, really happened."""
    return deliveries.c.rehearsal.is_not(None) if rehearsed else deliveries.c.rehearsal.is_(None)


def bodies(connection: Connection, deliveries: Sequence[str]) -> dict[str, str]:
    """The stored events of the few that are taken, by the id of the delivery."""
    query = (
        select(_deliveries.c.id, _events.c.body)
        .join(_events, _events.c.sequence == _deliveries.c.sequence)
        .where(_deliveries.c.id.in_(deliveries))
    )
    return dict(connection.execute(query).all())


def too_late(
    row: RowMapping, max_age: timedelta | None, rule: HookRule | None, now: datetime, ahead: timedelta | None
) -> tuple[str, str] | None:
    """The state and the reason of what is not to be tried any more. What a person asked for is tried all the same.

    `ahead`: the marketplace's clock minus ours, None where nobody knows it: what seems to be too late then is not tried
    yet, and stays *pending*.
    """
    if row["by_hand"]:
        return None
    late = _over(row, max_age, now, ahead) or _too_little_left(row, rule, now)
    if late is not None and ahead is None:
        return "pending", UNSURE
    return late or _kept_quiet(row, rule, now)


def _over(row: RowMapping, max_age: timedelta | None, now: datetime, ahead: timedelta | None) -> tuple[str, str] | None:
    deadline = row["deadline"]
    if deadline is not None:
        return ("expired", f"its deadline passed at {deadline:%H:%M:%S} UTC") if now > deadline else None
    if row["last"] is not None or max_age is None:
        return None
    age = _age(row, now, ahead)
    if age > max_age:
        return "skipped", f"older than max_age when its turn came ({int(age.total_seconds())} s)"
    if ahead is None and age < -CLOCKS_DIFFER:
        return "pending", "our clock was set back"
    return None


def _age(row: RowMapping, now: datetime, ahead: timedelta | None) -> timedelta:
    """How long ago it happened. Our clock may have been set since, so the marketplace's counts too; but an answer may
    tell a wrong time, and what is news by our own is not put aside for that, unless it lies in the future."""
    then = timedelta(seconds=row["ahead_seconds"])
    seen = row["window_start"] or row["observed_at"]
    happened = row["occurred_at"] or seen + then  # by the marketplace's clock
    by_ours: timedelta = now + then - happened
    if row["window_start"] is not None and row["before"] is not None:
        by_ours = min(by_ours, now - seen)
    if ahead is None:
        return by_ours
    by_theirs: timedelta = now + ahead - happened
    return min(by_ours, by_theirs) if by_ours >= -CLOCKS_DIFFER else by_theirs


def _too_little_left(row: RowMapping, rule: HookRule | None, now: datetime) -> tuple[str, str] | None:
    left = None if row["deadline"] is None else row["deadline"] - now
    reason = None if rule is None else too_little(rule.match, left)
    return None if reason is None else ("expired", reason)


def _kept_quiet(row: RowMapping, rule: HookRule | None, now: datetime) -> tuple[str, str] | None:
    reason = None if rule is None else quiet(rule, row["action"], now)
    return None if reason is None else ("skipped", reason)
