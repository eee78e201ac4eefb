"""A project's own row: its first sight, how far it was looked at, and the times in which nobody looked.

These moments are by our own clock, and a clock that is set leaves them behind. The marketplace's goes on; so the
difference between the two stands beside them, and whoever learns of another one puts them in terms of the clock as it
is now. Then they can be compared with what it shows.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, update

from mithrild.fleet.timeline import SLACK
from mithrild.store import read
from mithrild.store.tables import ProjectRow, table_of

_projects = table_of(ProjectRow)
MOMENTS = (
    "baseline_at",
    "clusters_baseline_at",
    "polled_at",
    "bids_polled_at",
    "instances_polled_at",
    "clusters_polled_at",
    "gap_since",
    "gap_until",
    "looked_back_at",
)


def in_present_terms(connection: Connection, project: str, ahead: timedelta) -> RowMapping:
    """The row of a project, its moments by our clock as it is now. `ahead`: the marketplace's clock minus ours."""
    row = read.project(connection, project)
    was = timedelta(seconds=row["ahead_seconds"])
    if abs(was - ahead) <= SLACK:  # it is measured anew with every answer
        return row
    moments = {name: shifted(row[name], was - ahead) for name in MOMENTS if row[name] is not None}
    connection.execute(
        update(_projects).where(_projects.c.fid == project).values(ahead_seconds=ahead.total_seconds(), **moments)
    )
    return read.project(connection, project)


def by_theirs(row: RowMapping, moment: datetime) -> datetime:
    """One of the moments of a row by the marketplace's clock, or earlier: what its answers say of it may be wrong."""
    return shifted(moment, min(timedelta(seconds=row["ahead_seconds"]), timedelta(0)))


def shifted(moment: datetime, by: timedelta) -> datetime:
    """A moment so much later. One that would leave the calendar stays."""
    try:
        return moment + by
    except OverflowError:
        return moment
