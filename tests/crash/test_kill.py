"""SIGKILL at random moments, each followed by a start: nothing twice, nothing lost."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Daemon, Sandbox, lines, wait_for, words_of, write_config, write_hook
from tests.acceptance.test_main_job import settle

KILLS = 20
MOVES = ("allocate", "preempt", "reprieve", "release")
HOOKS = {"record": '["*"]', "save": '["instance.preempting"]', "slow": '["instance.running", "bid.running"]'}


def test_twenty_kills(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown if it fails
    draw = random.Random(seed)
    for name in HOOKS:
        pause = "sleep 0.3; " if name == "slow" else ""
        write_hook(tmp_path, name, f'{pause}printf "%s\\n" "$MITHRILD_EVENT_ID" >> {tmp_path}/{name}.txt')
    tables = [f'name = "{name}"\non = {on}\nrun = ["{tmp_path}/{name}"]\nmax_age = "1h"' for name, on in HOOKS.items()]
    write_config(tmp_path, *tables)
    seen: dict[str, str] = {}
    with Sandbox(tmp_path, speed=40) as sandbox:
        for _ in range(KILLS):
            with Daemon(tmp_path, sandbox) as daemon:
                # No condition is waited for: the moment of the kill is what is drawn.
                time.sleep(draw.uniform(0.0, 1.2))
                seen |= {event["id"]: words_of(event) for event in daemon.events()}
                # Something happens just before, so that many kills meet a poll, a commit or a hook at work.
                next((verb for verb in draw.sample(MOVES, len(MOVES)) if sandbox.force("eval", verb)), None)
                time.sleep(draw.uniform(0.0, 0.6))
                daemon.kill()
        with Daemon(tmp_path, sandbox) as daemon:
            wait_for("the first sight", daemon.watched)
            sandbox.post("/sandbox/market", {"paused": True})
            settle(daemon, sandbox)
            events, deliveries = daemon.events(), daemon.deliveries()
            assert daemon.stop() == 0
    assert len(events) >= KILLS, "something has to happen for a kill to matter"
    check_events(events, seen)
    check_deliveries(events, deliveries, tmp_path)
    with sqlite3.connect(tmp_path / "xdg-state" / "mithrild" / "mithrild.db") as record:
        assert record.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    record.close()
    record_property("counted", f"{KILLS} kills, {len(events)} events, {len(deliveries)} deliveries, seed {seed}")


def check_events(events: list[dict[str, Any]], seen: dict[str, str]) -> None:
    """No event twice, none changed or missing among those that were ever shown, each subject's steps a chain."""
    assert len({event["id"] for event in events}) == len(events)
    now = {event["id"]: words_of(event) for event in events}
    assert {id: now.get(id) for id in seen} == seen
    state: dict[str, str] = {}
    for event in events:
        if event["type"] in ("bid.running", "bid.degraded") or event["type"].partition(".")[0] not in (
            "bid",
            "instance",
        ):
            continue
        data = event["data"]
        before = state.get(event["subject"])
        assert before in (None, data["from"]), f"{event['subject']}: {before}, then from {data['from']}"
        assert before is None or data["to"] != before
        state[event["subject"]] = data["to"]


def check_deliveries(events: list[dict[str, Any]], deliveries: list[dict[str, Any]], folder: Path) -> None:
    """Each event is one delivery of each hook that it concerns; each ended, and what ran, ran under its own id."""
    assert all(count == 1 for count in Counter((one["hook"], one["event"]) for one in deliveries).values())
    of_record = {one["event"] for one in deliveries if one["hook"] == "record"}
    assert of_record == {event["id"] for event in events}
    for one in deliveries:
        # A notice that was over before its turn came is put aside, and says so.
        assert one["state"] in ("done", "superseded", "expired"), one
        assert one["state"] == "done" or one["reason"]
    for name in HOOKS:
        done = {one["event"] for one in deliveries if one["hook"] == name and one["state"] == "done"}
        ran = set(lines(folder / f"{name}.txt"))
        assert done <= ran
        assert ran <= {one["event"] for one in deliveries if one["hook"] == name}
