"""SIGKILL at random moments and at named points, each followed by a start: nothing twice, nothing lost.

MITHRILD_KILLS says how many, MITHRILD_SEED from what the moves and moments are drawn; they are shared out among tests
that can run side by side.
"""

from __future__ import annotations

import getpass
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mithrild.fleet.backups import half_made
from tests.acceptance.calm import settle
from tests.acceptance.harness import (
    BIN,
    RECORD,
    STARTED,
    Daemon,
    Sandbox,
    lines,
    wait_for,
    words_of,
    write_config,
    write_hook,
)
from tests.acceptance.receivers import Receivers
from tests.acceptance.sshd import Sshd
from tests.acceptance.truth import status_events
from tests.crash.points import BACKUP, MIGRATION, POINTS, RELOAD, most
from tests.integration.test_store_schema import go_back_to_the_first_layout

KILLS = int(os.environ.get("MITHRILD_KILLS", "50"))
SEED = int(os.environ.get("MITHRILD_SEED", "0"))
SHARES = 4
MOVES = ("allocate", "preempt", "reprieve", "release")
HOOKS = {"record": '["*"]', "save": '["instance.preempting"]', "slow": '["instance.running", "bid.running"]'}
# The other kinds of actions: what each of them does is to be seen from outside, too.
OTHERS = {"post": '["instance.*"]', "tell": '["bid.preempting"]', "there": '["instance.running"]'}
BY_CHANCE = "by chance"
NEVER_SAID = ("please report this", "never retrieved", "Traceback")
PATIENCE = 20.0  # seconds of its work in which a point may be reached; then the kill comes by chance


@pytest.mark.parametrize("share", range(SHARES))
def test_kills(tmp_path: Path, share: int, record_property: Callable[[str, object], None]) -> None:
    draw = random.Random(SEED + share)
    for name in HOOKS:
        pause = "sleep 0.3; " if name == "slow" else ""
        write_hook(tmp_path, name, f'{pause}printf "%s\\n" "$MITHRILD_EVENT_ID" >> {tmp_path}/{name}.txt')
    (tmp_path / "bin").mkdir()
    write_hook(tmp_path / "bin", "notify-send", f"echo told >> {tmp_path}/tell.txt")
    seen: dict[str, str] = {}
    died: Counter[str] = Counter()
    with (
        Sshd(tmp_path / "sshd") as sshd,
        Receivers() as receivers,
        Sandbox(tmp_path, "--ssh", f"127.0.0.1:{sshd.port}", speed=40) as sandbox,
    ):
        write_config(tmp_path, *hooks(tmp_path, sshd, receivers))
        for number in range(share, KILLS, SHARES):
            # Half of them by chance, the other half at each point in turn.
            turn, is_named = divmod(number // SHARES, 2)
            point = list(POINTS)[(turn * SHARES + share) % len(POINTS)] if is_named else BY_CHANCE
            died[live_and_die(tmp_path, sandbox, point, draw, seen)] += 1
        with Daemon(tmp_path, sandbox, PATH=path_of(tmp_path)) as daemon:
            wait_for("the first sight", daemon.watched)
            # A command waits for its machine: now every bid has some, and what was replaced is known to be over.
            for bid in sandbox.bids():
                sandbox.force(bid, "allocate")
            settle(daemon, sandbox)
            events, deliveries = daemon.events(), daemon.deliveries()
            made = daemon.ml("daemon", "backup")
            assert made.returncode == 0, made.stderr
            assert daemon.stop() == 0
    assert len(events) >= died.total(), "something has to happen for a kill to matter"
    check_events(events, seen)
    check_deliveries(events, deliveries, tmp_path)
    check_others(deliveries, receivers.webhooks, tmp_path)
    check_files(tmp_path / RECORD)
    said = (tmp_path / "daemon.log").read_text(errors="replace")
    strange = [line for line in said.splitlines() if any(words in line for words in NEVER_SAID)]
    assert not strange, strange[:5]
    where = ", ".join(f"{count} {point}" for point, count in sorted(died.items()))
    ran = [line for name in HOOKS for line in lines(tmp_path / f"{name}.txt")]
    repeats = sum(len(lines(tmp_path / f"{name}.txt")) - len(set(lines(tmp_path / f"{name}.txt"))) for name in HOOKS)
    record_property(
        "counted",
        f"{died.total()} kills ({where}), {len(events)} events, {len(deliveries)} deliveries, "
        f"{len(ran)} runs, {repeats} of them repeats, {len(receivers.webhooks)} webhooks, "
        f"{len(lines(tmp_path / 'there.txt'))} commands by ssh, {len(lines(tmp_path / 'tell.txt'))} messages, "
        f"seed {SEED + share}",
    )


def hooks(folder: Path, sshd: Sshd, receivers: Receivers) -> list[str]:
    """The text of each table."""
    line = f"echo $MITHRILD_EVENT_ID >> {folder}/there.txt"
    actions = {
        **{name: f'run = ["{folder}/{name}"]' for name in HOOKS},
        "post": f'webhook = "http://{receivers.address}/"',
        "tell": 'notify = ["desktop://"]',
        "there": f'ssh = {{ command = "{line}", user = "{getpass.getuser()}", key = "{sshd.key}" }}',
    }
    tables = (HOOKS | OTHERS).items()
    return [f'name = "{name}"\non = {on}\n{actions[name]}\nmax_age = "1h"' for name, on in tables]


def path_of(folder: Path) -> str:
    return f"{folder}/bin{os.pathsep}{os.environ['PATH']}"


def live_and_die(folder: Path, sandbox: Sandbox, point: str, draw: random.Random, seen: dict[str, str]) -> str:
    """One life of the daemon. What it was seen to tell goes to `seen`; where it died is returned."""
    program = [str(BIN / "mithrild")]
    if point != BY_CHANCE:
        program = [sys.executable, "-m", "tests.crash.doomed", point, str(draw.randint(1, most(point)))]
    if point == MIGRATION and (folder / RECORD).exists():
        go_back_to_the_first_layout(folder / RECORD)
    with Daemon(folder, sandbox, wait=point == BY_CHANCE, program=program, PATH=path_of(folder)) as daemon:
        if point == BY_CHANCE:
            # No condition is waited for: the moment of the kill is what is drawn.
            time.sleep(draw.uniform(0.0, 1.2))
            seen |= {event["id"]: words_of(event) for event in daemon.events()}
            move(sandbox, draw)
            time.sleep(draw.uniform(0.0, 0.6))
        else:
            wait_for("an answer, or death", lambda: not daemon.running or daemon.answers(), STARTED)
            if point == RELOAD and daemon.running:
                seen |= {event["id"]: words_of(event) for event in daemon.events()}
                daemon.signal(signal.SIGHUP)
            elif point == BACKUP and daemon.running:
                daemon.ml("daemon", "backup")  # which ends with the daemon
            until = time.monotonic() + PATIENCE
            while daemon.running and time.monotonic() < until:
                move(sandbox, draw)
                time.sleep(0.1)  # between two moves, as a market has it
        alive = daemon.running
        daemon.kill()
        assert daemon.wait() == -signal.SIGKILL, f"it ended by itself, at {point}: {daemon.said()[-2000:]}"
        return BY_CHANCE if alive else point


def check_files(record: Path) -> None:
    """The record is whole, and so is every backup; nothing is left of those that a kill cut short."""
    made = list((record.parent / "backups").glob("*.db"))
    assert made
    assert not half_made(os.listdir(record.parent / "backups"))
    for file in (record, *made):
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), file


def move(sandbox: Sandbox, draw: random.Random) -> None:
    """Something happens, so that a kill meets a poll, a commit or a hook at work."""
    next((verb for verb in draw.sample(MOVES, len(MOVES)) if sandbox.force("eval", verb)), None)


def check_events(events: list[dict[str, Any]], seen: dict[str, str]) -> None:
    """No event twice, none changed or missing among those that were ever shown. What was seen of each subject makes a
    chain; what the history added later says where it belongs by its time."""
    assert len({event["id"] for event in events}) == len(events)
    now = {event["id"]: words_of(event) for event in events}
    assert {id: now.get(id) for id in seen} == seen
    state: dict[str, str] = {}
    for event in status_events(events):
        data = event["data"]
        if data["provenance"] == "backfilled":
            continue
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
        # A notice that was over before its turn came, or before it was told, is put aside, and says so; what was to
        # be done on a machine that is over by now too.
        over = one["hook"] == "there" and one["reason"] == "there is no instance that could answer"
        assert one["state"] in ("done", "superseded", "expired", "skipped") or over, one
        assert one["state"] == "done" or one["reason"]
    for name in HOOKS:
        done = {one["event"] for one in deliveries if one["hook"] == name and one["state"] == "done"}
        ran = set(lines(folder / f"{name}.txt"))
        assert done <= ran
        assert ran <= {one["event"] for one in deliveries if one["hook"] == name}


def check_others(deliveries: list[dict[str, Any]], posted: list[str], folder: Path) -> None:
    """What is done has been seen at its target, and nothing else has."""
    of = {name: [one for one in deliveries if one["hook"] == name] for name in OTHERS}
    done = {name: [one for one in ones if one["state"] == "done"] for name, ones in of.items()}
    assert {one["id"] for one in done["post"]} <= set(posted) <= {one["id"] for one in of["post"]}
    there = set(lines(folder / "there.txt"))
    assert {one["event"] for one in done["there"]} <= there <= {one["event"] for one in of["there"]}
    assert len(done["tell"]) <= len(lines(folder / "tell.txt"))
