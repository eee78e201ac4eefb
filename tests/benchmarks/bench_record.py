"""How long a poll's commit and an answer take for 1,000 bids of 4 instances. Prints medians; asserts nothing."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mithrild.fleet.model import Bid, Instance, Project, Seen, Snapshot
from mithrild.fleet.routing import HookRule, Match
from mithrild.store import inventory, outbox, read
from mithrild.store.database import Database
from mithrild.store.record import record

BIDS, EACH, PREEMPTED = 1_000, 4, 250
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = [HookRule(name, ("instance.preempting",), Match(), None, ("run",)) for name in ("a", "b", "c")]


def snapshot(ticket: int, preempted: int = 0) -> Snapshot:
    bids, instances = {}, {}
    for number in range(BIDS):
        bid, noticed = f"bid_{number:05}", number < preempted
        fids = tuple(f"inst_{number:05}_{node}" for node in range(EACH))
        status = "Preempting" if noticed else "Allocated"
        value = Bid(bid, "p", f"train-{number}", status, EACH, "it_1", "r", "$8.00", 800, NOW, "u", instances=fids)
        bids[bid] = Seen(value, ticket)
        for node, fid in enumerate(fids):
            word = "STATUS_PREEMPTING" if noticed else "STATUS_RUNNING"
            one = Instance(fid, "p", f"train-{number}-{node}", word, bid, "it_1", "r", NOW, "u")
            instances[fid] = Seen(one, ticket)
    at = NOW + timedelta(seconds=5 * ticket)
    whole = frozenset[str]({"bid", "instance"})
    return Snapshot("p", at, at, bids, instances, whole=whole, complete=True)  # type: ignore[arg-type]  # literals


def timed(what: str, run: Callable[[], object], times: int = 1) -> None:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        took.append((time.perf_counter() - begun) * 1000)
    print(f"  {what:<58} {statistics.median(took):8.0f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "bench.db")
        inventory.keep_projects(database, [Project("p", "p")])
        tickets = iter(range(1, 1_000))

        def commit(preempted: int = 0, changed: bool = True) -> None:
            seen = snapshot(next(tickets), preempted)
            record(database, seen, RULES, host="h", window=lambda _: None, changed=changed)

        print(f"{BIDS} bids of {EACH} instances:")
        timed("first sight", commit)
        timed("a poll in which nothing changed: its commit", lambda: commit(changed=False), 5)
        timed(f"{PREEMPTED} bids preempted at once, 3 hooks each", lambda: commit(PREEMPTED))

        def claim() -> None:
            outbox.claim(database, ("a", "run"), free=4, max_age=None, run="bench", now=NOW + timedelta(hours=1))

        timed("claiming 4 of 1,000 due deliveries", claim, 5)

        def load() -> None:
            with database.read() as connection:
                read.fleet(connection, "p")

        timed("loading the fleet", load, 5)
        with database.read() as connection:
            count = len(read.events(connection, after=0, limit=100_000))
        print(f"  {count} events, {database.path.stat().st_size / 1e6:.1f} MB")
        database.close()
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
