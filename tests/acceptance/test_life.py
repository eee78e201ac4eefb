"""The life of a daemon with real signals: start, reload, stop, and what keeps it from starting."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import (
    BIN,
    Daemon,
    Process,
    Sandbox,
    clean_env,
    lines,
    run_ml,
    wait_for,
    write_config,
    write_hook,
)

READY_CAP = 20.0


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, "--paused", speed=600) as sandbox:
        yield sandbox


@contextlib.contextmanager
def notify_socket(folder: Path) -> Iterator[tuple[str, socket.socket]]:
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(READY_CAP)
        yield str(path), listener


def test_systemd_hears_ready_when_the_socket_answers_then_the_watchdog_then_stopping(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    write_config(tmp_path)
    with notify_socket(tmp_path) as (path, listener):
        more = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}
        with Daemon(tmp_path, sandbox, wait=False, **more) as daemon:
            assert listener.recv(4096) == b"READY=1"
            assert daemon.get("/v1/status")["pid"] == daemon.pid
            assert listener.recv(4096) == b"WATCHDOG=1"
            assert daemon.stop() == 0
            rest = [listener.recv(4096)]
            while rest[-1] == b"WATCHDOG=1":
                rest.append(listener.recv(4096))
            assert rest[-1].startswith(b"STOPPING=1\nEXTEND_TIMEOUT_USEC=")
    assert not os.path.lexists(daemon.socket_path)


def test_a_stop_hands_a_running_hook_back_and_the_next_start_runs_it_again(tmp_path: Path, sandbox: Sandbox) -> None:
    write_hook(
        tmp_path,
        "hang",
        f'printf "%s:%s\\n" "$MITHRILD_DELIVERY" "$MITHRILD_ATTEMPT" >> {tmp_path}/ran.txt\n'
        f"[ -e {tmp_path}/let-go ] || exec sleep 600",
    )
    hook = f'name = "hang"\non = ["bid.placed"]\nrun = ["{tmp_path}/hang"]\ntimeout = "5m"'
    write_config(tmp_path, hook, more='shutdown_grace = "200ms"')
    with Daemon(tmp_path, sandbox) as daemon:
        wait_for("the first sight", daemon.watched)
        sandbox.place("one")
        wait_for("the hook", lambda: lines(tmp_path / "ran.txt"))
        assert daemon.stop() == 0
    (tmp_path / "let-go").touch()
    with Daemon(tmp_path, sandbox) as daemon:
        wait_for("its end", lambda: [one for one in daemon.deliveries() if one["state"] == "done"])
        (delivery,) = daemon.deliveries()
        assert delivery["attempts"] == 1, "the try that was interrupted does not count"
        ran = lines(tmp_path / "ran.txt")
        assert ran == [f"{delivery['id']}:1", f"{delivery['id']}:2"]


def test_a_reload_takes_new_hooks_keeps_the_old_on_errors_and_names_what_needs_a_restart(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    hook = write_hook(tmp_path, "tell", f'echo "$MITHRILD_BID_NAME" >> {tmp_path}/told.txt')
    write_config(tmp_path)
    with Daemon(tmp_path, sandbox) as daemon:
        wait_for("the first sight", daemon.watched)
        before = len(daemon.events())
        (tmp_path / "config.toml").write_text("polll = 3\n")
        daemon.signal(signal.SIGHUP)
        wait_for("the refusal", lambda: "the configuration stays as it was" in daemon.said())
        assert "config.toml: polll" in daemon.said()
        write_config(
            tmp_path, f'name = "tell"\non = ["bid.placed"]\nrun = ["{hook}"]', more=f'state_dir = "{tmp_path}/else"'
        )
        daemon.signal(signal.SIGHUP)
        wait_for("the new hook", lambda: daemon.get("/v1/status")["hooks"])
        assert daemon.get("/v1/status")["restart_needed"] == ["state_dir"]
        assert len(daemon.events()) == before, "a reload is no news"
        sandbox.place("after-reload")
        wait_for("the hook's run", lambda: lines(tmp_path / "told.txt") == ["after-reload"])


def test_a_second_daemon_says_who_holds_the_lock(tmp_path: Path, sandbox: Sandbox) -> None:
    write_config(tmp_path)
    with Daemon(tmp_path, sandbox) as first:
        with Daemon(tmp_path, sandbox, wait=False) as second:
            assert second.wait() == 1
        assert f"{first.pid}" in first.said().splitlines()[-1]
        assert first.running
        assert first.get("/v1/status")["pid"] == first.pid


def test_a_wrong_configuration_is_told_whole_with_exit_2(tmp_path: Path, sandbox: Sandbox) -> None:
    write_config(tmp_path, 'name = "a"\non = ["instnace.*"]', 'name = "b"\non = ["*"]\nrun = "echo"', poll="fast")
    with Daemon(tmp_path, sandbox, wait=False) as daemon:
        assert daemon.wait() == 2
    said = daemon.said()
    for part in ("poll.active", "poll.idle", 'hook "a": on', 'hook "a": no action', 'hook "b": run'):
        assert part in said
    assert "Traceback" not in said


def test_without_a_key_the_daemon_serves_what_it_knows_and_takes_a_key_that_appears(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    write_config(tmp_path)
    with Daemon(tmp_path, sandbox, MITHRIL_API_KEY="") as daemon:
        wait_for("the line about the key", lambda: "there is no API key" in daemon.said())
        for place in ("MITHRIL_API_KEY", "config.toml", "config.yaml"):
            assert place in daemon.said()
        listed = daemon.ml("instance", "list")
        assert listed.returncode == 0
        assert "no API key" in listed.stderr
        vendor = tmp_path / "xdg-config" / "mithril" / "config.yaml"
        vendor.parent.mkdir(parents=True)
        vendor.touch(mode=0o600)
        vendor.write_text(f"current_profile: d\nprofiles:\n  d: {{api_key: {sandbox.key}}}\n")
        wait_for("the watch", daemon.watched)
        assert sandbox.key not in daemon.said()


def test_a_refused_key_is_told_once_and_local_state_stays(tmp_path: Path, sandbox: Sandbox) -> None:
    write_config(tmp_path)
    with Daemon(tmp_path, sandbox) as daemon:
        wait_for("the first sight", daemon.watched)
        assert daemon.stop() == 0
    with Daemon(tmp_path, sandbox, MITHRIL_API_KEY="fkey_wrong") as daemon:
        wait_for("the refusal", lambda: daemon.get("/v1/status")["key"]["state"] == "refused")
        daemon.signal(signal.SIGHUP)
        wait_for("the second refusal", lambda: daemon.get("/v1/status")["polling"]["polls"] >= 2)
        assert daemon.said().count("the key was refused") == 1
        assert [event["type"] for event in daemon.events()] == ["credentials.rejected"]
        listed = daemon.ml("instance", "list")
        assert "train" in listed.stdout
        assert "fkey_wrong" not in daemon.said()
    assert b"fkey_wrong" not in (tmp_path / "xdg-state" / "mithrild" / "mithrild.db").read_bytes()


def test_a_marketplace_that_is_away_invents_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    write_config(tmp_path)
    with Daemon(tmp_path, sandbox) as daemon:
        wait_for("the first sight", daemon.watched)
        wait_for("calm", lambda: daemon.get("/v1/status")["polling"]["polls"] > 3)
        before = fleet_events(daemon)
        shown = daemon.ml("instance", "list", "--json").stdout
        sandbox.post("/sandbox/faults", {"path": "/v2/*", "kind": "status", "status": 503, "count": 100_000})
        wait_for("the note", lambda: "old" in daemon.ml("instance", "list").stderr)
        wait_for("the line about it", lambda: "503" in daemon.said())
        assert daemon.ml("instance", "list", "--json").stdout == shown
        sandbox.delete("/sandbox/faults")
        wait_for("the recovery", lambda: "recovered after" in daemon.said())
        assert fleet_events(daemon) == before
        assert daemon.said().count("503") <= 3, "the first failure and the recovery are told, not each between"


def test_a_daemon_that_starts_while_the_marketplace_is_away_serves_the_record(tmp_path: Path, sandbox: Sandbox) -> None:
    write_config(tmp_path)
    with Daemon(tmp_path, sandbox) as daemon:
        wait_for("the first sight", daemon.watched)
        assert daemon.stop() == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        away = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Daemon(tmp_path, sandbox, wait=False, MITHRIL_API_URL=away) as daemon:
            assert daemon.wait() == 1
            assert "another account" in daemon.said()
    sandbox.post("/sandbox/faults", {"path": "/v2/*", "kind": "reset", "count": 100_000})
    with Daemon(tmp_path, sandbox) as daemon:
        assert "train" in daemon.ml("instance", "list").stdout
        wait_for("the note", lambda: "old" in daemon.ml("instance", "list").stderr)
        sandbox.delete("/sandbox/faults")
        wait_for("the watch", lambda: not daemon.get("/v1/status")["freshness"]["stale"])
        assert fleet_events(daemon) == []


def fleet_events(daemon: Daemon) -> list[dict[str, Any]]:
    """Those of bids and instances; a cluster of the sandbox becomes available in its own time."""
    return [event for event in daemon.events() if not event["type"].startswith("cluster.")]


def test_a_second_rehearsal_leaves_the_first_alone(tmp_path: Path) -> None:
    runtime = Path(tempfile.mkdtemp(prefix="m"))  # a socket's path must be short
    env = clean_env(tmp_path) | {"XDG_RUNTIME_DIR": str(runtime)}
    argv = [str(BIN / "mithrild"), "run", "--sandbox"]
    with Process(argv, env, tmp_path / "first.log") as first:
        wait_for("the first", lambda: "In a second terminal" in first.said())
        found = re.search(r"MITHRILD_SOCKET=(\S+)", first.said())
        assert found is not None
        env |= {"MITHRILD_SOCKET": found[1]}
        with Process(argv, env, tmp_path / "second.log") as second:
            assert second.wait() == 1
            assert f"process {first.pid}" in second.said()
        listed = run_ml(env, "instance", "list")
        assert listed.returncode == 0
        assert "train" in listed.stdout
        assert first.stop() == 0
    shutil.rmtree(runtime)
