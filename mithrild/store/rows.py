"""Rows to fleet values and back. The only place that knows both."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from sqlalchemy import RowMapping

from mithrild.fleet.completeness import is_live
from mithrild.fleet.model import Auction, Bid, Notice, Record, Thing, Transition

_LISTS = frozenset({"instances", "volumes", "ssh_keys"})


def from_row(noun: type[Thing], row: RowMapping) -> Record[Thing]:
    values = {f.name: row[f.name] for f in fields(noun)}
    for name in _LISTS & values.keys():
        values[name] = tuple(json.loads(values[name]))
    return Record(
        noun(**values),
        since=row["since"],
        health=row["health"] if noun is Bid else "none",
        misses=row["misses"],
        gone=row["gone"],
    )


def to_row(record: Record[Thing]) -> dict[str, Any]:
    thing = record.value
    row: dict[str, Any] = {f.name: getattr(thing, f.name) for f in fields(thing)}
    for name in _LISTS & row.keys():
        row[name] = json.dumps(row[name])
    row |= {
        "since": record.since,
        "misses": record.misses,
        "gone": record.gone,
        "live": is_live(thing.status, record.gone),
    }
    if isinstance(thing, Bid):
        row["health"] = record.health
    return row


def transition_row(step: Transition) -> dict[str, Any]:
    row = {f.name: getattr(step, f.name) for f in fields(step)}
    return row | {"position": step.occurred_at or step.observed_at}


def transition_from(row: RowMapping) -> Transition:
    return Transition(**{f.name: row[f.name] for f in fields(Transition)})


def notice_from(row: RowMapping) -> Notice:
    return Notice(**{f.name: row[f.name] for f in fields(Notice)})


def notice_row(notice: Notice) -> dict[str, Any]:
    return {f.name: getattr(notice, f.name) for f in fields(notice)}


def auction_from(row: RowMapping) -> Auction:
    return Auction(**{f.name: row[f.name] for f in fields(Auction)})
