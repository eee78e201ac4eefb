"""What a record of ten years costs: to open, to write to, to ask, to keep in bounds and to back up.

Run it: `.venv/bin/python tests/benchmarks/bench_ten_years.py [YEARS]`, the years being those of the price samples. It
prints medians in milliseconds, sizes and memory, and asserts nothing. Answers are whole processes of `ml`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from mithrild.fleet.keeping import Limits
from mithrild.fleet.model import Instance, Seen, Snapshot
from mithrild.store import backup, bounded, growth, retention
from mithrild.store.bounded import Dropped
from mithrild.store.database import Database
from mithrild.store.record import record
from mithrild.store.tables import ProjectRow, table_of
from tests.benchmarks._ten_years import END, PROJECT, RULES, build
from tests.benchmarks.bench_cli import ML, median
from tests.integration.api_on_socket import serving

YEAR = timedelta(days=365)
LIMITS = Limits(YEAR, timedelta(days=30), 100_000_000, timedelta(days=2), timedelta(days=90), timedelta(days=730))
AUCTION = timedelta(minutes=2)
RUNS = 5


def timed(what: str, run: Callable[[], object], times: int = 1) -> None:
    spans = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        spans.append((time.perf_counter() - begun) * 1000)
    print(f"  {what:<58} {statistics.median(spans):9.1f} ms")


def walk(what: str, steps: Iterator[None], dropped: Dropped) -> None:
    """A whole pass, and the longest that a poll could have had to wait for one of its transactions."""
    spans, begun, last = [], time.perf_counter(), time.perf_counter()
    for _ in steps:
        spans.append((time.perf_counter() - last) * 1000)
        last = time.perf_counter()
    seconds = time.perf_counter() - begun
    print(f"  {what:<58} {seconds:9.1f} s in {len(spans)} steps, median {statistics.median(spans or [0]):.1f} ms,")
    print(f"  {'':<58} longest {max(spans, default=0):.1f} ms; {dropped}")


def size(database: Database) -> str:
    return f"{database.path.stat().st_size / 1e6:.1f} MB"


def commits(database: Database) -> None:
    tickets = iter(range(1, 1000))

    def poll(*, changed: bool) -> None:
        ticket = next(tickets)
        at = END + timedelta(seconds=5 * ticket)
        word = "STATUS_STARTING" if ticket % 2 else "STATUS_RUNNING"
        one = Instance(
            "inst_0004999_0", PROJECT, "n", word, "bid_0004999", "it_b200", "us-central5-a", END, "user_bench"
        )
        seen = Snapshot(PROJECT, at, at, instances={one.fid: Seen(one, ticket)}, complete=True)
        record(database, seen, RULES, host="h", window=lambda _: None, changed=changed)

    timed("a poll in which nothing changed: its commit", lambda: poll(changed=False), RUNS)
    timed("a poll in which one machine changed: its commit", lambda: poll(changed=True), RUNS)


async def answers(database: Database, folder: Path) -> None:
    async with serving(database, folder) as api:
        with database.write() as connection:  # just now: else every answer says how old it is
            connection.execute(update(table_of(ProjectRow)).values(polled_at=api.clock.now()))
        env = {**os.environ, "MITHRILD_SOCKET": api.path}
        questions = {
            "ml daemon status": ["daemon", "status"],
            "ml history": ["history", "train-2500"],
            "ml events --limit 100": ["events", "--limit", "100"],
        }
        for words, args in questions.items():
            took = await asyncio.to_thread(median, [*ML, *args], env, RUNS)
            print(f"  {words:<58} {took:9.1f} ms")
        for path in ("/status", "/bids/train-2500/history", "/events?limit=100"):
            spans = []
            for _ in range(RUNS):
                begun = time.perf_counter()
                await api.get(path)
                spans.append((time.perf_counter() - begun) * 1000)
            print(f"  {'GET /v1' + path:<58} {statistics.median(spans):9.1f} ms")


def prices(folder: Path, years: int) -> None:
    """One auction's samples of so many years, each another than the one before, thinned at once."""
    database = Database(folder / "prices.db")
    begun = END - years * YEAR
    count = years * YEAR // AUCTION
    with database.write() as connection:
        insert = (
            "INSERT INTO prices (at, capacity, spot_price_cents, region, instance_type) VALUES (?, 8, ?, 'r', 'it')"
        )
        for start in range(0, count, 10_000):
            rows = [
                ((begun + AUCTION * n).strftime("%Y-%m-%dT%H:%M:%S.000000Z"), 1000 + n * 7919 % 977)
                for n in range(start, min(start + 10_000, count))
            ]
            connection.exec_driver_sql(insert, rows)
        connection.exec_driver_sql(
            "INSERT INTO market (region, instance_type, at, capacity) VALUES ('r', 'it', ?, 8)", (rows[-1][0],)
        )
    print(f"{count:,} samples of one auction, {years} years, one each two minutes: {size(database)}")
    dropped = Dropped()
    walk("thinning them all at once", bounded.drop_prices(database, LIMITS, END, dropped), dropped)
    measured = growth.measure(database, END)
    left = count - dropped.prices
    print(
        f"  {left:,} samples are left, {measured.bytes['prices'] / 1e6:.2f} MB; {measured.free_bytes / 1e6:.0f} MB free"
    )
    database.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "state" / "mithrild.db"
        build(path).close()
        opened: list[Database] = []
        timed("opening the record, its quick_check included", lambda: opened.append(Database(path)))
        (database,) = opened
        measured = growth.measure(database, END)
        print(f"{measured.transitions:,} transitions, {size(database)}: {measured.bytes_each} bytes each")
        timed("measuring the growth", lambda: growth.measure(database, END), 3)
        commits(database)
        asyncio.run(answers(database, folder))
        (folder / "backups").mkdir(mode=0o700)

        def back_up() -> None:
            made = backup.make(path, folder / "backups", END, told=lambda *_: None, cancelled=lambda: False)
            print(f"  the backup is {made.bytes / 1e6:.1f} MB")

        timed("a backup", back_up)
        passes: dict[str, Callable[[Dropped], Iterator[None]]] = {
            "keeping the output of hooks in bounds": lambda to: bounded.drop_outputs(database, LIMITS, END, to),
            "dropping nine years of transitions": lambda to: retention.drop_transitions(database, END - YEAR, to),
        }
        for what, begin in passes.items():
            dropped = Dropped()
            walk(what, begin(dropped), dropped)
        commits(database)
        database.close()
        prices(folder, int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
