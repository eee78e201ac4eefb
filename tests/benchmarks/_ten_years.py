"""A record of ten years: 100,000 transitions of 5,000 bids, with their events, notices, deliveries and hook output.

It is written by the code that writes the real one, a thousand steps a commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import insert, literal, select, update

from mithrild.fleet import event as events
from mithrild.fleet import lifecycle
from mithrild.fleet.model import Bid, Fleet, Instance, Kind, Notice, Project, Record, Transition
from mithrild.fleet.notices import NOTICE
from mithrild.fleet.routing import HookRule, Match
from mithrild.store import inventory
from mithrild.store.database import Database
from mithrild.store.tables import AttemptRow, DeliveryRow, ProjectRow, table_of
from mithrild.store.writing import insert_notices, put_fleet, write_events, write_transitions

END = datetime(2026, 1, 1, tzinfo=UTC)
TEN_YEARS = timedelta(days=3652)
BIDS, LIVE = 5_000, 20
PROJECT = "proj_bench"
OUTPUT = "step 1024: loss 2.31, checkpoint written\n" * 25  # a kilobyte
# Everything is told to one hook, and a second one is there for notices.
RULES = [
    HookRule("record", ("*",), Match(), None, ("run",)),
    HookRule("save", ("instance.preempting",), Match(), None, ("run",)),
]

_deliveries, _attempts = table_of(DeliveryRow), table_of(AttemptRow)
_BID_STORY = (None, "Open", "Allocated", "Preempting", "Open", "Allocated", "Terminated")
_WORDS = ("NEW", "INITIALIZING", "RUNNING", "PREEMPTING", "STOPPING", "PREEMPTED", "TERMINATED")
_INSTANCE_STORY = (None, *(f"STATUS_{word}" for word in _WORDS))


def build(path: Path) -> Database:
    """Makes the record at `path`, and opens it. The last few of its bids live."""
    database = Database(path)
    inventory.keep_projects(database, [Project(PROJECT, "bench")])
    begun = END - TEN_YEARS
    for start in range(0, BIDS, 50):
        bids: dict[str, Record[Bid]] = {}
        instances: dict[str, Record[Instance]] = {}
        steps: list[Transition] = []
        for number in range(start, start + 50):
            at = begun + TEN_YEARS * number / BIDS
            few = _fleet(number, at, live=number >= BIDS - LIVE)
            bids |= few.bids
            instances |= few.instances
            steps += _steps(few, at)
        _write(database, Fleet(bids, instances), sorted(steps, key=lambda step: step.observed_at))
    _deliver(database, begun)
    return database


def _write(database: Database, fleet: Fleet, steps: list[Transition]) -> None:
    around = events.Surroundings(fleet, events.group_by_bid(fleet), type_names={"it_b200": "b200-192gb.sxm.8x"})
    with database.write() as connection:
        put_fleet(connection, fleet)
        written = write_transitions(connection, steps)
        noticed = [(sequence, step) for sequence, step in written if step.after in lifecycle.NOTICED]
        opened = {step.subject: sequence for sequence, step in noticed}
        insert_notices(connection, [_notice(step) for _, step in noticed], PROJECT, opened)
        now = steps[-1].observed_at
        write_events(connection, database.id, "workstation", written, around, RULES, now, openings=opened)


def _deliver(database: Database, begun: datetime) -> None:
    """Each delivery was done at its first try, and its hook printed something."""
    done = {"state": "done", "next_at": None, "attempts": 1, "finished_at": _deliveries.c.created_at}
    tries = {
        "delivery": _deliveries.c.id,
        "number": literal(1),
        "started_at": _deliveries.c.created_at,
        "ended_at": _deliveries.c.created_at,
        "outcome": literal("done"),
        "exit_code": literal(0),
        "output": literal(OUTPUT),
        "output_bytes": literal(len(OUTPUT)),
    }
    with database.write() as connection:
        connection.execute(update(_deliveries).values(done))
        connection.execute(insert(_attempts).from_select(list(tries), select(*tries.values())))
        connection.execute(update(table_of(ProjectRow)).values(baseline_at=begun, clusters_baseline_at=begun))


def _fleet(number: int, at: datetime, *, live: bool) -> Fleet:
    bid, fids = f"bid_{number:07}", (f"inst_{number:07}_0", f"inst_{number:07}_1")
    status, word = ("Allocated", "STATUS_RUNNING") if live else ("Terminated", "STATUS_TERMINATED")
    who = "user_bench"
    placed = Bid(bid, PROJECT, f"train-{number}", status, 2, "it_b200", "us-central5-a", "$24.00", 2400, at, who)
    machines = {
        fid: Instance(
            fid, PROJECT, f"train-{number}-{node}", word, bid, "it_b200", "us-central5-a", at, who,
            ssh_destination=f"203.0.113.{number % 250}", private_ip=f"10.0.{node}.{number % 250}",
        )
        for node, fid in enumerate(fids)
    }  # fmt: skip
    return Fleet(
        {bid: Record(replace(placed, instances=fids if live else ()), at)},
        {fid: Record(one, at) for fid, one in machines.items()},
    )


def _steps(fleet: Fleet, at: datetime) -> Iterator[Transition]:
    """Twenty of a bid that ended: six of its own, seven of each instance. One that lives stopped at running."""
    for bid, record in fleet.bids.items():
        live = record.value.status == "Allocated"
        yield from _story("bid", bid, bid, _BID_STORY[:3] if live else _BID_STORY, at)
        for fid in fleet.instances:
            yield from _story("instance", fid, bid, _INSTANCE_STORY[:4] if live else _INSTANCE_STORY, at)


def _story(kind: Kind, subject: str, bid: str, words: tuple[str | None, ...], at: datetime) -> Iterator[Transition]:
    name = lifecycle.bid_event if kind == "bid" else lifecycle.instance_event
    for place, (before, after) in enumerate(pairwise(words)):
        assert after is not None
        seen = at + timedelta(minutes=20 * place, seconds=3)
        yield Transition(
            kind, subject, PROJECT, bid, "status", before, after, name(before, after, in_time=False),
            observed_at=seen, window_start=seen - timedelta(seconds=5), occurred_at=seen - timedelta(seconds=2),
        )  # fmt: skip


def _notice(step: Transition) -> Notice:
    at = step.observed_at
    return Notice(step.subject, 1, "preemption", at, at + NOTICE, False, at + NOTICE, "preempted")
