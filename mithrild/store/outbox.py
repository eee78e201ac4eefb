"""The outbox: which deliveries are due, who is at them, and how each try ended.

At least once, with a stable id. A delivery is claimed (leased to this run of the daemon) before its
effect and settled after it; a crash between the two repeats it under the same id. Each action of each hook is a
lane of its own. For one lane and one subject deliveries run in the order in which their events were learned, except
that a notice does not wait for an older delivery that is only waiting for its next try.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Integer, RowMapping, bindparam, insert, select, update

from mithrild.fleet.routing import HookRule
from mithrild.store.cursor import present_ahead
from mithrild.store.database import Database
from mithrild.store.due import ALL, bodies, due, too_late
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
    by_hand: bool = False  # a person asked for it

    @property
    def urgent(self) -> bool:
        """Whether it is tried even at a target that is left alone."""
        return self.deadline is not None or self.by_hand


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try ended. `state` is what the delivery becomes; `pending` with `next_at` tries again."""

    state: str
    outcome: str  # done, retry, failed, interrupted, put_off
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    output: str | None = None
    next_at: datetime | None = None
    counts: bool = True
    progress: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The end of a try, and when that was. `also`: what is to be written in the same transaction."""

    claim: Claim
    outcome: Outcome
    at: datetime
    also: Sequence[Callable[[Connection], None]] = ()


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
    sure: bool = True,
) -> list[Claim]:
    """Takes up to `free` due deliveries of a lane, those with the nearest deadline first: of what really happened, or
    of what is `rehearsed`. Neither makes the other wait.

    On the way, what is too late is put aside, with its reason: *expired* past the deadline of its notice, or with less
    time left than its `rule` asks for; *skipped* when it is older than `max_age` before its first try, or falls into
    quiet hours. What a person asked for is tried all the same. With `gather` each takes along what tells the same of
    other nodes of its bid, due or still waiting for just that. With `in_line` deliveries come in the order of their
    events, whatever their subject; with `urgent` only those that have a deadline, or that a person asked for. Unless we
    are `sure` of our clock, what seems to be too late is held until somebody lets it go.
    """
    look = partial(due, lane=lane, now=now, gather=gather, in_line=in_line, urgent=urgent, rehearsed=rehearsed)

    def work(connection: Connection) -> list[Claim]:
        taken: list[Claim] = []
        ahead = present_ahead(connection) if sure else None
        while len(taken) < free:
            wanted = free - len(taken)
            groups = _groups(look(connection, most=ALL)) if gather else [[row] for row in look(connection, most=wanted)]
            judge = partial(too_late, max_age=max_age, rule=rule, now=now, ahead=ahead)
            fresh, late = _sorted_out(groups[:wanted], judge)
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
    groups: Sequence[Sequence[RowMapping]], judge: Callable[[RowMapping], tuple[str, str] | None]
) -> tuple[list[list[RowMapping]], list[tuple[RowMapping, str, str]]]:
    """What is to be tried, and what is too late, with its state and reason."""
    fresh: list[list[RowMapping]] = []
    late: list[tuple[RowMapping, str, str]] = []
    for group in groups:
        judged = [(row, judge(row)) for row in group]
        late += [(row, *verdict) for row, verdict in judged if verdict is not None]
        if left := [row for row, verdict in judged if verdict is None]:
            fresh.append(left)
    return fresh, late


def _put_aside(connection: Connection, late: Sequence[tuple[RowMapping, str, str]], now: datetime) -> None:
    rows = [
        {"its_id": row["id"], "state": state, "reason": reason, "finished_at": None if state == "pending" else now}
        for row, state, reason in late
    ]
    if rows:
        its_own = _deliveries.c.id == bindparam("its_id")
        connection.execute(
            update(_deliveries)
            .where(its_own)
            .values({name: bindparam(name) for name in ("state", "reason", "finished_at")})
            .values(next_at=None),
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
            by_hand=row["by_hand"],
        )
        for row in rows
    }
    in_groups = [[claims[row["id"]] for row in group] for group in groups]
    return [replace(first, together=tuple(others)) for first, *others in in_groups]


def settle_all(database: Database, ends: Sequence[End], *, run: str) -> None:
    """Records how tries ended, after their effects, for all that went out together. A notice that ended meanwhile ends
    the waiting too. All of it is kept, or nothing."""

    def work(connection: Connection) -> None:
        told = [(one, end) for end in ends for one in (end.claim, *end.claim.together)]
        over = _over(connection, [one.id for one, end in told if end.outcome.state == "pending"])
        # Each kind of statement once, with many rows: in a storm hundreds of tries end within a second.
        connection.execute(_END_OF_A_TRY, [_how_it_ended(one, end) for one, end in told])
        connection.execute(_WHAT_BECOMES, [{"run": run, **_what_becomes(one, end, over)} for one, end in told])
        for end in ends:
            for write in end.also:
                write(connection)

    if ends:
        database.keep(work)


_END_OF_A_TRY = (
    update(_attempts)
    .where(_attempts.c.delivery == bindparam("its_id"), _attempts.c.number == bindparam("its_number"))
    .values({name: bindparam(name) for name in ("ended_at", "outcome", "exit_code", "signal", "reason", "output")})
    .values(output_bytes=bindparam("output_bytes"))
)
_WHAT_BECOMES = (
    update(_deliveries)
    .where(_deliveries.c.id == bindparam("its_id"), _deliveries.c.lease == bindparam("run"))
    .values({name: bindparam(name) for name in ("state", "reason", "next_at", "finished_at", "progress")})
    .values(lease=None, attempts=_deliveries.c.attempts - bindparam("uncounted", type_=Integer))
)


def _how_it_ended(claim: Claim, end: End) -> dict[str, object]:
    outcome = end.outcome
    return {
        "its_id": claim.id,
        "its_number": claim.number,
        "ended_at": end.at,
        "outcome": outcome.outcome,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "reason": outcome.reason,
        "output": outcome.output,
        "output_bytes": None if outcome.output is None else len(outcome.output.encode()),
    }


def _what_becomes(claim: Claim, end: End, over: Mapping[str, str]) -> dict[str, object]:
    outcome = end.outcome
    state, reason, next_at = outcome.state, outcome.reason, outcome.next_at
    if claim.id in over:
        state, reason, next_at = "superseded", f"the notice is over: {over[claim.id]}", None
    return {
        "its_id": claim.id,
        "state": state,
        "reason": reason,
        "next_at": next_at,
        "finished_at": None if state == "pending" else end.at,
        "progress": claim.progress if outcome.progress is None else outcome.progress,
        "uncounted": 0 if outcome.counts else 1,
    }


def _over(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Of these, those whose notice is over, and how it ended. What a person asked for goes on all the same."""
    found: dict[str, str] = {}
    for some in chunks(ids):
        query = (
            select(_deliveries.c.id, _notices.c.ended_how)
            .join(_notices, _deliveries.c.notice == _notices.c.sequence)
            .where(_deliveries.c.id.in_(some), _notices.c.ended_at.is_not(None), ~_deliveries.c.by_hand)
        )
        found |= dict(connection.execute(query).all())
    return found
