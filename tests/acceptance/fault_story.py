"""A sandbox and a daemon through one trouble after another, and what is to be true after each.

The market rests, and goes slower than life: a status that nobody forces lasts twenty seconds at the least, which is
longer than any trouble here. So every step has to be seen, however it fell.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.acceptance.fault_table import KINDS, NO_ANSWER, WAYS
from tests.acceptance.harness import Daemon, Sandbox, wait_for, words_of
from tests.acceptance.truth import status_events, unmatched

SPEED = 0.5
NOTICE = {"notice_seconds": 300 * SPEED}  # five minutes all the same: that is what the daemon estimates
REAL_POLL = timedelta(milliseconds=600)  # the interval, the requests and the commit, on a busy machine
QUICK = {
    "MITHRILD_MARKETPLACE__READ_TIMEOUT": f"{NO_ANSWER * 1000:.0f}ms",
    "MITHRILD_MARKETPLACE__REQUESTS_PER_MINUTE": "100000",
    "MITHRILD_POLL__PRICES": "500ms",
    "MITHRILD_POLL__CLUSTERS": "500ms",
    "MITHRILD_POLL__INVENTORY": "500ms",
}


@dataclass(frozen=True)
class Bids:
    """The bids that one trouble moves."""

    preempted: str
    ended: str
    moved: str
    opened: str


class Story:
    """A sandbox and its daemon, through one trouble after another."""

    def __init__(self, sandbox: Sandbox, daemon: Daemon) -> None:
        self.sandbox, self.daemon = sandbox, daemon
        self._noticed: str | None = None
        self._shown: dict[str, str] = {}  # events by id, as they were first shown

    def live_through(self, kind: str, name: str, bids: Bids) -> None:
        """One trouble: things move in it, it is met, it passes, and all is well again."""
        way, sandbox, daemon = WAYS[name], self.sandbox, self.daemon
        before = daemon.get("/v1/status")["polling"]
        if way.hides is not None:
            hidden = "clust_eval" if name == "cluster" else self._state(bids.moved)["instances"][0]["fid"]
            sandbox.post("/sandbox/faults", {"kind": "drop_item", "path": way.hides, "fid": hidden})
        fault = sandbox.post("/sandbox/faults", way.fault(KINDS[kind]))["id"]
        if name == "me":
            daemon.signal(signal.SIGHUP)
        self._move(name, bids)

        def met() -> bool:
            hits = {one["id"]: one["hits"] for one in sandbox.get("/sandbox/faults")}
            status = daemon.get("/v1/status")
            if way.refuses_the_key(kind):
                return bool(status["key"]["state"] == "refused")
            now = status["polling"]
            polled = now["polls"] >= before["polls"] + 2 or now["discarded"] > before["discarded"]
            return bool(polled and hits.get(fault, 1))  # used up, and so met, if it is there no more

        wait_for(f"a request that meets {kind} on {name}", met)
        sandbox.delete("/sandbox/faults")
        if way.refuses_the_key(kind):
            daemon.signal(signal.SIGHUP)  # or it would take up to five minutes
        self.be_well()
        # Its next steps would take minutes.
        for instance in self._state(bids.opened)["instances"]:
            sandbox.post(f"/sandbox/instances/{instance['fid']}/status", {"status": "STATUS_RUNNING"})

    def be_well(self) -> None:
        """Wait until the daemon is, by itself, and knows all that is so; nothing it ever told has changed."""
        since = datetime.now(UTC)

        def well() -> bool:
            status = self.daemon.get("/v1/status")
            fine = status["key"]["state"] == "ok" and status["marketplace"]["reachable"]
            if not fine or status["marketplace"]["last_error"] or status["freshness"]["stale"]:
                return False
            return datetime.fromisoformat(status["freshness"]["as_of"]) > since and self._agrees()

        wait_for("the daemon to be well", well)
        events = {event["id"]: words_of(event) for event in self.daemon.events()}
        assert {id: events.get(id) for id in self._shown} == self._shown
        self._shown = events

    def judge(self, begun: datetime) -> list[dict[str, Any]]:
        """Hold all events against what happened, and return those that stand for no step."""
        timeline: list[dict[str, Any]] = []
        while timeline != (timeline := self.sandbox.timeline()):
            self.be_well()
        events = self.daemon.events()
        missed, invented = unmatched(timeline, events, since=begun, poll=REAL_POLL)
        assert not missed
        assert not invented
        steps = {event["id"] for event in status_events(events)}
        return [event for event in events if event["id"] not in steps]

    def _move(self, name: str, bids: Bids) -> None:
        if name == "clusters":
            self._ripen()
        if self._noticed is not None:
            assert self.sandbox.force(self._noticed, "reprieve")
        self._noticed = None if name == "hidden" else bids.preempted
        moves = [(bids.ended, "terminate"), (bids.moved, "relocate"), (bids.opened, "allocate")]
        for bid, verb in [(self._noticed, "preempt"), *moves]:
            if bid is not None:
                self.sandbox.post(f"/sandbox/bids/{bid}/{verb}", NOTICE)

    def _ripen(self) -> None:
        """The one change of a cluster that there is. It takes half an hour, or a moment."""
        self.sandbox.post("/sandbox/clock", {"speed": 10_000})
        clusters = {"clust_fresh": "Available"}

        def ripe() -> bool:
            shown = {one["fid"]: one["status"] for one in self.sandbox.get("/sandbox/state")["clusters"]}
            return clusters.items() <= shown.items()

        wait_for("a ripe cluster", ripe)
        self.sandbox.post("/sandbox/clock", {"speed": SPEED})

    def _state(self, bid: str) -> dict[str, Any]:
        return next(one for one in self.sandbox.get("/sandbox/state")["bids"] if one["fid"] == bid)

    def _agrees(self) -> bool:
        truth = {
            step["subject"]: step["to"]
            for step in self.sandbox.timeline()
            if step["aspect"] == "status" and step["kind"] != "cluster"
        }
        bids = self.daemon.get("/v1/bids?all=1")["bids"]
        shown = [*bids, *(one for bid in bids for one in bid["instance_details"])]
        return truth == {one["fid"]: "gone" if one["gone"] else one["status"] for one in shown}
