"""One poll, one transaction: fleet rows, transitions, events, outbox rows and the poll cursor.

The diff is taken *inside* the transaction, against the rows as they stand, so nothing that another commit
wrote in between can be overwritten or reported twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from mithrild.fleet import event as events
from mithrild.fleet.diff import Stamp, apply, diff
from mithrild.fleet.model import Fleet, Kind, Notice, Snapshot, Transition
from mithrild.fleet.notices import NoticeChanges, follow
from mithrild.fleet.routing import HookRule
from mithrild.store import cursor as cursors
from mithrild.store import read, turns, wishes
from mithrild.store.database import Database
from mithrild.store.rows import notice_row
from mithrild.store.tables import DeliveryRow, NoticeRow, ProjectRow, table_of
from mithrild.store.writing import insert_notices, put_fleet, write_events, write_transitions

_notices, _deliveries, _projects = table_of(NoticeRow), table_of(DeliveryRow), table_of(ProjectRow)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a commit added: each transition with its sequence, and the events among them that are news."""

    steps: tuple[tuple[int, Transition], ...] = ()
    events: int = 0
    deliveries: int = 0
    first_sight: frozenset[Kind] = field(default_factory=frozenset)
    wishes: bool = False  # whether the marketplace is now to be asked for what nobody saw


def record(
    database: Database,
    seen: Snapshot,
    rules: Sequence[HookRule],
    *,
    host: str,
    window: Stamp,
    changed: bool = True,
    pause: timedelta = timedelta.max,
    lost: bool = False,
) -> Recorded:
    """Commits what a poll saw. `window` tells when each subject was last looked at by this process, None if
    it was not: then the project's last whole poll counts. With `changed` False the caller has seen that the
    snapshot is what the record holds: only the poll cursor moves. A complete poll that was begun more than `pause`
    after the one before it leaves a gap, which is to be looked back at. `lost`: our clock may
    have been set since the last commit."""

    def work(connection: Connection, seen: Snapshot = seen) -> Recorded:
        set_at = seen.observed_at if lost else None
        told_anew = cursors.put_in_present_terms(connection, seen.project, seen.ahead, set_at)
        wanted = {bid for project in told_anew for bid in wishes.untimed(connection, project, seen.observed_at)}
        cursor = read.project(connection, seen.project)
        fresh, seen = _first_sight(cursor, seen)
        if not changed and not fresh:
            wishes.want(connection, *wanted)
            gap = _write_cursor(connection, seen, cursor, fresh, pause)
            return Recorded(wishes=bool(wanted) or gap)
        known = read.fleet(connection, seen.project, also=_named(seen))
        standing = read.open_notices(connection, seen.project)

        def window_of(fid: str) -> datetime | None:
            return window(fid) or _last_poll(cursor, fid, seen)

        changes = diff(known, seen, notices=standing, window=window_of, first_sight=fresh)
        after = apply(known, changes)
        ordinals = read.ordinals(connection, {step.subject for step in changes.transitions})
        notices = follow(changes.transitions, after, seen, standing, ordinals)
        put_fleet(connection, changes.records)
        steps = write_transitions(connection, (*changes.transitions, *notices.transitions), ahead=seen.ahead)
        _write_notices(connection, notices, steps, seen)
        news = [(sequence, step) for sequence, step in steps if not step.baseline]
        deliveries = 0
        if news:
            around = events.Surroundings(
                fleet=after,
                of_bid=events.group_by_bid(after),
                notices=read.open_notices(connection, seen.project),
                market=read.market(connection),
                type_names={fid: one.name for fid, one in read.instance_types(connection).items()},
                project_names={seen.project: cursor["name"]},
            )
            openings = read.openings(connection, seen.project)
            deliveries = write_events(
                connection,
                database.id,
                host,
                news,
                around,
                rules,
                seen.observed_at,
                openings=openings,
                ahead=seen.ahead,
            )
        wanted |= wishes.changed(steps)
        wishes.want(connection, *wanted)
        gap = _write_cursor(connection, seen, cursor, fresh, pause)
        return Recorded(tuple(steps), len(news), deliveries, fresh, bool(wanted) or gap)

    return database.keep(work)


def record_condition(database: Database, step: Transition, rules: Sequence[HookRule], *, host: str) -> bool:
    """Commits a condition of the watch itself, unless it is what it was. Whether it was news.

    The first state of all is no news where it is the good one: `before` is then None, and so is the event.
    """

    def work(connection: Connection) -> bool:
        held = read.last_after(connection, step.kind, step.subject)
        if held == step.after or (held is None and step.type == "marketplace.recovered"):
            return False
        written = write_transitions(connection, [replace(step, before=held)])
        if not step.baseline:
            write_events(
                connection,
                database.id,
                host,
                written,
                events.Surroundings(Fleet()),
                rules,
                step.observed_at,
                openings={},
            )
        return not step.baseline

    return database.keep(work)


def _first_sight(cursor: RowMapping, seen: Snapshot) -> tuple[frozenset[Kind], Snapshot]:
    """Which kinds are seen for the first time. Until a whole listing of a kind came, nothing of it is kept."""
    fresh: set[Kind] = set()
    if cursor["baseline_at"] is None:
        if {"bid", "instance"} <= seen.whole:
            fresh |= {"bid", "instance"}
        else:
            seen = replace(seen, bids={}, instances={})
    if cursor["clusters_baseline_at"] is None:
        if "cluster" in seen.whole:
            fresh.add("cluster")
        else:
            seen = replace(seen, clusters={})
    return frozenset(fresh), seen


def _named(seen: Snapshot) -> set[str]:
    return {*seen.bids, *seen.instances, *seen.clusters, *seen.absent}


def _last_poll(cursor: RowMapping, fid: str, seen: Snapshot) -> datetime | None:
    mark = "clusters_polled_at" if fid in seen.clusters else "bids_polled_at"
    polled: datetime | None = cursor["instances_polled_at" if fid in seen.instances else mark]
    return polled


def _write_notices(
    connection: Connection, notices: NoticeChanges, steps: Sequence[tuple[int, Transition]], seen: Snapshot
) -> None:
    # Each kind of statement once, with many rows: a price that rises takes thousands of machines in one poll,
    # and no hook starts before the commit.
    its_own = (_notices.c.subject == bindparam("its_subject"), _notices.c.ordinal == bindparam("its_ordinal"))
    changed = [notice_row(one) for one in (*notices.ended, *notices.corrected)]
    if changed:
        rows = [{**row, "its_subject": row.pop("subject"), "its_ordinal": row.pop("ordinal")} for row in changed]
        connection.execute(update(_notices).where(*its_own), rows)
    if notices.ended:
        _supersede(connection, notices.ended, seen.observed_at)
    opened_by = {step.subject: sequence for sequence, step in steps if step.aspect == "status"}
    insert_notices(connection, notices.opened, seen.project, opened_by)


def _supersede(connection: Connection, ended: Sequence[Notice], now: datetime) -> None:
    """Ends what is still queued for notices that are over."""
    opening = select(_notices.c.sequence).where(
        _notices.c.subject == bindparam("its_subject"), _notices.c.ordinal == bindparam("its_ordinal")
    )
    rows = [
        {
            "its_subject": one.subject,
            "its_ordinal": one.ordinal,
            "state": "superseded",
            "finished_at": now,
            "next_at": None,
            "reason": f"the notice is over: {one.ended_how}",
        }
        for one in ended
    ]
    queued = (_deliveries.c.state == "pending", _deliveries.c.notice == opening.scalar_subquery())
    connection.execute(update(_deliveries).where(*queued), rows)
    turns.pass_on(connection, now)


def _write_cursor(
    connection: Connection, seen: Snapshot, cursor: RowMapping, fresh: frozenset[Kind], pause: timedelta
) -> bool:
    """Moves the poll cursor. Whether it moved over a gap."""
    marks = {"bid": "bids_polled_at", "instance": "instances_polled_at", "cluster": "clusters_polled_at"}
    values = {marks[kind]: seen.asked_at for kind in seen.whole}
    gap: dict[str, datetime] = {}
    if seen.complete:
        values["polled_at"] = seen.asked_at
        gap = wishes.gap_before(cursor, seen.asked_at, pause)
    values |= gap
    if "bid" in fresh:
        values["baseline_at"] = values["looked_back_at"] = seen.observed_at
    if "cluster" in fresh:
        values["clusters_baseline_at"] = seen.observed_at
    if values:
        connection.execute(update(_projects).where(_projects.c.fid == seen.project).values(values))
    return bool(gap)
