"""What every commit is made of: fleet rows, transitions, events with their deliveries, notices."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert
from sqlalchemy.dialects.sqlite import insert as upsert

from mithrild.fleet import event as events
from mithrild.fleet.imagined import as_told, rehearsal_of
from mithrild.fleet.model import Bid, Cluster, Fleet, Instance, Notice, Thing, Transition
from mithrild.fleet.routing import HookRule, Outlook, route
from mithrild.fleet.schedule import GATHERED, gathering
from mithrild.store import read, silences
from mithrild.store.cursor import present_ahead
from mithrild.store.rows import notice_row, to_row, transition_row
from mithrild.store.tables import (
    BidRow,
    ClusterRow,
    DeliveryRow,
    EventRow,
    InstanceRow,
    NoticeRow,
    TransitionRow,
    table_of,
)
from mithrild.store.taken import Taken

_TABLES = {Bid: table_of(BidRow), Instance: table_of(InstanceRow), Cluster: table_of(ClusterRow)}
_transitions, _events = table_of(TransitionRow), table_of(EventRow)
_notices, _deliveries = table_of(NoticeRow), table_of(DeliveryRow)


def put_fleet(connection: Connection, records: Fleet) -> None:
    def put(noun: type[Thing], changed: Mapping[str, object], rows: list[dict[str, object]]) -> None:
        if rows:
            statement = upsert(_TABLES[noun])
            rest = {name: statement.excluded[name] for name in rows[0] if name != "fid"}
            connection.execute(statement.on_conflict_do_update(index_elements=["fid"], set_=rest), rows)

    put(Bid, records.bids, [to_row(one) for one in records.bids.values()])
    put(Instance, records.instances, [to_row(one) for one in records.instances.values()])
    put(Cluster, records.clusters, [to_row(one) for one in records.clusters.values()])


def write_transitions(
    connection: Connection,
    steps: Sequence[Transition],
    *,
    ahead: timedelta | None = None,
    places: Sequence[datetime] = (),
) -> list[tuple[int, Transition]]:
    """Numbers the steps and inserts them together. SQLite's own memory of the highest number outlives the rows
    that had it, and nobody else writes meanwhile.

    `ahead`: the marketplace's clock minus ours, None as it was last told; positions are by the marketplace's, and a row
    keeps it, so that its two clocks can be compared for ever. `places` are the positions of steps that are known to lie
    between others.
    """
    if not steps:
        return []
    ahead = present_ahead(connection) if ahead is None else ahead
    written = list(enumerate(steps, start=read.last_sequence(connection) + 1))
    reached = read.last_positions(connection, {step.subject for step in steps})
    rows = []
    for at, (sequence, step) in enumerate(written):
        # A clock that was set back must not put a step before the one that it followed.
        seen = step.observed_at + ahead
        position = places[at] if places else step.occurred_at or max(seen, reached.get(step.subject, seen))
        reached[step.subject] = position
        kept = {"sequence": sequence, "position": position, "ahead_seconds": ahead.total_seconds()}
        rows.append(kept | transition_row(step))
    connection.execute(insert(_transitions), rows)
    return written


def insert_notices(
    connection: Connection, notices: Sequence[Notice], project: str, opened_by: Mapping[str, int]
) -> None:
    """New notices, each with the transition that opened it, by its subject."""
    rows = [{**notice_row(one), "project": project, "sequence": opened_by[one.subject]} for one in notices]
    if rows:
        connection.execute(insert(_notices), rows)


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
    ahead: timedelta = timedelta(0),
    outlook: Outlook | None = None,
    by_hand: bool = False,
) -> int:
    """Renders each event once and puts its deliveries into the outbox. Returns how many there are.

    `openings`: which transition opened the open notice of each subject. Deliveries of a notice are tied to it.
    `outlook`: what keeps hooks still; as the record has it, unless told otherwise. `by_hand`: a person asked for it.
    """
    rows, deliveries = [], []
    taken = Taken(connection, rules, [step for _, step in news], now)
    outlook = outlook or Outlook(now, silences.standing(connection, now))
    actions = {rule.name: rule.actions for rule in rules}
    for sequence, step in news:
        body = events.render(as_told(step), sequence, store, host, around)
        rows.append(
            {
                "sequence": sequence,
                "id": body["id"],
                "type": step.type,
                "time": step.occurred_at or step.observed_at,
                "body": events.encode(body),
            }
        )
        facts = events.facts(body, step, now, ahead)
        # The first message about a node of a bid waits a moment for the others of its kind.
        alone = step.kind != "instance" or step.bid is None
        left = None if facts.left is None else facts.left.total_seconds()
        waits = timedelta(seconds=0.0 if alone else gathering(left))
        for verdict in route(facts, rules, replace(outlook, taken=taken.by(step))):
            if verdict.outcome == "no":
                continue
            if verdict.outcome == "run":
                taken.add(verdict.hook, step, sequence, body["id"])
            for action in actions[verdict.hook]:
                held = verdict.of(action)
                due = now + (waits if action.startswith(GATHERED) else timedelta(0))
                deliveries.append(
                    {
                        "id": delivery_id(body["id"], verdict.hook, action),
                        "sequence": sequence,
                        "hook": verdict.hook,
                        "action": action,
                        "subject": step.subject,
                        "notice": openings.get(step.subject) if events.is_about_a_notice(step) else None,
                        "state": "pending" if held is None else "skipped",
                        "attempts": 0,
                        "created_at": now,
                        "next_at": due if held is None else None,
                        "finished_at": None if held is None else now,
                        "reason": held,
                        "by_hand": by_hand,
                        "rehearsal": rehearsal_of(step.subject),
                    }
                )
    if rows:
        connection.execute(insert(_events), rows)
    if deliveries:
        connection.execute(insert(_deliveries), deliveries)
    return len(deliveries)


def delivery_id(event: str, hook: str, action: str) -> str:
    """The same for every try, and for the same (event, hook, action) whoever computes it."""
    return "dlv_" + hashlib.sha256(f"{event}\n{hook}\n{action}".encode()).hexdigest()[:20]
