"""The end of a gap: it was looked back at, and what nobody can tell any more of it is said, once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, select, update

from mithrild.fleet.event import GapNews, Surroundings, stamp
from mithrild.fleet.gaps import Gap
from mithrild.fleet.model import Fleet, Transition
from mithrild.fleet.routing import HookRule
from mithrild.store import read, wishes
from mithrild.store.database import Database
from mithrild.store.tables import EventRow, ProjectRow, TransitionRow, table_of
from mithrild.store.writing import write_events, write_transitions

_projects, _transitions, _events = table_of(ProjectRow), table_of(TransitionRow), table_of(EventRow)
MOST_BIDS = 100  # named in one event; where more are left open it is about the whole project


def end_look(
    database: Database,
    project: str,
    begun: datetime,
    gap: Gap | None,
    open_bids: Mapping[str, str],
    rules: Sequence[HookRule],
    *,
    host: str,
    now: datetime,
) -> bool:
    """A look through the project that was begun at `begun` is done. It takes back the `gap` that it was for; what it
    left open of it (bid -> why; "" for the project itself) becomes a row and an event. Whether there is one.

    A gap that has grown meanwhile stays, for the next look, and nothing is said of it.
    """
    with database.write() as connection:
        row = read.project(connection, project)
        looked = update(_projects).where(_projects.c.fid == project)
        # Our clock may have been set back since it was begun.
        until = min(max(begun, row["looked_back_at"] or begun), now)
        connection.execute(looked.values(looked_back_at=until))
        if gap is None or wishes.gap(connection, project) != gap:
            return False
        connection.execute(looked.values(gap_since=None, gap_until=None))
        if not open_bids:
            return False
        _tell(connection, database.id, row, gap, open_bids, rules, host, now)
    return True


def _tell(
    connection: Connection,
    store: str,
    row: RowMapping,
    gap: Gap,
    open_bids: Mapping[str, str],
    rules: Sequence[HookRule],
    host: str,
    now: datetime,
) -> None:
    since, until = stamp(gap.since), stamp(gap.until)
    assert since is not None
    assert until is not None
    step = Transition(
        kind="watch",
        subject=row["fid"],
        project=row["fid"],
        bid=None,
        aspect="gap",
        before=since,
        after=until,
        type="watch.gap",
        observed_at=now,  # its age counts from here: that nobody can tell is known only now
        window_start=None,
    )
    fid, reason = next(iter(sorted(open_bids.items())))
    names = {bid: one.value.name for bid, one in read.bids_by_fid(connection, [fid]).items()}
    everything = "" in open_bids or len(open_bids) > MOST_BIDS
    news = GapNews(
        bids=None if everything else tuple(sorted(open_bids)),
        reason=f"{names.get(fid, fid)}: {reason}" if fid else reason,
        count=len(open_bids),
    )
    around = Surroundings(Fleet(), project_names={row["fid"]: row["name"]}, gap=news)
    ahead = timedelta(seconds=row["ahead_seconds"])
    written = write_transitions(connection, [step], ahead=ahead, places=[gap.since])
    write_events(connection, store, host, written, around, rules, now, openings={})


def gaps_of(connection: Connection, project: str, bid: str) -> list[RowMapping]:
    """The rows of gaps that left something open of this bid, or of the whole project."""
    query = (
        select(_transitions, _events.c.id.label("event"), _events.c.body)
        .join(_events, _events.c.sequence == _transitions.c.sequence)
        .where(_transitions.c.subject == project, _transitions.c.kind == "watch", _transitions.c.aspect == "gap")
    )
    return [row for row in connection.execute(query).mappings() if _concerns(row["body"], bid)]


def _concerns(body: str, bid: str) -> bool:
    bids = json.loads(body)["data"]["gap"]["bids"]
    return bids is None or bid in bids
