"""A project's own row: its first sight, how far it was looked at, and the times in which nobody looked.

These moments are by our own clock, and a clock that is set leaves them behind. The marketplace's goes on; so the
difference between the two stands beside them, and whoever learns of another one puts them in terms of the clock as it
is now. Then they can be compared with what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from mithrild.fleet.notices import CLOCKS_DIFFER, makes_sense
from mithrild.fleet.timeline import SLACK
from mithrild.store import read
from mithrild.store.tables import DeliveryRow, NoticeRow, ProjectRow, table_of

_projects, _notices, _deliveries = table_of(ProjectRow), table_of(NoticeRow), table_of(DeliveryRow)
# What stays where it is by the marketplace's clock, also where only its answers say that it goes otherwise. How far
# everything was looked back at does so if that is the earlier (`_moments`).
BY_THEIRS = ("baseline_at", "clusters_baseline_at", "looked_back_at")
# The windows of looks, the times in which nobody looked, and the age of what is shown.
BY_OURS = ("polled_at", "gap_since", "gap_until", "bids_polled_at", "instances_polled_at", "clusters_polled_at")
MOMENTS = (*BY_THEIRS, *BY_OURS)


def in_present_terms(connection: Connection, project: str, ahead: timedelta) -> Mapping[str, Any]:
    """The row of a project, its moments by our clock as it is now. `ahead`: the marketplace's clock minus ours."""
    row = read.project(connection, project)
    return {**row, **_moments(row, _by(row, ahead), MOMENTS)}


def put_in_present_terms(connection: Connection, project: str, ahead: timedelta, now: datetime | None) -> list[str]:
    """Has it stand so in the record. With `now`, our clock may have been set, and what stands in every project goes
    with it, the deadlines of notices too. Without it our clock was not set, and those are as right as they were,
    whatever the marketplace's answers say. Returns the projects of which they had told another difference."""
    changed: list[str] = []
    rows = [read.project(connection, project)] if now is None else read.projects(connection, watched=False)
    if now is not None:
        _set_tries(connection, present_ahead(connection) - ahead, now)
    for row in rows:
        if not (by := _by(row, ahead)):
            continue
        changed.append(row["fid"])
        put = update(_projects).where(_projects.c.fid == row["fid"])
        moments = _moments(row, by, BY_THEIRS if now is None else MOMENTS)
        connection.execute(put.values(ahead_seconds=ahead.total_seconds(), **moments))
        if now is not None:
            _set_deadlines(connection, row["fid"], by, now)
    return changed


def _by(row: RowMapping, ahead: timedelta) -> timedelta:
    """How much later its moments are by our clock as it is now. The difference is measured anew with every answer."""
    by = timedelta(seconds=row["ahead_seconds"]) - ahead
    return by if abs(by) > SLACK else timedelta(0)


def _moments(row: RowMapping, by: timedelta, names: Iterable[str]) -> dict[str, datetime]:
    moments = {name: shifted(row[name], by) for name in names if row[name] is not None}
    if "looked_back_at" in moments:
        # Nobody knows which of the two was right, the answers then or those of now. What is asked twice does no harm,
        # and what the last look showed may lie in a gap that is not known yet.
        known = [row[name] for name in ("looked_back_at", "polled_at") if row[name] is not None]
        moments["looked_back_at"] = min(min(moment, shifted(moment, by)) for moment in known)
    return moments


def present_ahead(connection: Connection) -> timedelta:
    """The marketplace's clock minus ours, as it was last told to any project: there is but one marketplace."""
    query = select(_projects.c.ahead_seconds).order_by(_projects.c.polled_at.desc().nulls_last()).limit(1)
    return timedelta(seconds=connection.execute(query).scalar() or 0.0)


def _set_deadlines(connection: Connection, project: str, by: timedelta, now: datetime) -> None:
    """The notices that stand, in terms of a clock that was set. What made sense, and would make none, stays: it may be
    the marketplace's answer that is wrong. Of a first answer that is slow to come nobody can tell a few seconds."""
    if abs(by) <= CLOCKS_DIFFER:
        return
    for subject, notice in read.open_notices(connection, project).items():
        deadline, opened_at = shifted(notice.deadline, by), shifted(notice.opened_at, by)
        if makes_sense(deadline, now) or not makes_sense(notice.deadline, now):
            standing = (_notices.c.subject == subject, _notices.c.ended_at.is_(None))
            connection.execute(update(_notices).where(*standing).values(deadline=deadline, opened_at=opened_at))


def _set_tries(connection: Connection, by: timedelta, now: datetime) -> None:
    """What waits for its next try, in terms of a clock that was set back. One that was set ahead makes nothing wait."""
    if by >= -SLACK:
        return
    waiting = (_deliveries.c.state == "pending", _deliveries.c.next_at > now)
    rows = connection.execute(select(_deliveries.c.id, _deliveries.c.next_at).where(*waiting))
    due = [{"its_id": id, "next_at": shifted(next_at, by)} for id, next_at in rows]
    if due:
        connection.execute(update(_deliveries).where(_deliveries.c.id == bindparam("its_id")), due)


def by_theirs(row: RowMapping, moment: datetime) -> datetime:
    """One of the moments of a row by the marketplace's clock, or earlier: what its answers say of it may be wrong."""
    return shifted(moment, min(timedelta(seconds=row["ahead_seconds"]), timedelta(0)))


def shifted(moment: datetime, by: timedelta) -> datetime:
    """A moment so much later. One that would leave the calendar stays."""
    try:
        return moment + by
    except OverflowError:
        return moment
