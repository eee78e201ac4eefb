"""A time in which nobody watched: is what happened in it known all the same? Pure.

It is, where every history that concerns it answered and explains the rows of the record. Silence of the marketplace is
not calm: what it forgot, it cannot tell. All moments here are by the marketplace's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mithrild.fleet import lifecycle
from mithrild.fleet.model import Kind
from mithrild.fleet.notices import CLOCKS_DIFFER
from mithrild.fleet.timeline import SLACK, Row, Told

NOTHING = "the marketplace remembers nothing of it"
_TABLES = {"bid": lifecycle.BID, "instance": lifecycle.INSTANCE}


@dataclass(frozen=True, slots=True)
class Gap:
    """From when to when nobody looked at the whole project, by the marketplace's clock: setting ours does not make it
    another. Several that stand at once are one."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Life:
    """One bid or instance: the rows of its status, with all that its history added, and that history as it was told.

    `whole`: it was asked for from its beginning. Else it begins where it was asked for, and that says nothing.
    """

    kind: Kind
    created_at: datetime
    rows: Sequence[Row]
    told: Sequence[Told]
    whole: bool


def unexplained(bid: Life, instances: Mapping[str, Life], gap: Gap) -> str | None:
    """What the history of a bid and its instances leaves open of a gap, None where it leaves nothing open."""
    found = _leaves_open(bid, gap)
    if found is not None or bid.created_at >= gap.until:
        return found
    for fid in sorted(instances):
        if (found := _leaves_open(instances[fid], gap)) is not None:
            return f"{fid}: {found}"
    moved = [step for step in bid.told if step.after in ("Allocated", "Preempting") and _within(step.at, gap)]
    times = [step.at for life in instances.values() for step in life.told]
    for step in moved:
        if not any(at >= step.at - CLOCKS_DIFFER for at in times):
            return f"its instances tell nothing of its being {lifecycle.word(step.after)} at {_clock(step.at)}"
    return None


def _leaves_open(life: Life, gap: Gap) -> str | None:
    if life.created_at >= gap.until:
        return None
    if life.whole:
        if not life.told:
            return NOTHING
        begun = min(step.at for step in life.told)
        if begun > max(gap.since, life.created_at) + CLOCKS_DIFFER:
            return f"what the marketplace remembers of it begins only at {_clock(begun)}"
    rows = sorted(life.rows, key=lambda row: row.position)
    for before, row in zip([None, *rows], rows, strict=False):
        if _is_untold(row, before, life, gap):
            return f"nothing explains how it came to be {lifecycle.word(row.after)}"
    return _missing_step(life, rows, gap)


def _is_untold(row: Row, before: Row | None, life: Life, gap: Gap) -> bool:
    """Whether a row of the gap has no time. Some have none by nature: no word says that a bid reopened, or is gone."""
    if row.occurred_at is not None or row.baseline or row.after == "gone":
        return False
    if life.kind == "bid" and row.after == "Open" and before is not None and before.after == "Preempting":
        return False
    start = life.created_at if row.window_start is None else row.window_start + row.ahead
    return start < gap.until and row.observed_at + row.ahead > gap.since


def _missing_step(life: Life, rows: Sequence[Row], gap: Gap) -> str | None:
    """Whether something must have been between what was known when the gap began and what is told next."""
    before = [row for row in rows if row.position[0] <= gap.since]
    after = [row for row in rows if _within(row.position[0], gap)]
    if before and after:
        table, pair = _TABLES[life.kind], (before[-1].after, after[0].after)
        known = all(word in table for word in pair)
        if known and not lifecycle.expected(table, *pair):
            return f"no step leads from {lifecycle.word(pair[0])} to {lifecycle.word(pair[1])}"
    for step in life.told:
        # A step to where it was already is no row: it came back from somewhere, and nobody knows from where.
        held = [row for row in rows if row.position[0] <= step.at + SLACK]
        if _within(step.at, gap) and held and held[-1].after == step.after and not _stands_for(held[-1], step):
            return f"it became {lifecycle.word(step.after)} again at {_clock(step.at)}, and what it was before is gone"
    return None


def _stands_for(row: Row, step: Told) -> bool:
    return row.occurred_at is None or abs(row.occurred_at - step.at) <= CLOCKS_DIFFER


def _within(at: datetime, gap: Gap) -> bool:
    return gap.since < at <= gap.until


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
