"""The main job with real processes: sandbox, daemon, three hooks, `ml`."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from tests.acceptance.harness import Daemon, Sandbox, lines, wait_for, write_config, write_hook
from tests.acceptance.truth import unmatched

POLL = timedelta(milliseconds=250)
# A poll takes its interval, its requests and its commit; on a busy machine that is more than the interval.
REAL_POLL = timedelta(milliseconds=600)
HOOKS = {"record": "*", "save": "instance.preempting", "tell": "bid.*"}


def test_each_lasting_transition_is_one_event_and_each_matching_hook_runs_once(tmp_path: Path) -> None:
    for name in HOOKS:
        write_hook(tmp_path, name, f'printf "%s\\n" "$MITHRILD_EVENT_ID" >> {tmp_path}/{name}.txt')
    tables = [
        f'name = "{name}"\non = ["{on}"]\nrun = ["{tmp_path}/{name}"]\nmax_parallel = 8' for name, on in HOOKS.items()
    ]
    write_config(tmp_path, *tables)
    with Sandbox(tmp_path) as sandbox, Daemon(tmp_path, sandbox) as daemon:
        wait_for("the first sight", daemon.watched)
        begun = datetime.fromisoformat(daemon.get("/v1/status")["projects"][0]["baseline_at"])

        def seen() -> set[str]:
            return {event["type"] for event in daemon.events()}

        wanted = {
            "bid.allocated",
            "bid.preempting",
            "bid.reprieved",
            "bid.reopened",
            "bid.running",
            "instance.preempted",
        }
        wait_for("a life of a bid, from allocation to reprieve", lambda: wanted <= seen(), cap=60)
        listing = daemon.ml("instance", "list", "--json")
        assert listing.returncode == 0, listing.stderr
        assert {bid["name"] for bid in json.loads(listing.stdout)["bids"]} >= {"train", "eval"}

        sandbox.post("/sandbox/market", {"paused": True})
        settle(daemon, sandbox)
        events = daemon.events()
        missed, invented = unmatched(sandbox.timeline(), events, since=begun, poll=REAL_POLL)
        assert not missed
        assert not invented

        done = Counter((one["hook"], one["event"]) for one in daemon.deliveries() if one["state"] == "done")
        due = {(hook, event["id"]) for hook, on in HOOKS.items() for event in events if fnmatchcase(event["type"], on)}
        assert done == Counter(due)
        for name in HOOKS:
            assert Counter(lines(tmp_path / f"{name}.txt")) == Counter(event for hook, event in due if hook == name)
        assert daemon.stop() == 0
    with sqlite3.connect(tmp_path / "xdg-state" / "mithrild" / "mithrild.db") as record:
        assert record.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    record.close()


def settle(daemon: Daemon, sandbox: Sandbox) -> None:
    """Until nothing moves any more: the record agrees with the marketplace, and the outbox is empty."""

    def calm() -> bool:
        truth = {step["subject"]: step["to"] for step in sandbox.timeline() if step["aspect"] == "status"}
        shown = daemon.get("/v1/bids?all=1")["bids"]
        held = {bid["fid"]: bid["status"] for bid in shown}
        held |= {one["fid"]: one["status"] for bid in shown for one in bid["instance_details"]}
        agree = all(truth.get(fid) in (None, status) for fid, status in held.items())
        resting = {"STATUS_RUNNING", "STATUS_PREEMPTED", "STATUS_REPLACED", "STATUS_TERMINATED", "Open", "Allocated"}
        busy = [one for one in daemon.deliveries() if one["state"] in ("pending", "running")]
        return agree and not busy and all(truth.get(fid, "Open") in resting for fid in held)

    wait_for("calm", calm, cap=60)
