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

from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, func, insert, select, true, update

from mithrild.fleet.routing import HookRule
from mithrild.store.database import Database
from mithrild.store.due import ALL, bodies, due, is_rehearsed, too_late
from mithrild.store.read import chunks
from mithrild.store.tables import AttemptRow, DeliveryRow, NoticeRow, table_of

Lane = tuple[str, str]  # a hook and one of its actions

_deliveries, _attempts, _notices = table_of(DeliveryRow), table_of(AttemptRow), table_of(NoticeRow)


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
    look = partial(due, lane=lane, now=now, gather=gather, in_line=in_line, urgent=urgent, rehearsed=rehearsed)

    def work(connection: Connection) -> list[Claim]:
        taken: list[Claim] = []
        while len(taken) < free:
            wanted = free - len(taken)
            groups = _groups(look(connection, most=ALL)) if gather else [[row] for row in look(connection, most=wanted)]
            fresh, late = _sorted_out(groups[:wanted], max_age, rule, now)
            _put_aside(connection, late, now)
            taken += _take(connection, fresh, run, now)
            if not late:
                break
        return taken

    return database.keep(work)


def _groups(rows: Sequence[RowMapping]) -> list[list[RowMapping]]:
    """What tells the same of several nodes of one bid goes out together, as soon as one of it is ready."""
    groups: dict[tuple[Any, ...], list[RowMapping]] = {}
    for row in rows:
        groups.setdefault((row["bid"] or row["id"], row["type"], row["rehearsal"]), []).append(row)
    return [group for group in groups.values() if any(row["ready"] for row in group)]


def _sorted_out(
    groups: Sequence[Sequence[RowMapping]], max_age: timedelta | None, rule: HookRule | None, now: datetime
) -> tuple[list[list[RowMapping]], list[tuple[RowMapping, str, str]]]:
    """What is to be tried, and what is too late, with its state and reason."""
    fresh: list[list[RowMapping]] = []
    late: list[tuple[RowMapping, str, str]] = []
    for group in groups:
        judged = [(row, too_late(row, max_age, rule, now)) for row in group]
        late += [(row, *verdict) for row, verdict in judged if verdict is not None]
        if left := [row for row, verdict in judged if verdict is None]:
            fresh.append(left)
    return fresh, late


def _put_aside(connection: Connection, late: Sequence[tuple[RowMapping, str, str]], now: datetime) -> None:
    rows = [{"its_id": row["id"], "state": state, "reason": reason} for row, state, reason in late]
    if rows:
        its_own = _deliveries.c.id == bindparam("its_id")
        connection.execute(
            update(_deliveries)
            .where(its_own)
            .values(state=bindparam("state"), reason=bindparam("reason"), finished_at=now, next_at=None),
            rows,
        )


def _take(connection: Connection, groups: Sequence[Sequence[RowMapping]], run: str, now: datetime) -> list[Claim]:
    rows = [row for group in groups for row in group]
    if not rows:
        return []
    numbers = {row["id"]: (row["last"] or 0) + 1 for row in rows}
    started = [{"delivery": id, "number": number, "started_at": now} for id, number in numbers.items()]
    connection.execute(insert(_attempts), started)
    told: dict[str, str] = {}
    for some in chunks(list(numbers)):
        connection.execute(
            update(_deliveries)
            .where(_deliveries.c.id.in_(some))
            .values(state="running", lease=run, attempts=_deliveries.c.attempts + 1)
        )
        told |= bodies(connection, some)
    claims = {
        row["id"]: Claim(
            id=row["id"],
            hook=row["hook"],
            action=row["action"],
            sequence=row["sequence"],
            number=numbers[row["id"]],
            tries=row["attempts"] + 1,
            body=told[row["id"]],
            deadline=row["deadline"],
            progress=row["progress"],
            rehearsal=row["rehearsal"],
        )
        for row in rows
    }
    in_groups = [[claims[row["id"]] for row in group] for group in groups]
    return [replace(first, together=tuple(others)) for first, *others in in_groups]


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

    def work(connection: Connection) -> None:
        for one in (claim, *claim.together):
            _settle(connection, one, outcome, run, now)
        for write in also:
            write(connection)

    database.keep(work)


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


def unended(database: Database) -> list[str]:
    """The deliveries that are to be run, or were being run, as far as is known."""
    with database.read() as connection:
        query = select(_deliveries.c.id).where(_deliveries.c.state.in_(("pending", "running")))
        return list(connection.execute(query).scalars())


def void_leases(database: Database, now: datetime) -> None:
    """At start, by the holder of the lock: whoever had these is gone, and nobody knows how far they came."""

    def work(connection: Connection) -> None:
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

    database.keep(work)


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

    def work(connection: Connection) -> int:
        return connection.execute(
            update(_deliveries)
            .where(_deliveries.c.state == "pending", _deliveries.c.hook == hook, _deliveries.c.action == action)
            .values(state="cancelled", finished_at=now, next_at=None, reason=reason)
        ).rowcount

    return database.keep(work)


def next_due(database: Database, after: datetime) -> datetime | None:
    """When the next waiting delivery comes due."""
    with database.read() as connection:
        query = select(func.min(_deliveries.c.next_at)).where(
            _deliveries.c.state == "pending", _deliveries.c.next_at > after
        )
        return connection.execute(query).scalar()
