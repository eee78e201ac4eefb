"""One life of a watch that meets faults: suffers them, recovers by itself, and is held to what really happened."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Self

from mithrild.fleet.lifecycle import FINAL
from mithrild.fleet.model import Bid, Cluster, Instance, Record
from mithrild.sandbox import catalog
from mithrild.sandbox.faults import Fault
from mithrild.store import read
from mithrild.watcher.watch import KEY_AGAIN
from tests.acceptance.fault_table import CALLS, NO_ANSWER, WAYS, calls_of
from tests.acceptance.truth import word
from tests.integration.account_rig import Rig
from tests.integration.sandbox_server import PROJECT, Visitor

# A refused key is tried every five minutes, prices are asked for every two; and a poll takes its time.
RECOVERS_WITHIN = KEY_AGAIN + 30
POLLS_IN_TROUBLE = 2
MOST_TURNS = 400
SELDOM = "20s"  # between two polls, so that not too many lie before the next round of what is asked once a minute
# A deadline is told by the sandbox's clock, which does not go with the hand clock.
DERIVED = ("bid.running", "instance.deadline_changed")

Statuses = dict[str, str]  # fid -> status
News = Counter[tuple[str, str]]  # (subject, its new status in a word)


class Life:
    """From a start to a stop. `since` is where the timeline stood when the life before it was last looked at."""

    def __init__(self, visitor: Visitor, folder: Path, since: int = 0, /, **env: str) -> None:
        self.visitor, self.sandbox = visitor, visitor.sandbox
        self.sandbox.ledger.clear()
        self.rig = Rig(visitor, folder, NO_ANSWER, MITHRILD_POLL__ACTIVE=SELDOM, **env)
        self.mark()
        self._since = since
        self.rig.watch.begin()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.rig.aclose()
        asked = self.sandbox.ledger.report()["by_path"]
        assert isinstance(asked, dict)
        if kind is None:
            assert calls_of(asked) <= CALLS.keys(), "the daemon makes a call that the table does not name"

    async def suffer(self, way: str, body: dict[str, Any], hidden: str) -> None:
        """Until the fault was met, and through some polls. `hidden` is what the listing of the way then lacks."""
        if (listing := WAYS[way].hides) is not None:
            await self.rig.fault(kind="drop_item", path=listing, fid=hidden)
        fault = self.sandbox.faults.add(Fault(**body))
        health = self.rig.watch.health
        before = health.polls
        for _ in range(MOST_TURNS):
            await self.rig.cadence.turn()
            if fault.hits and (health.polls - before >= POLLS_IN_TROUBLE or health.key == "refused"):
                return
        raise AssertionError("the fault was never met")

    async def recover(self) -> None:
        """The trouble is over: until all is well and everything is known, without help."""
        self.sandbox.faults.clear()
        began = self.rig.clock.now()
        while missing := self._missing(began.timestamp()):
            await self.rig.cadence.turn()
            waited = (self.rig.clock.now() - began).total_seconds()
            assert waited < RECOVERS_WITHIN, f"not within {waited:.0f} s: {missing}; {self.rig.watch.health}"

    def mark(self) -> None:
        """From here on, what changes is news."""
        self._known, self._since = self.record(), self.sandbox.market.timeline.newest
        with self.rig.database.read() as connection:
            self._sequence = read.last_sequence(connection)

    def check_news(self) -> None:
        """What changed since the mark was told, once; what nobody can have seen may have been told; nothing else."""
        steps = self.sandbox.market.timeline.after(self._since, 100_000)
        real = [step for step in steps if step.project == PROJECT and step.aspect == "status"]
        news = self.news()
        assert self._due() <= news <= Counter((step.subject, word(step.after)) for step in real)

    def news(self) -> News:
        """The changes of status that were told since the mark."""
        told = [event for event in self._events() if event["type"] not in DERIVED]
        return Counter((event["subject"], event["data"]["to"]) for event in told if not _is_condition(event))

    def _due(self) -> News:
        """What has to be told: the way of each thing from what was known at the mark to what it is."""
        due: News = Counter()
        for fid, status in self.truth().items():
            before = self._known.get(fid)
            if before is None and fid.startswith("bid_"):
                due[fid, "open"] += 1  # every bid was placed
                before = "Open"
            if before != status and not (before is None and status in FINAL):
                due[fid, word(status)] += 1
        return due

    def conditions(self) -> list[str]:
        """What was told since the mark of the watch itself."""
        return [event["type"] for event in self._events() if _is_condition(event)]

    def truth(self) -> Statuses:
        registry = self.sandbox.market.registry
        found = {bid.fid: str(bid.status) for bid in registry.bids if bid.project == PROJECT}
        found |= {one.fid: one.status for one in registry.instances if one.project == PROJECT}
        return found | {one.fid: str(one.status) for one in registry.clusters.values() if one.project == PROJECT}

    def record(self) -> Statuses:
        with self.rig.database.read() as connection:
            fleet = read.fleet(connection, PROJECT, ended=True)
        things: dict[str, Record[Bid] | Record[Instance] | Record[Cluster]]
        things = {**fleet.bids, **fleet.instances, **fleet.clusters}
        return {fid: "gone" if one.gone else one.value.status for fid, one in things.items()}

    def _missing(self, since: float) -> str:
        """What is not as it should be since then, empty if nothing."""
        health, record = self.rig.watch.health, self.record()
        with self.rig.database.read() as connection:
            project = next(iter(read.projects(connection)), None)
            types, members = read.instance_types(connection), read.members(connection)
            market = read.market(connection)
        if health.key != "ok" or not health.reachable or health.last_error is not None or project is None:
            return "health"
        for mark in ("polled_at", "clusters_polled_at"):
            if project[mark] is None or project[mark].timestamp() < since:
                return mark
        # What had ended before anybody looked need not be on record.
        truth = {fid: status for fid, status in self.truth().items() if fid in record or status not in FINAL}
        wrong = [fid for fid, status in truth.items() if record.get(fid) != status]
        if wrong:
            return f"agreement about {wrong}"
        known = (len(types), len(members), len(market), project["name"])
        there = (len(catalog.TYPES), len(catalog.USERS), len(catalog.PLACES), catalog.PROJECTS[PROJECT])
        return "" if known == there else f"{known} of {there}"

    def _events(self) -> list[dict[str, Any]]:
        with self.rig.database.read() as connection:
            return [json.loads(body) for _, _, _, body in read.events(connection, after=self._sequence, limit=10_000)]


def _is_condition(event: dict[str, Any]) -> bool:
    return event["type"].partition(".")[0] in ("marketplace", "credentials", "watch")
