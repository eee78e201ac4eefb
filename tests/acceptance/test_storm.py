"""A price that rises takes hundreds of bids in one poll: every delivery of four kinds of hooks is accounted for.

One target is dead and one is slow. MITHRILD_STORM says how many bids of 4 nodes there are, eight if nothing
is said; with 250 it is the storm that RELIABILITY.md tells of.
"""

from __future__ import annotations

import getpass
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Daemon, Sandbox, lines, wait_for, write_config, write_hook
from tests.acceptance.receivers import Receivers, closed_port
from tests.acceptance.sshd import Sshd

BIDS = int(os.environ.get("MITHRILD_STORM") or 8)
NODES = 4
SLOW = 1.0  # seconds that the slow receiver takes for each message
LEFT = 240.0  # seconds before its deadline in which the last notice has had its first try
MOST_MEMORY = 600.0  # MB
CAP = 280.0


def test_hundreds_of_bids_that_are_preempted_at_once(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    write_hook(tmp_path, "save", f'echo "$MITHRILD_DELIVERY" >> {tmp_path}/save.txt')
    with Sshd(tmp_path / "sshd") as sshd, Receivers(SLOW) as receivers:
        login = f'user = "{getpass.getuser()}", key = "{sshd.key}"'
        stop = f'ssh = {{ command = "echo $MITHRILD_DELIVERY >> {tmp_path}/stop.txt", nodes = "first", {login} }}'
        write_config(
            tmp_path,
            f'name = "save"\non = ["instance.preempting"]\nrun = ["{tmp_path}/save"]\nmax_parallel = 8',
            f'name = "slow"\non = ["instance.preempting"]\nwebhook = "http://{receivers.address}/slow"',
            f'name = "dead"\non = ["instance.preempting"]\nwebhook = "http://127.0.0.1:{closed_port()}/"',
            f'name = "tell"\non = ["instance.preempting"]\nnotify = ["json://{receivers.address}/"]',
            f'name = "stop"\non = ["bid.preempting"]\n{stop}',
            poll="5s",  # as in life: a poll of thousands of instances four times a second is no storm of hooks
        )
        with Sandbox(tmp_path, "--paused", "--no-demo", "--ssh", f"127.0.0.1:{sshd.port}", speed=1) as sandbox:
            bids = sandbox.post("/sandbox/fleet", {"bids": BIDS, "instances_per_bid": NODES})["bids"]
            with Daemon(tmp_path, sandbox) as daemon:
                wait_for("the first sight", daemon.watched)
                daemon.signal(signal.SIGSTOP)  # so that one poll sees them all
                for bid in bids:
                    assert sandbox.force(bid, "preempt")
                daemon.signal(signal.SIGCONT)
                record = tmp_path / "xdg-state" / "mithrild" / "mithrild.db"
                wait_for("every delivery's end, or its first try", lambda: settled(record), cap=CAP)
                memory = peak_memory(daemon.pid)
                assert daemon.ml("daemon", "status").returncode == 0
                assert daemon.stop() == 0
        states = Counter(rows(record, "SELECT hook, state FROM deliveries"))
        all_nodes = BIDS * NODES
        assert {key: count for key, count in states.items() if key[0] != "dead"} == {
            ("save", "done"): all_nodes,
            ("slow", "done"): all_nodes,
            ("tell", "done"): all_nodes,
            ("stop", "done"): BIDS,
        }
        assert sum(count for (hook, _), count in states.items() if hook == "dead") == all_nodes
        assert sorted(lines(tmp_path / "save.txt")) == ids(record, "save")
        assert sorted(lines(tmp_path / "stop.txt")) == ids(record, "stop")
        assert sorted(receivers.webhooks) == ids(record, "slow")
        assert BIDS <= len(receivers.titles) <= 2 * BIDS  # one message a bid, two where the commit came in between
        left = first_tries(record)
        shown = ", ".join(f"{hook} {seconds:.0f} s" for hook, seconds in sorted(left.items()))
        record_property(
            "counted",
            f"{BIDS} bids of {NODES} nodes, {states.total()} deliveries; left at the last first try: {shown};"
            f" {len(receivers.titles)} messages; {memory:.0f} MB at most",
        )
        assert min(left.values()) > LEFT
        assert memory < MOST_MEMORY


def settled(record: Path) -> bool:
    """Whether all is done that can be, and what cannot has been tried."""
    waiting = (
        "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'running') AND (hook != 'dead' OR attempts = 0)"
    )
    return bool(rows(record, "SELECT 1 FROM deliveries LIMIT 1")) and rows(record, waiting) == [(0,)]


def first_tries(record: Path) -> dict[str, float]:
    """hook -> how many seconds were left, at the least, when a delivery was first tried."""
    query = """
        SELECT hook, deadline, started_at FROM deliveries d
        JOIN notices n ON n.sequence = d.notice JOIN attempts a ON a.delivery = d.id AND a.number = 1
    """
    left: dict[str, float] = {}
    for hook, deadline, started in rows(record, query):
        seconds = (datetime.fromisoformat(deadline) - datetime.fromisoformat(started)).total_seconds()
        left[hook] = min(seconds, left.get(hook, seconds))
    return left


def ids(record: Path, hook: str) -> list[str]:
    return sorted(id for (id,) in rows(record, f"SELECT id FROM deliveries WHERE hook = '{hook}'"))


def rows(record: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{record}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query).fetchall()


def peak_memory(pid: int) -> float:
    """MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
