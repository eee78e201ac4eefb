"""A watch that looks only now and then, beside a backfill that is run by hand."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mithrild.clock import Bearings
from mithrild.fleet.gaps import Gap
from mithrild.store import read, wishes
from mithrild.watcher.backfill import REST, Backfill
from mithrild.watcher.poller import Poller
from mithrild.watcher.recorder import Recorder
from tests.integration.sandbox_server import PROJECT
from tests.integration.watch_rig import Rig, with_rig


def text(moment: datetime) -> str:
    """A moment as the record writes it."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Sleeper:
    """A watch that looks only now and then, and a backfill that is run by hand."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        # One time for both sides: what is turned at the marketplace passes here too.
        self.turn_market = rig.visitor.turn
        rig.visitor.turn = self.turn  # type: ignore[method-assign]  # for this test's time alone
        self.backfill = Backfill(PROJECT, rig.marketplace, rig.budget, rig.database, rig.recorder, rig.clock)

    async def turn(self, seconds: float) -> None:
        await self.turn_market(seconds)
        self.rig.clock.shift += timedelta(seconds=seconds)

    async def look(self) -> None:
        await self.rig.tick()

    async def remember(self, *bids: str) -> None:
        with self.rig.database.write() as connection:
            wishes.want(connection, *bids)
        await self.finish()

    async def remember_all(self, since: datetime) -> None:
        with self.rig.database.write() as connection:
            gap = "update projects set gap_since = ?, gap_until = ?"
            connection.exec_driver_sql(gap, (text(since), text(self.rig.clock.now())))
        await self.finish()

    async def finish(self) -> None:
        """Until nothing is wanted, or what is wanted waits for the next look."""
        rests = 0
        for _ in range(200):
            if self.is_idle() or (rests >= 3 and self.wanted()[1] is None):
                return
            wait = await self.backfill.run()
            rests += wait == REST
            await self.rig.clock.sleep(wait)
        raise AssertionError("there is no end to what is wanted")

    def is_idle(self) -> bool:
        """Whether nothing is wanted any more, by the record or by the looks that nothing gives rise to."""
        backfill = self.backfill
        rests = backfill._through is None and backfill._routine_at > self.rig.clock.monotonic()
        return rests and self.wanted() == ([], None)

    def restart(self) -> None:
        """Another process on the same record."""
        rig = self.rig
        rig.recorder = Recorder(rig.database, rig.recorder._rules, "here", rig._tell, Bearings(rig.clock))
        rig.poller = Poller(PROJECT, rig.marketplace, rig.database, rig.recorder, rig.clock, lambda: timedelta(hours=1))
        self.backfill = Backfill(PROJECT, rig.marketplace, rig.budget, rig.database, rig.recorder, rig.clock)

    def wanted(self) -> tuple[list[str], Gap | None]:
        with self.rig.database.read() as connection:
            return list(wishes.due(connection, PROJECT)), wishes.gap(connection, PROJECT)

    def rows(self, subject: str) -> list[dict[str, Any]]:
        query = "select * from transitions where subject = ? and aspect = 'status' order by position, sequence"
        with self.rig.database.read() as connection:
            return [dict(row) for row in connection.exec_driver_sql(query, (subject,)).mappings()]

    def words(self, subject: str) -> list[str]:
        return [row["after"].removeprefix("STATUS_") for row in self.rows(subject)]

    async def truth(self) -> dict[str, list[tuple[str, datetime]]]:
        """What really happened, by subject."""
        steps = (await self.rig.visitor.get("/sandbox/timeline", limit=100_000))["steps"]
        found: dict[str, list[tuple[str, datetime]]] = {}
        for step in steps:
            if step["kind"] in ("bid", "instance") and step["aspect"] == "status" and step["project"] == PROJECT:
                found.setdefault(step["subject"], []).append((step["to"], datetime.fromisoformat(step["at"])))
        return found


def with_sleeper(folder: Path, story: Any, **options: Any) -> None:
    async def run(rig: Rig) -> None:
        await story(Sleeper(rig))

    with_rig(folder, run, **options)


def moments(rows: list[dict[str, Any]]) -> list[tuple[str, datetime]]:
    return [(row["after"], datetime.fromisoformat(row["occurred_at"] or row["position"])) for row in rows]


def gaps(sleeper: Sleeper) -> list[dict[str, Any]]:
    """What was told of gaps."""
    with sleeper.rig.database.read() as connection:
        told = read.events(connection, patterns=["watch.gap"], limit=100)
    return [json.loads(body)["data"] for *_, body in told]
