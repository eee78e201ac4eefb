"""News that the delivering makes itself: of hooks that gave up or are switched off, of machines with another host key.

Each is a write that joins the transaction which settles the delivery, so neither is there without the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select

from mithrild.fleet.event import HookNews, Surroundings, group_by_bid
from mithrild.fleet.imagined import mark
from mithrild.fleet.model import Fleet, Transition
from mithrild.fleet.routing import HookRule
from mithrild.store import read
from mithrild.store.database import Database
from mithrild.store.outbox import Claim
from mithrild.store.tables import TransitionRow, table_of
from mithrild.store.writing import write_events, write_transitions

_transitions = table_of(TransitionRow)
Word = Literal["dead", "disabled"]
Write = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Press:
    """What every piece of news needs: whose record, from which host, for which hooks, when."""

    database: Database
    host: str
    rules: Sequence[HookRule]
    now: datetime

    def write(self, connection: Connection, step: Transition, around: Surroundings) -> None:
        written = write_transitions(connection, [step])
        write_events(connection, self.database.id, self.host, written, around, self.rules, self.now, openings={})


def of_hook(press: Press, claim: Claim, word: Word, reason: str) -> Write:
    """`hook.dead` or `hook.disabled`. Of a delivery that was itself news of a hook there is none: it would breed more
    of its kind for ever."""
    event = json.loads(claim.body)
    told = event["data"]
    step = Transition(
        kind="hook",
        subject=claim.hook if claim.rehearsal is None else mark(claim.rehearsal, claim.hook),
        project=told["project"],
        bid=None,
        aspect="status",
        before=None,
        after=word,
        type=f"hook.{word}",
        observed_at=press.now,
        window_start=None,
        provenance="simulated" if told["provenance"] == "simulated" else "observed",
    )
    around = Surroundings(Fleet(), news=HookNews(claim.hook, claim.action, claim.id, reason, event))

    def write(connection: Connection) -> None:
        if not event["type"].startswith("hook."):
            press.write(connection, step, around)

    return write


def of_host_key(press: Press, instance: str, before: str, after: str) -> Write:
    """`instance.host_key_changed`, once for each change. `before` and `after` are fingerprints."""

    def write(connection: Connection) -> None:
        query = (
            select(_transitions.c.after)
            .where(_transitions.c.subject == instance, _transitions.c.aspect == "host_key")
            .order_by(_transitions.c.sequence.desc())
            .limit(1)
        )
        found = read.instances_by_fid(connection, [instance])
        if connection.execute(query).scalar() == after or not found:
            return
        one = found[instance].value
        step = Transition(
            kind="instance",
            subject=instance,
            project=one.project,
            bid=one.bid,
            aspect="host_key",
            before=before,
            after=after,
            type="instance.host_key_changed",
            observed_at=press.now,
            window_start=None,
        )
        siblings = read.instances_of(connection, [one.bid]) if one.bid else found
        bids = {bid.value.fid: bid for bid in read.bids_named(connection, one.bid)} if one.bid else {}
        fleet = Fleet(bids, siblings)
        around = Surroundings(
            fleet=fleet,
            of_bid=group_by_bid(fleet),
            market=read.market(connection),
            type_names={fid: kind.name for fid, kind in read.instance_types(connection).items()},
            project_names={one.project: read.project(connection, one.project)["name"]},
        )
        press.write(connection, step, around)

    return write
