"""Tests and drills: imagined events, which go through the very same outbox and real actions.

Their subjects bear a mark (`fleet/imagined.py`), so nothing that is asked of the fleet meets them. They live no longer
than the daemon that began them: what is still queued when it ends does not run later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update

from mithrild.fleet import event as events
from mithrild.fleet.imagined import Scene, mark, unmarked
from mithrild.fleet.model import Transition
from mithrild.fleet.routing import HookRule, Outlook
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.store.tables import DeliveryRow, NoticeRow, table_of
from mithrild.store.writing import insert_notices, write_events, write_transitions

KINDS = ("drill", "test")  # how their names begin

_deliveries, _notices = table_of(DeliveryRow), table_of(NoticeRow)


def play(
    database: Database,
    rehearsal: str,
    scene: Scene,
    rules: Sequence[HookRule],
    *,
    host: str,
    now: datetime,
    outlook: Outlook | None = None,
    by_hand: bool = False,
    news: events.HookNews | None = None,
) -> list[str]:
    """Commits imagined steps and their deliveries. The ids of the events, in the order of the steps.

    `outlook` and `by_hand`: see `write_events`. `news`: what a step of a hook is about.
    """
    steps = [_marked(rehearsal, step) for step in scene.steps]
    with database.write() as connection:
        written = write_transitions(connection, steps)
        numbers = {step.subject: sequence for sequence, step in written}
        opened = [replace(one, subject=mark(rehearsal, one.subject)) for one in scene.notices.values()]
        for one in opened:
            insert_notices(connection, [one], steps[0].project, {one.subject: numbers[one.subject]})
        write_events(
            connection,
            database.id,
            host,
            written,
            surroundings(connection, scene, news),
            rules,
            now,
            openings={one.subject: numbers[one.subject] for one in opened},
            outlook=outlook,
            by_hand=by_hand,
        )
    return [events.event_id(database.id, sequence) for sequence, _ in written]


def _marked(rehearsal: str, step: Transition) -> Transition:
    bid = None if step.bid is None else mark(rehearsal, step.bid)
    return replace(step, subject=mark(rehearsal, step.subject), bid=bid)


def surroundings(connection: Connection, scene: Scene, news: events.HookNews | None = None) -> events.Surroundings:
    """What an imagined event tells beside its own step: the market is the real one."""
    return events.Surroundings(
        fleet=scene.fleet,
        of_bid=events.group_by_bid(scene.fleet),
        notices=scene.notices,
        market=read.market(connection),
        type_names={fid: one.name for fid, one in read.instance_types(connection).items()},
        project_names={row["fid"]: row["name"] for row in read.projects(connection)},
        news=news,
    )


def end_notices(database: Database, rehearsal: str, how: str, now: datetime) -> None:
    """Its notices are over, and so is what is queued for them."""
    with database.write() as connection:
        over = select(_notices.c.sequence).where(_of(rehearsal)).scalar_subquery()
        _end_notices(connection, _of(rehearsal), how, now)
        _supersede(connection, _deliveries.c.notice.in_(over), f"the notice is over: {how}", now)


def interrupt(database: Database, rehearsal: str, why: str, now: datetime) -> int:
    """Ends a test or drill before its end: nothing that is still queued for it will run. How much that is."""
    with database.write() as connection:
        _end_notices(connection, _of(rehearsal), why, now)
        return _supersede(connection, _deliveries.c.rehearsal == rehearsal, why, now)


def end_all(database: Database, now: datetime) -> int:
    """At start, by the holder of the lock: whoever began them is gone. How much was still queued."""

    def work(connection: Connection) -> int:
        ended = 0
        for kind in KINDS:
            why = interrupted(kind)
            _end_notices(connection, _of(f"{kind}_*"), why, now)
            ended += _supersede(connection, _deliveries.c.rehearsal.startswith(f"{kind}_", autoescape=True), why, now)
        return ended

    return database.keep(work)


def interrupted(rehearsal: str) -> str:
    return f"the {rehearsal.partition('_')[0]} was interrupted"


def under_notice(connection: Connection, rehearsal: str) -> list[str]:
    """The fids of what a drill has put under notice and not released yet."""
    query = select(_notices.c.subject).where(_of(rehearsal), _notices.c.ended_at.is_(None))
    return [unmarked(subject) for subject in connection.execute(query).scalars()]


def _of(rehearsal: str) -> ColumnElement[bool]:
    return _notices.c.subject.op("GLOB")(mark(rehearsal, "*"))


def _end_notices(connection: Connection, which: ColumnElement[bool], how: str, now: datetime) -> None:
    standing = (which, _notices.c.ended_at.is_(None))
    connection.execute(update(_notices).where(*standing).values(ended_at=now, ended_how=how))


def _supersede(connection: Connection, which: ColumnElement[bool], why: str, now: datetime) -> int:
    values = {"state": "superseded", "finished_at": now, "next_at": None, "reason": why}
    queued = update(_deliveries).where(_deliveries.c.state == "pending", which)
    return connection.execute(queued.values(values)).rowcount
