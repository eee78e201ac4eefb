"""One preemption, followed through the whole program: each test looks into one room at the same story.

The story: a bid of two instances runs, the daemon has seen it, the notice comes. Real processes, once.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.harness import BIN, Daemon, Sandbox, wait_for, write_config, write_hook

NOTICE = timedelta(minutes=5)


@dataclass
class Story:
    bid: str
    instances: list[str]
    steps: list[dict[str, Any]]  # of the sandbox's timeline, from the notice on
    requests: list[dict[str, Any]]  # from the moment of the notice on
    events: list[str]  # `ml events -f --json`, a line each
    feed: list[dict[str, str]]  # the stream's blocks: id, event, data
    runs: list[tuple[dict[str, str], str]]  # of the hook: environment, standard input
    history: str  # `ml history work`
    listed: dict[str, Any]  # `ml instance list --json`
    rows: dict[str, list[sqlite3.Row]]

    def told(self, type: str) -> list[dict[str, Any]]:
        return [event for event in map(json.loads, self.events) if event["type"] == type]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("one")
    # One folder a run: its environment, NUL between two variables, and its standard input as it came.
    dump = (
        f'd=$(mktemp -d {folder}/run.XXXXXX); cat > "$d/stdin"; cat /proc/self/environ > "$d/environ"; touch "$d/end"'
    )
    write_hook(folder, "save", dump)
    write_config(folder, f'name = "save"\non = ["instance.preempting"]\nrun = ["{folder}/save"]\nmax_parallel = 2')
    with Sandbox(folder, "--paused", "--no-demo", speed=1) as sandbox:
        bid = sandbox.place("work", quantity=2)
        sandbox.force("work", "allocate")
        sandbox.post("/sandbox/clock", {"advance_seconds": 600})
        with Daemon(folder, sandbox) as daemon:
            wait_for("the first sight", daemon.watched)
            wait_for("both instances", lambda: len(daemon.get("/v1/instances")["instances"]) == 2)
            yield live_through(folder, sandbox, daemon, bid)


def live_through(folder: Path, sandbox: Sandbox, daemon: Daemon, bid: str) -> Story:
    instances = sorted(one["fid"] for one in daemon.get("/v1/instances")["instances"])
    transport = httpx.HTTPTransport(uds=daemon.socket_path)
    argv = [str(BIN / "ml"), "events", "-f", "--json", "--limit", "3"]
    with (
        httpx.Client(transport=transport, base_url="http://mithrild", timeout=20) as http,
        http.stream("GET", "/v1/events/stream") as stream,
        subprocess.Popen(argv, env=daemon.env, stdout=subprocess.PIPE, text=True) as follower,
    ):
        chunks = stream.iter_lines()
        assert next(chunks) == ": connected"
        before = sandbox.timeline()[-1]["seq"]
        sandbox.delete("/sandbox/requests")
        sandbox.force("work", "preempt")
        feed = [block(chunks) for _ in range(3)]
        assert follower.stdout is not None
        events = [follower.stdout.readline().rstrip("\n") for _ in range(3)]
        follower.terminate()
    wait_for("both runs of the hook", lambda: len(list(folder.glob("run.*/end"))) == 2)
    wait_for("their record", lambda: [one["state"] for one in daemon.deliveries()] == ["done"] * 2)
    wait_for("the history of each step", lambda: told_times(daemon) == 3)
    history, listed = daemon.ml("history", "work"), daemon.ml("instance", "list", "--json")
    assert (history.returncode, listed.returncode) == (0, 0), history.stderr + listed.stderr
    return Story(
        bid=bid,
        instances=instances,
        steps=[step for step in sandbox.timeline() if step["seq"] > before],
        requests=sandbox.get("/sandbox/requests")["last"],
        events=events,
        feed=feed,
        runs=[(environ(path.parent), (path.parent / "stdin").read_text()) for path in folder.glob("run.*/end")],
        history=history.stdout,
        listed=json.loads(listed.stdout),
        rows=rows(folder / "xdg-state" / "mithrild" / "mithrild.db"),
    )


def told_times(daemon: Daemon) -> int:
    """How many of the bid's steps of the notice have their time from the marketplace."""
    steps = daemon.get("/v1/bids/work/history")["steps"]
    return sum(step["exact"] and not step["baseline"] for step in steps)


def block(chunks: Iterator[str]) -> dict[str, str]:
    """The next event of the stream. Comments keep a quiet line alive, and tell nothing."""
    found: dict[str, str] = {}
    for line in chunks:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = value
        elif found:
            return found
    raise AssertionError("the stream ended")


def environ(folder: Path) -> dict[str, str]:
    pairs = (one.partition("=") for one in (folder / "environ").read_text().split("\0") if one)
    return {name: value for name, _, value in pairs}


def rows(path: Path) -> dict[str, list[sqlite3.Row]]:
    tables = {
        "transitions": "select * from transitions where not baseline order by sequence",
        "events": "select * from events order by sequence",
        "notices": "select * from notices order by subject",
        "deliveries": "select * from deliveries order by sequence",
        "attempts": "select * from attempts order by delivery",
    }
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as record:
        record.row_factory = sqlite3.Row
        found = {name: record.execute(query).fetchall() for name, query in tables.items()}
    record.close()
    return found


def test_the_marketplace_was_asked_little_and_for_the_deadline_once(story: Story) -> None:
    asked = [(one["path"], one["query"]) for one in story.requests if one["status"] == 200]
    statuses = [query for path, query in asked if path == "/v2/spot/bids"]
    assert {word for query in statuses for word in query.split("&") if word.startswith("status=")} == {
        "status=Open",
        "status=Allocated",
        "status=Preempting",
        "status=Paused",
    }
    deadlines = [path for path, _ in asked if path.endswith("/status")]
    assert len(deadlines) == 1, "all instances of a preempted bid share their deadline"
    assert deadlines[0].split("/")[3] in story.instances


def test_the_record_has_each_step_once_and_when_it_was_seen(story: Story) -> None:
    happened = {(step["subject"], step["from"], step["to"]) for step in story.steps}
    held = [(row["subject"], row["before"], row["after"]) for row in story.rows["transitions"]]
    assert len(held) == len(set(held)) == 3
    assert set(held) == happened
    at = {step["subject"]: datetime.fromisoformat(step["at"]) for step in story.steps}
    for row in story.rows["transitions"]:
        assert row["bid"] == story.bid
        assert row["type"] == f"{row['kind']}.preempting"
        # When it happened is by the marketplace's clock, which was turned ahead by ten minutes; the rest is by ours.
        seen = datetime.fromisoformat(row["observed_at"])
        assert timedelta(0) < seen + timedelta(seconds=600) - at[row["subject"]] < timedelta(seconds=20)
        assert row["window_start"] < row["observed_at"]
        assert datetime.fromisoformat(row["occurred_at"]) == at[row["subject"]]
        assert row["position"] == row["occurred_at"]


def test_the_notice_has_the_deadline_that_was_told(story: Story) -> None:
    notices = story.rows["notices"]
    assert {notice["subject"] for notice in notices} == {story.bid, *story.instances}
    assert {(notice["kind"], notice["ordinal"], notice["estimated"]) for notice in notices} == {("preemption", 1, 0)}
    (deadline,) = {notice["deadline"] for notice in notices}
    began = datetime.fromisoformat(story.steps[0]["at"]) - timedelta(seconds=600)
    assert abs(datetime.fromisoformat(deadline) - began - NOTICE) < timedelta(seconds=3)


def test_everybody_gets_the_same_bytes(story: Story) -> None:
    bodies = {row["id"]: row["body"] for row in story.rows["events"]}
    assert len(bodies) == 3
    assert [json.loads(line)["id"] for line in story.events] == list(bodies)
    assert story.events == list(bodies.values())
    assert [one["data"] for one in story.feed] == list(bodies.values())
    for _, stdin in story.runs:
        assert stdin.rstrip("\n") == bodies[json.loads(stdin)["id"]]


def test_the_feed_names_the_type_and_the_cursor(story: Story) -> None:
    assert [one["event"] for one in story.feed] == [json.loads(line)["type"] for line in story.events]
    assert [one["id"] for one in story.feed] == [json.loads(line)["id"] for line in story.events]


def test_an_event_is_whole(story: Story) -> None:
    (event,) = story.told("bid.preempting")
    assert event["specversion"] == "1.0"
    assert event["subject"] == story.bid
    assert (event["data"]["from"], event["data"]["to"]) == ("allocated", "preempting")
    assert event["data"]["bid"]["name"] == "work"
    assert {one["subject"] for one in story.told("instance.preempting")} == set(story.instances)


def test_the_hook_ran_once_for_each_instance_and_was_told_all(story: Story) -> None:
    told = {event["id"]: event for event in story.told("instance.preempting")}
    assert {env["MITHRILD_EVENT_ID"] for env, _ in story.runs} == told.keys()
    assert len(story.runs) == 2
    for env, stdin in story.runs:
        event = told[env["MITHRILD_EVENT_ID"]]
        assert json.loads(stdin) == event
        assert env["MITHRILD_EVENT_TYPE"] == "instance.preempting"
        assert (env["MITHRILD_BID"], env["MITHRILD_BID_NAME"]) == (story.bid, "work")
        assert env["MITHRILD_INSTANCE"] == env["MITHRILD_SUBJECT"] == event["subject"]
        assert (env["MITHRILD_FROM"], env["MITHRILD_TO"]) == ("running", "preempting")
        assert (env["MITHRILD_HOOK"], env["MITHRILD_ATTEMPT"]) == ("save", "1")
        assert 280 <= int(env["MITHRILD_REMAINING_SECONDS"]) <= 300
        assert env["MITHRILD_HOST"].startswith("203.0.113.")
        assert not any(name.startswith("MITHRIL_") for name in env), "no key, nor anything that leads to it"


def test_the_outbox_kept_how_it_went(story: Story) -> None:
    deliveries, attempts = story.rows["deliveries"], story.rows["attempts"]
    assert {row["subject"] for row in deliveries} == set(story.instances)
    notices = {row["subject"]: row["sequence"] for row in story.rows["notices"]}
    for row in deliveries:
        assert (row["hook"], row["state"], row["attempts"]) == ("save", "done", 1)
        assert row["notice"] == notices[row["subject"]], "tied to the notice that it is for"
        assert row["lease"] is None
    assert {row["delivery"] for row in attempts} == {row["id"] for row in deliveries}
    assert {(row["number"], row["outcome"], row["exit_code"]) for row in attempts} == {(1, "done", 0)}


def test_ml_tells_the_same_story(story: Story) -> None:
    (bid,) = story.listed["bids"]
    assert (bid["fid"], bid["status"], bid["state"]) == (story.bid, "Preempting", "preempting")
    lines = story.history.splitlines()
    assert [line for line in lines if "the bid" in line and "allocated → preempting" in line]
    for name in ("work-0", "work-1"):
        assert [line for line in lines if name in line and "running → preempting" in line]
