"""One poll, one transaction: fleet rows, transitions, events, outbox rows and the poll cursor.

The diff is taken *inside* the transaction, against the rows as they stand, so nothing that another commit
wrote in between can be overwritten or reported twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from mithrild.fleet import event as events
from mithrild.fleet.diff import Stamp, apply, diff
from mithrild.fleet.model import Bid, Cluster, Fleet, Instance, Kind, Notice, Snapshot, Thing, Transition
from mithrild.fleet.notices import NoticeChanges, follow
from mithrild.fleet.routing import HookRule, route
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.store.rows import notice_row, to_row, transition_row
from mithrild.store.tables import (
    BidRow,
    ClusterRow,
    DeliveryRow,
    EventRow,
    InstanceRow,
    NoticeRow,
    ProjectRow,
    TransitionRow,
    table_of,
)

_bids, _instances, _clusters = table_of(BidRow), table_of(InstanceRow), table_of(ClusterRow)
_transitions, _events = table_of(TransitionRow), table_of(EventRow)
_notices, _deliveries, _projects = table_of(NoticeRow), table_of(DeliveryRow), table_of(ProjectRow)
_TABLES = {Bid: _bids, Instance: _instances, Cluster: _clusters}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a commit added: each transition with its sequence, and the events among them that are news."""

    steps: tuple[tuple[int, Transition], ...] = ()
    events: int = 0
    deliveries: int = 0
    first_sight: frozenset[Kind] = field(default_factory=frozenset)


def record(
    database: Database,
    seen: Snapshot,
    rules: Sequence[HookRule],
    *,
    host: str,
    window: Stamp,
    changed: bool = True,
) -> Recorded:
    """Commits what a poll saw. `window` tells when each subject was last looked at by this process, None if
    it was not: then the project's last whole poll counts. With `changed` False the caller has seen that the
    snapshot is what the record holds: only the poll cursor moves."""
    with database.write() as connection:
        cursor = read.project(connection, seen.project)
        fresh, seen = _first_sight(cursor, seen)
        if not changed and not fresh:
            _write_cursor(connection, seen, fresh)
            return Recorded()
        known = read.fleet(connection, seen.project, also=_named(seen))
        standing = read.open_notices(connection, seen.project)

        def window_of(fid: str) -> datetime | None:
            return window(fid) or _last_poll(cursor, fid, seen)

        changes = diff(known, seen, notices=standing, window=window_of, first_sight=fresh)
        after = apply(known, changes)
        ordinals = read.ordinals(connection, {step.subject for step in changes.transitions})
        notices = follow(changes.transitions, after, seen, standing, ordinals)
        _write_fleet(connection, changes.records)
        steps = _write_transitions(connection, (*changes.transitions, *notices.transitions))
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
                connection, database.id, host, news, around, rules, seen.observed_at, openings=openings
            )
        _write_cursor(connection, seen, fresh)
    return Recorded(tuple(steps), len(news), deliveries, fresh)


def write_events(
    connection: Connection,
    store: str,
    host: str,
    news: Sequence[tuple[int, Transition]],
    around: events.Surroundings,
    rules: Sequence[HookRule],
    now: datetime,
    *,
    openings: Mapping[str, int],
) -> int:
    """Renders each event once and puts its deliveries into the outbox. Returns how many there are.

    `openings`: which transition opened the open notice of each subject. Deliveries of a notice are tied to it.
    """
    rows, deliveries = [], []
    for sequence, step in news:
        body = events.render(step, sequence, store, host, around)
        rows.append(
            {
                "sequence": sequence,
                "id": body["id"],
                "type": step.type,
                "time": step.occurred_at or step.observed_at,
                "body": events.encode(body),
            }
        )
        facts = events.facts(body, step, now)
        actions = {rule.name: rule.actions for rule in rules}
        for verdict in route(facts, rules):
            if verdict.outcome == "no":
                continue
            skipped = verdict.outcome == "skip"
            deliveries += [
                {
                    "id": delivery_id(body["id"], verdict.hook, action),
                    "sequence": sequence,
                    "hook": verdict.hook,
                    "action": action,
                    "subject": step.subject,
                    "notice": openings.get(step.subject) if events.is_about_a_notice(step) else None,
                    "state": "skipped" if skipped else "pending",
                    "attempts": 0,
                    "created_at": now,
                    "next_at": None if skipped else now,
                    "finished_at": now if skipped else None,
                    "reason": verdict.reason if skipped else None,
                }
                for action in actions[verdict.hook]
            ]
    if rows:
        connection.execute(insert(_events), rows)
    if deliveries:
        connection.execute(insert(_deliveries), deliveries)
    return len(deliveries)


def record_condition(database: Database, step: Transition, rules: Sequence[HookRule], *, host: str) -> bool:
    """Commits a condition of the watch itself, unless it is what it was. Whether it was news.

    The first state of all is no news where it is the good one: `before` is then None, and so is the event.
    """
    with database.write() as connection:
        held = read.last_after(connection, step.kind, step.subject)
        if held == step.after or (held is None and step.type == "marketplace.recovered"):
            return False
        step = replace(step, before=held)
        written = _write_transitions(connection, [step])
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


def delivery_id(event: str, hook: str, action: str) -> str:
    """The same for every try, and for the same (event, hook, action) whoever computes it."""
    return "dlv_" + hashlib.sha256(f"{event}\n{hook}\n{action}".encode()).hexdigest()[:20]


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


def _write_fleet(connection: Connection, records: Fleet) -> None:
    def put(noun: type[Thing], changed: Mapping[str, object], rows: list[dict[str, object]]) -> None:
        if rows:
            statement = upsert(_TABLES[noun])
            rest = {name: statement.excluded[name] for name in rows[0] if name != "fid"}
            connection.execute(statement.on_conflict_do_update(index_elements=["fid"], set_=rest), rows)

    put(Bid, records.bids, [to_row(one) for one in records.bids.values()])
    put(Instance, records.instances, [to_row(one) for one in records.instances.values()])
    put(Cluster, records.clusters, [to_row(one) for one in records.clusters.values()])


def _write_transitions(connection: Connection, steps: Sequence[Transition]) -> list[tuple[int, Transition]]:
    """Numbers the steps and inserts them together. SQLite's own memory of the highest number outlives the rows
    that had it, and nobody else writes meanwhile."""
    if not steps:
        return []
    highest = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'transitions'").scalar() or 0
    written = list(enumerate(steps, start=int(highest) + 1))
    reached = read.last_positions(connection, {step.subject for step in steps})
    rows = []
    for sequence, step in written:
        # A clock that was set back must not put a step before the one that it followed.
        position = step.occurred_at or max(step.observed_at, reached.get(step.subject, step.observed_at))
        reached[step.subject] = position
        rows.append({"sequence": sequence, "position": position, **transition_row(step)})
    connection.execute(insert(_transitions), rows)
    return written


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
    if notices.opened:
        opened_by = {step.subject: sequence for sequence, step in steps if step.aspect == "status"}
        rows = [
            {**notice_row(one), "project": seen.project, "sequence": opened_by[one.subject]} for one in notices.opened
        ]
        connection.execute(insert(_notices), rows)


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


def _write_cursor(connection: Connection, seen: Snapshot, fresh: frozenset[Kind]) -> None:
    marks = {"bid": "bids_polled_at", "instance": "instances_polled_at", "cluster": "clusters_polled_at"}
    values = {marks[kind]: seen.asked_at for kind in seen.whole}
    if seen.complete:
        values["polled_at"] = seen.asked_at
    if "bid" in fresh:
        values["baseline_at"] = seen.observed_at
    if "cluster" in fresh:
        values["clusters_baseline_at"] = seen.observed_at
    if values:
        connection.execute(update(_projects).where(_projects.c.fid == seen.project).values(values))
