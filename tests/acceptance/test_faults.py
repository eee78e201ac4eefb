"""Real processes in trouble: one kind of fault after the other on every call that the daemon makes."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.fault_story import QUICK, SPEED, Bids, Story
from tests.acceptance.fault_table import CALLS, KINDS, WAYS, calls_of, is_played
from tests.acceptance.harness import Daemon, Sandbox, wait_for, write_config
from tests.acceptance.truth import status_events

# A cluster becomes available while nothing else is under way, and what is hidden is asked for by name before any
# deadline is, which goes by the same path.
ORDER = ("clusters", "hidden", *(name for name in WAYS if name not in ("clusters", "hidden")))
# The kind, its way, and the requests after which it wears off: those of the first look, with their second tries.
NASTY_STARTS = (
    ("503", "everything", 6),
    ("reset", "me", 4),
    ("empty-page", "projects", 1),
    ("truncate", "bids", 12),
    ("bad-item", "bids", 4),
    ("drop-item", "instances", 2),
    ("no-answer", "instances", 3),
)


def part(kind: str) -> tuple[str, ...]:
    """All ways are minutes for each kind."""
    row = list(KINDS).index(kind)
    return tuple(
        name for column, name in enumerate(ORDER) if name in ("clusters", "everything") or is_played(row, column)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_on_any_call_invents_or_hides_a_step(tmp_path: Path, kind: str) -> None:
    write_config(tmp_path, poll="200ms")
    ways = part(kind)
    with Sandbox(tmp_path, "--paused", "--no-demo", speed=SPEED) as sandbox:
        fleet = iter(sandbox.post("/sandbox/fleet", {"bids": 3 * len(ways), "instances_per_bid": 1})["bids"])
        bids = {name: Bids(next(fleet), next(fleet), next(fleet), sandbox.place(name)) for name in ways}
        sandbox.delete("/sandbox/requests")
        with Daemon(tmp_path, sandbox, wait=True, **QUICK) as daemon:
            wait_for("the first sight", daemon.watched)
            begun = datetime.fromisoformat(daemon.get("/v1/status")["projects"][0]["baseline_at"])
            wait_for("the first sight of clusters", lambda: asked(sandbox)["GET /v2/kubernetes/clusters"] > 1)
            story = Story(sandbox, daemon)
            for name in ways:
                story.live_through(kind, name, bids[name])
            others = story.judge(begun)
            refusals = sum(WAYS[name].refuses_the_key(kind) for name in ways)
            assert Counter(event["type"] for event in others) == Counter(
                {"bid.running": len(ways), "cluster.available": 1, "credentials.rejected": refusals}
            )
            check_deadlines(sandbox, daemon)
            asked_for = calls_of(asked(sandbox))
            assert asked_for <= CALLS.keys(), "the table names what the daemon asks"
            assert ways != ORDER or asked_for == CALLS.keys(), "and the daemon asks all that it names"
            told = daemon.ml("daemon", "status")
            assert (told.returncode, told.stderr) == (0, "")
            assert "last error" not in told.stdout


@pytest.mark.parametrize(("kind", "name", "requests"), NASTY_STARTS)
def test_a_start_in_trouble_is_a_first_sight_like_any_other(
    tmp_path: Path, kind: str, name: str, requests: int
) -> None:
    write_config(tmp_path, poll="200ms")
    with Sandbox(tmp_path, "--paused", "--no-demo", speed=SPEED) as sandbox:
        bid, _ = sandbox.post("/sandbox/fleet", {"bids": 2, "instances_per_bid": 2})["bids"]
        sandbox.post("/sandbox/faults", {**WAYS[name].fault(KINDS[kind]), "count": requests})
        with Daemon(tmp_path, sandbox, wait=True, **QUICK) as daemon:
            wait_for("the fault to wear off", lambda: not sandbox.get("/sandbox/faults"))
            seen_once(sandbox, daemon, bid)


def test_a_key_that_is_refused_at_the_start_is_tried_again_once_a_file_is_touched(tmp_path: Path) -> None:
    write_config(tmp_path, poll="200ms")
    with Sandbox(tmp_path, "--paused", "--no-demo", speed=SPEED) as sandbox:
        bid, _ = sandbox.post("/sandbox/fleet", {"bids": 2, "instances_per_bid": 2})["bids"]
        sandbox.post("/sandbox/faults", WAYS["everything"].fault(KINDS["401"]))
        with Daemon(tmp_path, sandbox, wait=True, **QUICK) as daemon:
            wait_for("the refusal", lambda: daemon.get("/v1/status")["key"]["state"] == "refused")
            sandbox.delete("/sandbox/faults")
            (tmp_path / "config.toml").touch()
            seen_once(sandbox, daemon, bid)


def seen_once(sandbox: Sandbox, daemon: Daemon, bid: str) -> None:
    """The first sight comes and is no news; what then happens to the bid is news, once."""
    story = Story(sandbox, daemon)
    story.be_well()
    assert status_events(daemon.events()) == []
    assert sandbox.force(bid, "preempt")
    story.be_well()
    told = sorted(event["type"] for event in status_events(daemon.events()))  # bids and instances are two requests
    assert told == ["bid.preempting", "instance.preempting", "instance.preempting"]


def check_deadlines(sandbox: Sandbox, daemon: Daemon) -> None:
    """A lost answer leaves an estimate, and a wrong `Date` must not move a deadline: all are right to some seconds."""
    true = {
        one["fid"]: datetime.fromisoformat(one["end_time"])
        for bid in sandbox.get("/sandbox/state")["bids"]
        for one in bid["instances"]
        if one["end_time"] is not None
    }
    shown = {
        one["fid"]: datetime.fromisoformat(one["deadline"])
        for one in daemon.get("/v1/instances")["instances"]
        if one["deadline"] is not None
    }
    assert true.keys() == shown.keys()
    for fid, deadline in shown.items():
        assert abs(deadline - true[fid]) < timedelta(seconds=10)


def asked(sandbox: Sandbox) -> Counter[str]:
    return Counter(sandbox.get("/sandbox/requests")["by_path"])
