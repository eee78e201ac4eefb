"""The moment at which nothing moves any more, so that record and truth can be held against each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from tests.acceptance.harness import Daemon, Sandbox, wait_until_nothing

ENDED = {"STATUS_REPLACED", "STATUS_TERMINATED", "Terminated"}
RESTING = ENDED | {"STATUS_RUNNING", "STATUS_PREEMPTED", "Open", "Allocated"}
CALM = 60.0  # seconds that it may take: a notice and a boot take ten at speed 40, hooks some more on a busy machine


def settle(daemon: Daemon, sandbox: Sandbox) -> None:
    """Holds no auction any more, and waits: the record agrees with the marketplace, nothing is left to look back at,
    and the outbox is empty."""
    sandbox.post("/sandbox/market", {"paused": True})
    wait_until_nothing("moves", lambda: list(_restless(daemon, sandbox)), cap=CALM)


def _restless(daemon: Daemon, sandbox: Sandbox) -> Iterator[str]:
    """What is still to come, in words."""
    # In this order: what the truth still lacks, the record cannot show; what is on record has its deliveries.
    steps = [step for step in sandbox.timeline() if step["kind"] != "cluster" and step["project"] == sandbox.project]
    truth = {step["subject"]: step["to"] for step in steps if step["aspect"] == "status"}
    yield from _wanted(daemon)
    bids = daemon.get("/v1/bids?all=1")["bids"]
    known = {one["fid"]: one["status"] for bid in bids for one in (bid, *bid["instance_details"])}
    for fid, status in truth.items():
        if known.get(fid) != status and not (fid not in known and status in ENDED):
            yield f"{fid} is {status}, and {known.get(fid)} on record"
        elif status not in RESTING:
            yield f"{fid} is {status}"
    yield from (_told(one) for one in daemon.deliveries() if one["state"] in ("pending", "running"))


def _wanted(daemon: Daemon) -> Iterator[str]:
    """What the marketplace is still to be asked about."""
    query = (
        "select 'a look back at ' || fid from projects where gap_since is not null "
        "union all select 'the history of ' || fid from bids where history_due"
    )
    with closing(sqlite3.connect(daemon.record)) as record:
        yield from (what for (what,) in record.execute(query))


def _told(delivery: dict[str, Any]) -> str:
    tried = f"tried {delivery['attempts']} times" + (f", next at {delivery['next_at']}" if delivery["next_at"] else "")
    why = f": {delivery['reason']}" if delivery["reason"] else ""
    return f"{delivery['hook']} is {delivery['state']} for {delivery['event']} ({tried}){why}"
