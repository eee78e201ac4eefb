"""The real daemon on disks that refuse: its hooks run in time, once, and in the end the record has it all."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.acceptance.harness import Daemon, Sandbox, lines, wait_for, write_config, write_hook
from tests.integration.disk_rig import fill, small_disk

LIMIT = 20_000  # bytes of the longest file: less than the record, more than the log and what the hook writes


def prepare(folder: Path, sandbox: Sandbox) -> Path:
    """Two instances of one bid run; a hook writes down what it was told, and how many seconds were left."""
    told = folder / "told"
    write_hook(folder, "tell", f'echo "$MITHRILD_EVENT_ID:$MITHRILD_REMAINING_SECONDS" >> {told}')
    write_config(folder, f'name = "tell"\non = ["instance.preempting", "instance.reprieved"]\nrun = ["{folder}/tell"]')
    sandbox.place("work", quantity=2)
    sandbox.force("work", "allocate")
    sandbox.post("/sandbox/clock", {"advance_seconds": 600})
    return told


def trouble(daemon: Daemon) -> str | None:
    found: str | None = daemon.get("/v1/status")["disk"]["trouble"]
    return found


def of_type(daemon: Daemon, type: str) -> list[str]:
    return [event["id"] for event in daemon.events() if event["type"] == type]


def test_hooks_run_once_while_nothing_can_be_written_and_it_is_written_afterwards(tmp_path: Path) -> None:
    with Sandbox(tmp_path, "--paused", "--no-demo", speed=1) as sandbox:
        told = prepare(tmp_path, sandbox)
        with Daemon(tmp_path, sandbox) as daemon:
            wait_for("the first sight", daemon.watched)
            limit(daemon, LIMIT)
            wait_for("a commit that is refused", lambda: trouble(daemon) == "full")
            sandbox.force("work", "preempt")
            wait_for("the hook, for both", lambda: len(lines(told)) == 2)
            assert all(int(line.partition(":")[2]) > 200 for line in lines(told))
            wait_for("both ends", lambda: daemon.get("/v1/status")["disk"]["held"]["results"] == 2)
            page = daemon.ml("daemon", "status")
            assert page.returncode == 0
            assert "held in memory: 3 transitions, 2 deliveries, 2 ends of hooks" in page.stdout
            fleet = daemon.ml("instance", "list")
            assert "preempting" in fleet.stdout
            assert "a file may grow no further" in fleet.stderr
            assert daemon.events() == []
            daemon.kill()
        lost = {line.partition(":")[0] for line in lines(told)}

        with Daemon(tmp_path, sandbox) as daemon:
            wait_for("the notice, once more", lambda: len(of_type(daemon, "instance.preempting")) == 2)
            wait_for("the hook, once more", lambda: len(lines(told)) == 4)
            assert not lost & {event["id"] for event in daemon.events()}

            limit(daemon, LIMIT)
            wait_for("a commit that is refused", lambda: trouble(daemon) == "full")
            sandbox.force("work", "reprieve")
            wait_for("the hook, for both", lambda: len(lines(told)) == 6)
            assert of_type(daemon, "instance.reprieved") == []
            limit(daemon, resource.RLIM_INFINITY)
            wait_for("a commit", lambda: trouble(daemon) is None)
            wait_for("its events", lambda: len(of_type(daemon, "instance.reprieved")) == 2)
            kept = of_type(daemon, "instance.preempting") + of_type(daemon, "instance.reprieved")
            assert sorted(line.partition(":")[0] for line in lines(told)[2:]) == sorted(kept)
            assert [(one["state"], one["attempts"]) for one in daemon.deliveries()] == [("done", 1)] * 4
            assert daemon.stop() == 0
        said = daemon.said()
        assert said.count(" record: cannot write ") == 2  # each daemon once
        assert said.count(" record: recovered after ") == 1
        assert len(lines(told)) == 6
    with closing(sqlite3.connect(tmp_path / "xdg-state" / "mithrild" / "mithrild.db")) as record:
        assert record.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def limit(daemon: Daemon, size: int) -> None:
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_news_gets_the_reserve_of_a_disk_that_is_filled_to_the_brim(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", 48) as disk,
        Sandbox(tmp_path, "--paused", "--no-demo", speed=1) as sandbox,
    ):
        told = prepare(tmp_path, sandbox)
        with Daemon(tmp_path, sandbox, XDG_STATE_HOME=str(disk)) as daemon:
            wait_for("the first sight", daemon.watched)
            assert daemon.get("/v1/status")["disk"]["reserve_bytes"] == 16 * 2**20
            filling = fill(disk)
            wait_for("a commit that is refused", lambda: trouble(daemon) == "full")
            sandbox.force("work", "preempt")
            wait_for("the notice, written down", lambda: len(of_type(daemon, "instance.preempting")) == 2)
            disk_now = daemon.get("/v1/status")["disk"]
            assert (disk_now["trouble"], disk_now["reserve_bytes"]) == (None, 0)
            wait_for("the hook, for both", lambda: len(lines(told)) == 2)
            fill(disk)
            wait_for("a commit that is refused again", lambda: trouble(daemon) == "full")
            filling.unlink()
            wait_for("a commit", lambda: trouble(daemon) is None)
            assert daemon.stop() == 0
        assert len(lines(told)) == 2

        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        (tmp_path / "daemon.log").unlink()
        with Daemon(tmp_path, sandbox, wait=False, XDG_STATE_HOME=str(disk)) as refused:
            assert refused.wait(cap=60) == 1
        (line,) = refused.said().splitlines()
        assert "Read-only file system" in line
