"""Short ways to a record with something in it: polls of a made-up fleet at made-up times, and a clock to turn."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from mithrild.clock import Clock
from mithrild.config import Hook
from mithrild.fleet.model import Auction, Bid, Cluster, Instance, Kind, Project, Seen, Snapshot
from mithrild.fleet.routing import HookRule, Match
from mithrild.hooks.dispatcher import Dispatcher
from mithrild.store.database import Database
from mithrild.store.inventory import keep_projects
from mithrild.store.migrations.run import upgrade
from mithrild.store.outbox import Claim, End, Outcome, settle_all
from mithrild.store.record import Recorded, record

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PROJECT = Project("proj_demo", "demo")
HOST = "workstation"
CAP = 60.0  # seconds; only something broken waits so long

PREEMPTING, RUNNING, STARTING = "STATUS_PREEMPTING", "STATUS_RUNNING", "STATUS_STARTING"
TERMINATED, RELOCATING = "STATUS_TERMINATED", "STATUS_RELOCATING"

_EVERYTHING: frozenset[Kind] = frozenset({"bid", "instance", "cluster"})


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def seen_at(seconds: float) -> datetime:
    """When what a poll begun so many seconds after noon saw is counted as seen: a second later."""
    return at(seconds + 1)


def a_bid(fid: str = "bid_1", status: str = "Allocated", **rest: Any) -> Bid:
    values: dict[str, Any] = {
        "project": PROJECT.fid,
        "name": f"name-of-{fid}",
        "instance_quantity": 1,
        "instance_type": "it_h100",
        "region": "us-central1-b",
        "limit_price": "$8.00",
        "limit_price_cents": 800,
        "created_at": at(-3600),
        "created_by": "user_1",
    }
    return Bid(fid=fid, status=status, **values | rest)


def an_instance(fid: str = "inst_1", status: str = RUNNING, bid: str | None = "bid_1", **rest: Any) -> Instance:
    values: dict[str, Any] = {
        "project": PROJECT.fid,
        "name": f"name-of-{fid}",
        "instance_type": "it_h100",
        "region": "us-central1-b",
        "created_at": at(-3000),
        "created_by": "user_1",
    }
    return Instance(fid=fid, status=status, bid=bid, **values | rest)


def a_cluster(fid: str = "clus_1", status: str = "Available", **rest: Any) -> Cluster:
    values: dict[str, Any] = {
        "project": PROJECT.fid,
        "name": f"name-of-{fid}",
        "region": "us-central1-b",
        "created_at": at(-3600),
        "k8s_version": "1.31",
    }
    return Cluster(fid=fid, status=status, **values | rest)


def an_auction(region: str = "us-central1-b", cents: int = 620, capacity: int = 8) -> Auction:
    price = f"${cents // 100}.{cents % 100:02d}"
    return Auction(region, "it_h100", capacity, price, cents, price, cents)


def poll(
    seconds: float,
    *things: Bid | Instance | Cluster,
    whole: frozenset[Kind] = _EVERYTHING,
    complete: bool = True,
    absent: Collection[str] = (),
    deadlines: Mapping[str, datetime] | None = None,
    project: str = PROJECT.fid,
) -> Snapshot:
    """A poll that was begun so many seconds after noon and took one second."""
    return Snapshot(
        project=project,
        asked_at=at(seconds),
        observed_at=seen_at(seconds),
        bids={one.fid: Seen(one, 1) for one in things if isinstance(one, Bid)},
        instances={one.fid: Seen(one, 1) for one in things if isinstance(one, Instance)},
        clusters={one.fid: Seen(one, 1) for one in things if isinstance(one, Cluster)},
        whole=whole,
        complete=complete,
        absent=frozenset(absent),
        deadlines=deadlines or {},
    )


def a_rule(
    name: str = "all",
    *on: str,
    max_age: timedelta | None = None,
    match: Match | None = None,
    actions: tuple[str, ...] = ("run",),
) -> HookRule:
    return HookRule(name, on or ("*",), match or Match(), max_age, actions)


def keep(
    database: Database,
    seen: Snapshot,
    rules: Iterable[HookRule] = (),
    window: Callable[[str], datetime | None] = lambda fid: None,
) -> Recorded:
    return record(database, seen, tuple(rules), host=HOST, window=window)


@cache
def a_new_record() -> bytes:
    """A database without a row. Migrations take a while, and are the same for every test that is not about them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mithrild.db")
        upgrade(path)
        return path.read_bytes()


@contextmanager
def opened(folder: Path, clock: Clock | None = None) -> Iterator[Database]:
    """The record in this folder, which watches the project from its first opening on."""
    path = folder / "mithrild.db"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(a_new_record())
    database = Database(path, clock)
    try:
        keep_projects(database, [PROJECT])
        yield database
    finally:
        database.close()


def sql(database: Database, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What stands in the file, read (or changed) past all of our own code."""
    with closing(sqlite3.connect(database.path, isolation_level=None, timeout=CAP)) as connection:
        return connection.execute(statement, values).fetchall()


def deliveries(database: Database, columns: str = "hook, subject, state") -> list[tuple[Any, ...]]:
    return sql(database, f"SELECT {columns} FROM deliveries ORDER BY sequence, hook, action")


def settle_one(database: Database, claim: Claim, outcome: Outcome, *, run: str, now: datetime) -> None:
    """Records how one try ended, as the daemon records many."""
    settle_all(database, [End(claim, outcome, now)], run=run)


class HandClock:
    """Stands still until it is turned. A sleep yields to the loop, and that is all."""

    def __init__(self, seconds: float = 0) -> None:
        self.time = at(seconds)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - NOON).total_seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.01)

    def turn_to(self, seconds: float) -> None:
        self.time = at(seconds)


async def until(condition: Callable[[], object]) -> None:
    """Waits for a condition. A test that waits in vain fails."""
    deadline = time.monotonic() + CAP
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        await asyncio.sleep(0.01)


def a_script(path: Path, *lines: str) -> tuple[str]:
    """The `run` of a hook: a shell script with these lines."""
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return (str(path),)


@asynccontextmanager
async def dispatching(
    database: Database, *hooks: Hook, clock: Clock | None = None, run: str = "run_1", **more: Any
) -> AsyncIterator[Dispatcher]:
    """A dispatcher at work, which is stopped without grace at the end."""
    dispatcher = Dispatcher(database, lambda: hooks, clock or HandClock(60), run, **more)
    serving = asyncio.create_task(dispatcher.serve())
    try:
        yield dispatcher
    finally:
        await dispatcher.stop(timedelta(0))
        await asyncio.wait_for(serving, CAP)


async def until_it_says(database: Database, columns: str, *rows: tuple[Any, ...]) -> None:
    """Waits until these columns of all deliveries hold this."""
    await until(lambda: deliveries(database, columns) == list(rows))
