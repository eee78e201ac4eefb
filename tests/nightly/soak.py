"""One accelerated day of a daemon: does it grow?

Run it: `make soak`. MITHRILD_SOAK_MINUTES of wall time (10 if not said) hold a day of the marketplace: real processes,
a daemon with its hooks, a follower, calls of `ml`, reloads, short outages. The first fifth is for warming up; the tenth
after that is held against the last one. Exits 1 if anything grew by 5 % or more between them.

What has a bound is brought there by the warm-up, or its way to the bound would pass for growth. Each of the record's
connections (a writer, four readers) keeps up to 2 MiB of pages of the file, so the file has to be larger than that: the
market goes five times as fast at first. Threads and connections are made when so many are wanted at once: a crowd asks.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from tests.acceptance.harness import BIN, RECORD, Daemon, Process, Sandbox, wait_for, write_config, write_hook

MINUTES = float(os.environ.get("MITHRILD_SOAK_MINUTES", "10"))
LENGTH = MINUTES * 60
SPEED = 86_400 / LENGTH
WARM_UP, CALMING, WINDOW = 0.2, 0.05, 0.1  # of the whole; after the warm-up its last hooks are still to be run
WARM_UP_PACE = 5
CROWD = 24  # ask at once: more than there are places in any pool of connections, fewer than threads
CROWDED = ("/v1/bids?all=1", "/v1/events?after=0", "/v1/deliveries", "/v1/status")
LIMIT = 0.05
ML = (["instance", "list"], ["instance", "list", "--all"], ["events", "--since", "1m"], ["daemon", "status"])
FAULTS = (
    {"path": "/v2/*", "kind": "status", "status": 503},
    {"path": "/v2/*", "kind": "reset"},
    {"path": "/v2/instances*", "kind": "truncate"},
    {"path": "/v2/spot/*", "kind": "html"},
)
# Seconds between two of each. They divide the windows that are compared, so that each holds as many as the other.
SAMPLE_EVERY, ML_EVERY, RELOAD_EVERY, FAULT_EVERY, FAULT_FOR = 0.5, 3.0, 20.0, 20.0, 3.0


@dataclass
class Curve:
    """One figure over time: (seconds since the start, value)."""

    name: str
    unit: str
    take: Callable[[], float]
    is_total: bool = False  # a sum that only grows: what is compared is how fast it does
    points: list[tuple[float, float]] = field(default_factory=list)

    def within(self, begun: float, ended: float) -> float:
        """The mean, or the growth a second, between two moments."""
        inside = [(at, value) for at, value in self.points if begun <= at <= ended]
        if self.is_total:
            return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])
        return statistics.fmean(value for _, value in inside)


@dataclass
class Job:
    """Done again and again, every so many seconds."""

    every: float
    run: Callable[[], None]
    due: float = 0.0


class Soak:
    """A daemon in use."""

    def __init__(self, folder: Path, sandbox: Sandbox, daemon: Daemon) -> None:
        self._folder, self._sandbox, self._daemon = folder, sandbox, daemon
        self.did: Counter[str] = Counter()
        pid, wal = daemon.pid, folder / f"{RECORD}-wal"
        self.curves = (
            Curve("memory", "MiB", lambda: resident(pid)),
            Curve("file handles", "", lambda: entries(pid, "fd")),
            Curve("threads", "", lambda: entries(pid, "task")),
            Curve("WAL", "MiB", lambda: wal.stat().st_size / 2**20 if wal.exists() else 0.0),
            Curve("requests", "a second", self._requests, is_total=True),
        )
        self._calls, self._faults = cycle(ML), cycle(FAULTS)
        self._jobs = [
            Job(SAMPLE_EVERY, self._sample),
            Job(ML_EVERY, self._call),
            Job(RELOAD_EVERY, self._reload, due=RELOAD_EVERY / 2),
            Job(FAULT_EVERY, self._break, due=FAULT_EVERY),
            Job(FAULT_EVERY, self._mend, due=FAULT_EVERY + FAULT_FOR),
        ]
        self._begun = time.monotonic()

    def elapsed(self) -> float:
        return time.monotonic() - self._begun

    def go_on_until(self, moment: float) -> None:
        while (now := self.elapsed()) < moment:
            assert self._daemon.running, self._daemon.said()[-2000:]
            for job in self._jobs:
                if job.due <= now:
                    job.run()
                    job.due += job.every
            time.sleep(0.05)
        self._mend()

    def _requests(self) -> float:
        return float(self._sandbox.get("/sandbox/state")["market"]["requests"])

    def _sample(self) -> None:
        now = self.elapsed()
        for curve in self.curves:
            curve.points.append((now, curve.take()))

    def _call(self) -> None:
        words = next(self._calls)
        done = self._daemon.ml(*words)
        assert done.returncode == 0, (words, done.stderr)
        self.did["calls of ml"] += 1

    def _reload(self) -> None:
        self._daemon.signal(signal.SIGHUP)
        self.did["reloads"] += 1

    def _break(self) -> None:
        self._sandbox.post("/sandbox/faults", next(self._faults))
        self.did["outages"] += 1

    def _mend(self) -> None:
        self._sandbox.delete("/sandbox/faults")


def crowd(daemon: Daemon) -> None:
    with ThreadPoolExecutor(CROWD) as many:
        for path in CROWDED:
            list(many.map(daemon.get, [path] * CROWD))


def resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def entries(pid: int, what: str) -> float:
    return float(len(os.listdir(f"/proc/{pid}/{what}")))


def in_record(folder: Path, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(folder / RECORD)) as record:
        return record.execute(query).fetchall()


def told(follower: Process) -> list[str]:
    """The ids of the events that a follower has printed. What else it says is for people; the last line may not be
    whole yet."""
    whole = follower.said().rpartition("\n")[0].splitlines()
    return [json.loads(line)["id"] for line in whole if line.startswith("{")]


def grown(curves: Iterable[Curve]) -> bool:
    """Prints each figure at the start and at the end. Whether any grew too much."""
    warm = (WARM_UP + CALMING) * LENGTH
    first, last = (warm, warm + WINDOW * LENGTH), ((1 - WINDOW) * LENGTH, LENGTH)
    print(f"{'':14}{'start':>10}{'end':>10}{'growth':>9}")
    too_much = False
    for curve in curves:
        start, end = curve.within(*first), curve.within(*last)
        growth = end / start - 1 if start else float(end > 0)
        too_much |= growth >= LIMIT
        print(f"{curve.name:14}{start:10.1f}{end:10.1f}{growth:+9.1%} {curve.unit}")
    return too_much


def soak(folder: Path) -> bool:
    effect = write_hook(folder, "effect", f'echo "$MITHRILD_EVENT_ID" >> {folder}/effects.txt')
    on = {"tell": '["*"]', "save": '["*.preempting"]', "resume": '["instance.running", "bid.running"]'}
    write_config(folder, *(f'name = "{name}"\non = {what}\nrun = ["{effect}"]' for name, what in on.items()))
    print(f"a day in {MINUTES:g} minutes, at speed {SPEED:g}; 4 polls a second", flush=True)
    with Sandbox(folder, speed=WARM_UP_PACE * SPEED) as sandbox, Daemon(folder, sandbox) as daemon:
        wait_for("the first sight", daemon.watched)
        argv = [str(BIN / "ml"), "events", "-f", "--json", "--after", "0"]
        with Process(argv, daemon.env, folder / "follower.log") as follower:
            run = Soak(folder, sandbox, daemon)
            run.go_on_until(WARM_UP * LENGTH)
            crowd(daemon)
            sandbox.post("/sandbox/clock", {"speed": SPEED})
            size = daemon.record.stat().st_size / 2**20
            print(f"warm: the record has {size:.1f} MiB", flush=True)
            run.go_on_until(LENGTH)
            sandbox.post("/sandbox/market", {"paused": True})

            def ids() -> list[str]:
                return [id for (id,) in in_record(folder, "select id from events order by sequence")]

            wait_for("the follower to have told all", lambda: told(follower) == ids())
        steps, deliveries = (in_record(folder, f"select count(*) from {one}")[0][0] for one in ("events", "deliveries"))
        print(f"{steps} events, {deliveries} deliveries, {dict(run.did)}; the follower told all, once and in order")
        bad = grown(run.curves)
        assert daemon.stop() == 0
    return bad


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.exit(soak(Path(place)))
