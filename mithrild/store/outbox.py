"""The outbox: which deliveries are due, who is at them, and how each try ended.

At least once, with a stable id. A delivery is claimed (leased to this run of the daemon) before its
effect and settled after it; a crash between the two repeats it under the same id. Each action of each hook is a
lane of its own. For one lane and one subject deliveries run in the order in which their events were learned, except
that a notice does not wait for an older delivery that is only waiting for its next try.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, RowMapping, and_, func, insert, or_, select, true, update

from mithrild.fleet.matching import too_little
from mithrild.fleet.routing import HookRule, quiet
from mithrild.fleet.schedule import GATHERING, LONGEST_RETRY_GAP
from mithrild.store.database import Database
from mithrild.store.tables import AttemptRow, DeliveryRow, EventRow, NoticeRow, TransitionRow, table_of

LONGEST_GAP = timedelta(seconds=LONGEST_RETRY_GAP)
GATHERED_WITHIN = timedelta(seconds=GATHERING)

Lane = tuple[str, str]  # a hook and one of its actions

_deliveries, _attempts, _notices = table_of(DeliveryRow), table_of(AttemptRow), table_of(NoticeRow)
_events, _transitions = table_of(EventRow), table_of(TransitionRow)


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this run has taken. `deadline` is that of its notice, as it stands now."""

    id: str
    hook: str
    action: str
    sequence: int
    number: int  # of this start, 1 for the first
    tries: int  # that count, this one included
    body: str
    deadline: datetime | None
    progress: str | None = None  # what a former try left to be known
    together: tuple[Claim, ...] = ()  # what goes out in the same message, and is settled with it
    rehearsal: str | None = None  # the test or drill that it belongs to


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try ended. `state` is what the delivery becomes; `pending` with `next_at` tries again."""

    state: str
    outcome: str  # done, retry, failed, interrupted
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    output: str | None = None
    next_at: datetime | None = None
    counts: bool = True
    progress: str | None = None


def claim(
    database: Database,
    lane: Lane,
    *,
    free: int,
    max_age: timedelta | None,
    run: str,
    now: datetime,
    rule: HookRule | None = None,
    gather: bool = False,
    in_line: bool = False,
    urgent: bool = False,
    rehearsed: bool = False,
) -> list[Claim]:
    """Takes up to `free` due deliveries of a lane, those with the nearest deadline first: of what really happened, or
    of what is `rehearsed`. Neither makes the other wait.

    On the way, what is too late is put aside, with its reason: *expired* past the deadline of its notice, or with less
    time left than its `rule` asks for; *skipped* when it is older than `max_age` before its first try, or falls into
    quiet hours. What a person asked for is tried all the same. With `gather` each takes along what tells the same of
    other nodes of its bid, due or still waiting for just that. With `in_line` deliveries come in the order of their
    events, whatever their subject; with `urgent` only those that have a deadline, or that a person asked for.
    """
    due = partial(_due, lane, in_line=in_line, urgent=urgent, rehearsed=rehearsed)
    take = partial(_take_or_put_aside, max_age=max_age, rule=rule, run=run, now=now)
    taken: list[Claim] = []
    with database.write() as connection:
        while len(taken) < free:
            left = free - len(taken)
            rows = connection.execute(due(now).limit(1 if gather else left)).mappings().all()
            if not rows:
                break
            claims = take(connection, rows)
            if gather and claims and rows[0]["bid"] is not None:
                kin = connection.execute(_kin(due(now + GATHERED_WITHIN), rows[0])).mappings().all()
                claims = [replace(claims[0], together=tuple(take(connection, kin)))]
            taken += claims
    return taken


def _kin(due: Any, row: RowMapping) -> Any:
    """What tells the same as this delivery, of other nodes of its bid."""
    return due.where(
        _transitions.c.bid == row["bid"],
        _events.c.type == row["type"],
        _deliveries.c.rehearsal.is_not_distinct_from(row["rehearsal"]),
    )


def _take_or_put_aside(
    connection: Connection,
    rows: Sequence[RowMapping],
    *,
    max_age: timedelta | None,
    rule: HookRule | None,
    run: str,
    now: datetime,
) -> list[Claim]:
    taken = []
    for row in rows:
        late = None if row["by_hand"] else _too_late(row, max_age, now) or _kept_still(row, rule, now)
        if late is not None:
            state, reason = late
            settle = {"state": state, "reason": reason, "finished_at": now, "next_at": None}
            connection.execute(update(_deliveries).where(_deliveries.c.id == row["id"]).values(settle))
        else:
            taken.append(_take(connection, row, run, now))
    return taken


def _due(lane: Lane, now: datetime, *, in_line: bool, urgent: bool, rehearsed: bool) -> Any:
    mine, other = _deliveries, _deliveries.alias("other")
    attempted = select(_attempts.c.delivery).where(_attempts.c.delivery == mine.c.id).correlate(mine).exists()
    # A clock that was set back must hold up nothing: neither what was never tried, which waits for others of its kind
    # at most, nor what waits for another try, whose gaps are never longer than LONGEST_GAP.
    never_tried = and_(mine.c.attempts == 0, mine.c.next_at > now + GATHERED_WITHIN)
    is_due = or_(mine.c.next_at <= now, mine.c.next_at > now + LONGEST_GAP, never_tried)
    # Where an older one may itself be held up (in a line, or since its target is left alone), a notice waits for none
    # that is not a notice too: its time would run out.
    held_up = other.c.notice.is_not(None) if in_line or urgent else true()
    earlier = and_(
        other.c.state == "pending",
        other.c.sequence < mine.c.sequence,
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
    by_deadline = () if in_line else (_notices.c.deadline.is_(None), _notices.c.deadline)
    return (
        select(
            mine,
            _events.c.body,
            _events.c.type,
            _notices.c.deadline,
            _transitions.c.bid,
            attempted.label("attempted"),
            _transitions.c.occurred_at,
            _transitions.c.window_start,
            _transitions.c.observed_at,
            _transitions.c.ahead_seconds,
        )
        .select_from(
            mine.join(_events, _events.c.sequence == mine.c.sequence)
            .join(_transitions, _transitions.c.sequence == mine.c.sequence)
            .join(_notices, _notices.c.sequence == mine.c.notice, isouter=True)
        )
        .where(mine.c.hook == lane[0], mine.c.action == lane[1], mine.c.state == "pending", is_due, ~in_the_way)
        .where(is_rehearsed(mine, rehearsed))
        .where(or_(_notices.c.sequence.is_not(None), mine.c.by_hand.is_(True)) if urgent else true())
        .order_by(*by_deadline, mine.c.sequence)
    )


def is_rehearsed(deliveries: FromClause, rehearsed: bool) -> ColumnElement[bool]:
    """Whether it belongs to a test or a drill: or, the other way round, really happened."""
    return deliveries.c.rehearsal.is_not(None) if rehearsed else deliveries.c.rehearsal.is_(None)


def _too_late(row: RowMapping, max_age: timedelta | None, now: datetime) -> tuple[str, str] | None:
    deadline = row["deadline"]
    if deadline is not None:
        return ("expired", f"its deadline passed at {deadline:%H:%M:%S} UTC") if now > deadline else None
    happened = row["window_start"] or row["observed_at"]
    if row["occurred_at"] is not None:  # by the marketplace's clock
        happened = row["occurred_at"] - timedelta(seconds=row["ahead_seconds"])
    if not row["attempted"] and max_age is not None and now - happened > max_age:
        return "skipped", f"older than max_age when its turn came ({int((now - happened).total_seconds())} s)"
    return None


def _kept_still(row: RowMapping, rule: HookRule | None, now: datetime) -> tuple[str, str] | None:
    if rule is None:
        return None
    left = None if row["deadline"] is None else row["deadline"] - now
    if (reason := too_little(rule.match, left)) is not None:
        return "expired", reason
    if (reason := quiet(rule, row["action"], now)) is not None:
        return "skipped", reason
    return None


def _take(connection: Connection, row: RowMapping, run: str, now: datetime) -> Claim:
    latest = select(func.max(_attempts.c.number)).where(_attempts.c.delivery == row["id"])
    number = (connection.execute(latest).scalar() or 0) + 1
    connection.execute(insert(_attempts).values(delivery=row["id"], number=number, started_at=now))
    connection.execute(
        update(_deliveries)
        .where(_deliveries.c.id == row["id"])
        .values(state="running", lease=run, attempts=row["attempts"] + 1)
    )
    return Claim(
        id=row["id"],
        hook=row["hook"],
        action=row["action"],
        sequence=row["sequence"],
        number=number,
        tries=row["attempts"] + 1,
        body=row["body"],
        deadline=row["deadline"],
        progress=row["progress"],
        rehearsal=row["rehearsal"],
    )


def settle(
    database: Database,
    claim: Claim,
    outcome: Outcome,
    *,
    run: str,
    now: datetime,
    also: Sequence[Callable[[Connection], None]] = (),
) -> None:
    """Records how a try ended, after its effect, for all that went out together. A notice that ended meanwhile ends
    the waiting too.

    `also`: what is to be written in the same transaction.
    """
    with database.write() as connection:
        for one in (claim, *claim.together):
            _settle(connection, one, outcome, run, now)
        for write in also:
            write(connection)


def _settle(connection: Connection, claim: Claim, outcome: Outcome, run: str, now: datetime) -> None:
    connection.execute(
        update(_attempts)
        .where(_attempts.c.delivery == claim.id, _attempts.c.number == claim.number)
        .values(
            ended_at=now,
            outcome=outcome.outcome,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            reason=outcome.reason,
            output=outcome.output,
            output_bytes=None if outcome.output is None else len(outcome.output.encode()),
        )
    )
    state, reason, next_at = outcome.state, outcome.reason, outcome.next_at
    if state == "pending":
        over = connection.execute(
            select(_notices.c.ended_how)
            .join(_deliveries, _deliveries.c.notice == _notices.c.sequence)
            .where(_deliveries.c.id == claim.id, _notices.c.ended_at.is_not(None), ~_deliveries.c.by_hand)
        ).scalar()
        if over is not None:
            state, reason, next_at = "superseded", f"the notice is over: {over}", None
    connection.execute(
        update(_deliveries)
        .where(_deliveries.c.id == claim.id, _deliveries.c.lease == run)
        .values(
            state=state,
            reason=reason,
            lease=None,
            next_at=next_at,
            finished_at=None if state == "pending" else now,
            progress=claim.progress if outcome.progress is None else outcome.progress,
            attempts=_deliveries.c.attempts - (0 if outcome.counts else 1),
        )
    )


def unfinished_leases(database: Database) -> list[str]:
    """The deliveries that a run of the daemon had claimed and never settled."""
    with database.read() as connection:
        return list(connection.execute(select(_deliveries.c.id).where(_deliveries.c.state == "running")).scalars())


def void_leases(database: Database, now: datetime) -> None:
    """At start, by the holder of the lock: whoever had these is gone, and nobody knows how far they came."""
    with database.write() as connection:
        lost = select(_deliveries.c.id).where(_deliveries.c.state == "running")
        connection.execute(
            update(_attempts)
            .where(_attempts.c.delivery.in_(lost), _attempts.c.ended_at.is_(None))
            .values(ended_at=now, outcome="interrupted", reason="the daemon ended while it ran")
        )
        connection.execute(
            update(_deliveries).where(_deliveries.c.state == "running").values(state="pending", lease=None, next_at=now)
        )
        # A notice may have ended while its delivery ran: then there is nothing left to repeat it for.
        over = _notices.c.ended_at.is_not(None) & (_notices.c.sequence == _deliveries.c.notice)
        ended_how = select(_notices.c.ended_how).where(over).correlate(_deliveries)
        connection.execute(
            update(_deliveries)
            .where(_deliveries.c.state == "pending", ~_deliveries.c.by_hand, ended_how.exists())
            .values(
                state="superseded",
                finished_at=now,
                next_at=None,
                reason="the notice is over: " + func.coalesce(ended_how.scalar_subquery(), ""),
            )
        )


def waiting_lanes(database: Database) -> list[Lane]:
    """The lanes in which something waits, due or not."""
    return _waiting(database, true())


def rehearsing_lanes(database: Database) -> list[Lane]:
    """Those in which something of a test or a drill waits."""
    return _waiting(database, is_rehearsed(_deliveries, True))


def _waiting(database: Database, which: ColumnElement[bool]) -> list[Lane]:
    with database.read() as connection:
        query = select(_deliveries.c.hook, _deliveries.c.action).where(_deliveries.c.state == "pending", which)
        return [(hook, action) for hook, action in connection.execute(query.distinct())]


def cancel(database: Database, lane: Lane, reason: str, now: datetime) -> int:
    """Ends what is queued in a lane, visibly."""
    hook, action = lane
    with database.write() as connection:
        return connection.execute(
            update(_deliveries)
            .where(_deliveries.c.state == "pending", _deliveries.c.hook == hook, _deliveries.c.action == action)
            .values(state="cancelled", finished_at=now, next_at=None, reason=reason)
        ).rowcount


def next_due(database: Database, after: datetime) -> datetime | None:
    """When the next waiting delivery comes due."""
    with database.read() as connection:
        query = select(func.min(_deliveries.c.next_at)).where(
            _deliveries.c.state == "pending", _deliveries.c.next_at > after
        )
        return connection.execute(query).scalar()
