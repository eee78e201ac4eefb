"""Where a command is to run: the instances that an event is about, as the record has them at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mithrild.fleet import lifecycle
from mithrild.fleet.model import Instance, Record
from mithrild.store import read
from mithrild.store.database import Database


@dataclass(frozen=True, slots=True)
class Node:
    fid: str
    name: str
    address: str | None  # None until the marketplace tells one


def nodes_of(database: Database, event: Mapping[str, Any], which: str) -> list[Node]:
    """Of an event about an instance that one; of one about a bid all that may answer, or the first of them."""
    instance, bid = event["data"]["instance"], event["data"]["bid"]
    with database.read() as connection:
        if instance is not None:
            found = read.instances_by_fid(connection, [instance["fid"]])
        elif bid is not None:
            found = read.instances_of(connection, [bid["fid"]])
        else:
            return []
    there = sorted((one.value for one in found.values() if _may_answer(one)), key=_age)
    chosen = there[:1] if which == "first" and instance is None else there
    return [Node(one.fid, one.name, one.ssh_destination) for one in chosen]


def look_up(database: Database, node: Node) -> Node | None:
    """As it is now: addresses change. None if it is over, and nobody will ever answer there."""
    with database.read() as connection:
        found = read.instances_by_fid(connection, [node.fid]).get(node.fid)
    if found is None:
        return node
    return replace(node, address=found.value.ssh_destination) if _may_answer(found) else None


def _may_answer(record: Record[Instance]) -> bool:
    return not record.gone and record.value.status not in lifecycle.FINAL


def _age(instance: Instance) -> tuple[Any, ...]:
    return instance.created_at, instance.name, instance.fid
