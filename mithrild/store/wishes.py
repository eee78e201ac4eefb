"""What is still to be looked back at: bids that changed, and times in which nobody looked.

Rows, so that a kill forgets none of it. A wish is written by the commit that gives rise to it, and taken back by the
commit that keeps what the marketplace told.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, func, select, update

from mithrild.fleet.gaps import Gap
from mithrild.fleet.model import Transition
from mithrild.fleet.notices import CLOCKS_DIFFER
from mithrild.fleet.timeline import WRONG_AT_MOST
from mithrild.store.cursor import shifted
from mithrild.store.tables import BidRow, ProjectRow, TransitionRow, table_of

_projects, _bids, _transitions = table_of(ProjectRow), table_of(BidRow), table_of(TransitionRow)
# What the marketplace has a history of.
_ASPECTS = ("status", "limit_price")


def changed(steps: Iterable[tuple[int, Transition]]) -> set[str]:
    """The bids of which the marketplace may tell more than these steps."""
    return {step.bid for _, step in steps if step.bid and step.aspect in _ASPECTS and not step.baseline}


def untimed(connection: Connection, project: str, now: datetime) -> set[str]:
    """The bids of which a step was seen and nothing tells when it was. Where the clocks turn out to differ by something
    else, the marketplace's history may tell it after all."""
    query = select(_transitions.c.bid).where(
        _transitions.c.observed_at > now - 2 * WRONG_AT_MOST,
        _transitions.c.project == project,
        _transitions.c.bid.is_not(None),
        _transitions.c.aspect.in_(_ASPECTS),
        _transitions.c.provenance == "observed",
        _transitions.c.occurred_at.is_(None),
        _transitions.c.baseline.is_(False),
    )
    return set(connection.execute(query.distinct()).scalars())


def want(connection: Connection, *bids: str) -> None:
    """These bids are to be asked about."""
    if bids:
        its_own = _bids.c.fid == bindparam("its_fid")
        connection.execute(update(_bids).where(its_own).values(history_due=True), [{"its_fid": fid} for fid in bids])


def due(connection: Connection, project: str) -> dict[str, int]:
    """The bids that are to be asked about, the one that changed last first; each with its newest transition."""
    newest = select(func.max(_transitions.c.sequence)).where(_transitions.c.bid == _bids.c.fid).correlate(_bids)
    mine = (_bids.c.history_due.is_(True), _bids.c.project == project)
    query = select(_bids.c.fid, func.coalesce(newest.scalar_subquery(), 0)).where(*mine)
    return dict(connection.execute(query.order_by(_bids.c.since.desc())).all())


def newest(connection: Connection, bid: str) -> int:
    """The last transition of a bid or its instances that is known: what comes after it was not asked about."""
    return connection.execute(select(func.max(_transitions.c.sequence)).where(_transitions.c.bid == bid)).scalar() or 0


def answered(connection: Connection, bid: str, asked: int) -> None:
    """What was asked about when `asked` was the newest transition is known now. A change that was seen since then,
    while the question was under way, stays to be asked about."""
    later = select(_transitions.c.sequence).where(
        _transitions.c.bid == bid,
        _transitions.c.sequence > asked,
        _transitions.c.provenance == "observed",
        _transitions.c.aspect.in_(_ASPECTS),
    )
    connection.execute(update(_bids).where(_bids.c.fid == bid, ~later.exists()).values(history_due=False))


def gap_before(cursor: RowMapping, asked_at: datetime, pause: timedelta) -> dict[str, datetime]:
    """The gap that a whole look begun at `asked_at` ends, together with one that still stands, as it stands in the
    row: by our clock. Nothing where there is none. `cursor` is the project as it was before; `pause` is how long nobody
    may look without its being a gap.

    All of it is to be looked back at, also if somebody did so before this look showed of what."""
    last: datetime | None = cursor["polled_at"] or cursor["baseline_at"]
    # After a clock was set the two are known to a second or so: a look that seems to come before the last one is none.
    if last is None or -CLOCKS_DIFFER <= asked_at - last <= pause:
        return {}
    # A clock that was set back tells nothing of how long it was.
    since = last if last < asked_at else asked_at - WRONG_AT_MOST
    since = min(cursor["gap_since"] or since, since)
    return {"gap_since": since, "gap_until": asked_at, "looked_back_at": min(cursor["looked_back_at"] or since, since)}


def gap(connection: Connection, project: str) -> Gap | None:
    """The gap of a project that is still to be looked back at."""
    columns = (_projects.c.gap_since, _projects.c.gap_until, _projects.c.ahead_seconds)
    row = connection.execute(select(*columns).where(_projects.c.fid == project)).one()
    if row.gap_since is None:
        return None
    ahead = timedelta(seconds=row.ahead_seconds)
    return Gap(shifted(row.gap_since, ahead), shifted(row.gap_until, ahead))
