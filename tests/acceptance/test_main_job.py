"""The main job with real processes: sandbox, daemon, three hooks, `ml`."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from tests.acceptance.calm import settle
from tests.acceptance.harness import Daemon, Sandbox, lines, wait_for, write_config, write_hook
from tests.acceptance.truth import unmatched, was_overtaken

POLL = timedelta(milliseconds=250)
# A poll takes its interval, its requests and its commit; on a busy machine that is more than the interval, and on one
# that starves the daemon it is twice what polls took on the average.
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

        settle(daemon, sandbox)
        events = daemon.events()
        timeline, deliveries = sandbox.timeline(), daemon.deliveries()
        usual = (datetime.now(UTC) - begun) / daemon.get("/v1/status")["polling"]["polls"]
        missed, invented = unmatched(timeline, events, since=begun, poll=max(REAL_POLL, 2 * usual))
        assert not missed, "\n".join(map(str, missed))
        assert not invented

        due = {(hook, event["id"]) for hook, on in HOOKS.items() for event in events if fnmatchcase(event["type"], on)}
        assert Counter((one["hook"], one["event"]) for one in deliveries) == Counter(due)
        # A notice lasts five seconds here, and most steps a second. On a busy machine they may be over before anybody
        # looks: then a hook that was told what came after them is not told of them any more.
        told = {event["id"]: event for event in events}
        for one in deliveries:
            assert one["state"] == "done" or was_overtaken(told[one["event"]], timeline, by=one["finished_at"]), one
        done = {(one["hook"], one["event"]) for one in deliveries if one["state"] == "done"}
        for name in HOOKS:
            assert Counter(lines(tmp_path / f"{name}.txt")) == Counter(event for hook, event in done if hook == name)
        assert daemon.stop() == 0
    with sqlite3.connect(tmp_path / "xdg-state" / "mithrild" / "mithrild.db") as record:
        assert record.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    record.close()
