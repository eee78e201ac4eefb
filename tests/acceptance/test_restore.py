"""Going back to a backup, with the real programs: stop, copy, start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.acceptance.harness import Daemon, Sandbox, wait_for, write_config


def test_stop_copy_start_brings_a_backup_back(tmp_path: Path) -> None:
    write_config(tmp_path)
    record = tmp_path / "xdg-state" / "mithrild" / "mithrild.db"
    with Sandbox(tmp_path) as sandbox:
        sandbox.post("/sandbox/market", {"paused": True})
        with Daemon(tmp_path, sandbox) as daemon:
            wait_for("the first sight", daemon.watched)
            first = sandbox.place("before")
            wait_for("the bid is on record", lambda: any(one["subject"] == first for one in daemon.events()))
            done = daemon.ml("daemon", "backup")
            assert (done.returncode, done.stderr) == (0, "")
            made = Path(done.stdout.strip())
            assert made.parent == record.parent / "backups"
            before = {event["id"]: event for event in daemon.events()}
            store = daemon.get("/v1/status")["store"]["id"]
            second = sandbox.place("after")
            wait_for("the second bid is on record", lambda: any(one["subject"] == second for one in daemon.events()))
            lost = {event["id"] for event in daemon.events()} - set(before)
            # A daemon that is killed leaves a WAL beside its record. It must not get into what is copied there.
            daemon.kill()
        assert record.with_name("mithrild.db-wal").exists()
        shutil.copy(made, record)
        with Daemon(tmp_path, sandbox) as daemon:
            wait_for("what the backup lacks is seen anew", lambda: any(e["subject"] == second for e in daemon.events()))
            events = {event["id"]: event for event in daemon.events()}
            wait_for("the backups are listed", lambda: daemon.get("/v1/status")["backups"]["files"])
            status = json.loads(daemon.ml("daemon", "status", "--json").stdout)
            assert daemon.ml("history", "before").returncode == 0
            assert "was restored from the backup" in daemon.said()
            assert daemon.stop() == 0
    assert {id: events[id] for id in before} == before
    anew = set(events) - set(before)
    assert lost
    assert not anew & lost
    assert status["store"]["id"] != store
    assert {id.split("_")[1] for id in anew} == {status["store"]["id"]}
    sequences = [int(event["sequence"]) for event in events.values()]
    assert len(sequences) == len(set(sequences))
    assert status["backups"]["files"][-1]["path"] == str(made)
