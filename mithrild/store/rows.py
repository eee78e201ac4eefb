"""Rows to fleet values and back. The only place that knows both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import RowMapping

from mithrild.fleet.completeness import is_live
from mithrild.fleet.model import Auction, Bid, Cluster, Instance, Notice, Record, Thing, Transition

_LISTS = frozenset({"instances", "volumes", "ssh_keys"})
_NOUNS = (Bid, Instance, Cluster)
# Every poll reads the whole fleet: fields() for each row would take a fifth of that time.
_NAMES: Mapping[type, tuple[str, ...]] = {noun: tuple(f.name for f in fields(noun)) for noun in _NOUNS}


def from_row(noun: type[Thing], row: Mapping[str, Any]) -> Record[Thing]:
    values = {name: row[name] for name in _NAMES[noun]}
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
    return {f.name: getattr(step, f.name) for f in fields(step)}


def transition_from(row: RowMapping) -> Transition:
    return Transition(**{f.name: row[f.name] for f in fields(Transition)})


def notice_from(row: RowMapping) -> Notice:
    return Notice(**{f.name: row[f.name] for f in fields(Notice)})


def notice_row(notice: Notice) -> dict[str, Any]:
    return {f.name: getattr(notice, f.name) for f in fields(notice)}


def auction_from(row: RowMapping) -> Auction:
    return Auction(**{f.name: row[f.name] for f in fields(Auction)})
