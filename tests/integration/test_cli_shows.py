"""What `ml` shows of good answers: real processes, against HTTP on a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mithrild import __version__
from tests.integration.cli_fake_daemon import (
    FRESH,
    FakeDaemon,
    ago,
    answer,
    bid,
    event,
    instance,
    serve,
    status,
)
from tests.integration.cli_process import ml

STALE = {**FRESH, "stale": True, "age_seconds": 250.0, "reason": "connection refused"}
HOSTILE = "evil\x1b[2J\nname\u202e\ud800"
VENDOR_KEYS = {
    "created_at", "created_by", "created_by_name", "fid", "instance_quantity", "instance_type", "instances",
    "limit_price", "name", "project", "region", "status",
}  # fmt: skip


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with serve(tmp_path, {}) as running:
        yield running


def bids(*listed: dict[str, Any], freshness: dict[str, Any] = FRESH) -> bytes:
    return answer({"freshness": freshness, "bids": listed})


def step(sequence: int, to: str, **changes: Any) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "event": f"evt_8f3a_{sequence}",
        "at": ago(minutes=10 - sequence),
        "exact": True,
        "not_before": None,
        "subject": "bid_0",
        "subject_kind": "bid",
        "name": "train-0",
        "aspect": "status",
        "type": f"bid.{to.lower()}",
        "from": None,
        "to": to,
        "provenance": "observed",
        "baseline": False,
        **changes,
    }


def test_list_shows_state_price_and_the_time_left(daemon: FakeDaemon) -> None:
    notice = bid(1, state="preempting", status="Preempting", deadline=ago(seconds=-200), deadline_estimated=True)
    daemon.answers["/v1/bids"] = bids(bid(0, instances_wanted=4), notice)
    done = ml(daemon.env(), "instance", "list")
    header, first, second = done.out.splitlines()
    assert header.split("  ")[0] == "NAME"
    assert first.split() == [
        "train-0", "running", "b200-192gb.sxm.8x", "us-central5-a", "1/4", "$8.00", "$6.20", "Ada", "2h",
    ]  # fmt: skip
    assert second.split()[1:3] in (["preempting", "~3m19s"], ["preempting", "~3m18s"], ["preempting", "~3m17s"])
    assert (done.code, done.err) == (0, "")


def test_list_asks_for_what_was_typed(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = bids()
    ml(daemon.env(), "instance", "list", "--all", "-s", "Running", "--limit", "3", "-p", "my project/é")
    assert daemon.requests[-1].query == {
        "state": ["running"], "all": ["1"], "earlier": ["1"], "limit": ["3"], "project": ["my project/é"],
        "details": ["0"],
    }  # fmt: skip
    ml(daemon.env(), "instance", "list", "-s", "completed")
    assert daemon.requests[-1].query == {"state": ["completed"], "all": ["1"], "earlier": ["1"], "details": ["0"]}
    ml(daemon.env(), "instance", "list", "--all-projects")
    assert daemon.requests[-1].query == {"all_projects": ["1"], "details": ["0"]}


def test_json_of_list_is_one_document_with_the_vendors_keys_and_ours(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = bids(bid(0, instance_details=[instance(0)]), freshness=STALE)
    done = ml(daemon.env(), "instance", "list", "--json")
    (shown,) = json.loads(done.out)["bids"]
    assert shown.keys() >= VENDOR_KEYS | {"state", "spot_price", "instances_running", "instances_wanted"}
    assert [one["fid"] for one in shown["instance_details"]] == ["inst_0"]
    assert done.err == "ml: this is 4m old: connection refused\n"


def test_an_empty_list_says_so_beside_standard_output(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = bids()
    done = ml(daemon.env(), "instance", "list")
    assert (done.code, done.out, done.err) == (0, "", "ml: no active bids; --all shows ended ones\n")
    assert json.loads(ml(daemon.env(), "instance", "list", "--json").out) == {"bids": []}


def test_hostile_names_stay_on_their_line_and_whole_in_json(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = bids(bid(0, name=HOSTILE), bid(1, name="n" * 10_000), bid(2))
    done = ml(daemon.env(), "instance", "list")
    lines = done.out.splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert lines[1].startswith(r"evil\x1b[2J\nname\u202e\ud800  ")
    assert "n" * 255 + "…" in lines[2]
    documented = json.loads(ml(daemon.env(), "instance", "list", "--json").out)["bids"]
    assert [one["name"] for one in documented[:2]] == [HOSTILE, "n" * 10_000]


def test_a_stream_that_knows_only_ascii_gets_ascii(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = bids(bid(0, name="火車" + "n" * 300))
    done = ml(daemon.env(PYTHONIOENCODING="ascii"), "instance", "list")
    assert done.code == 0
    assert done.out.splitlines()[1].startswith(r"\u706b\u8ecannn")
    assert "n~  running" in done.out


def test_info_as_a_document(daemon: FakeDaemon) -> None:
    steps = [step(1, "Open"), step(2, "Allocated")]
    daemon.answers["/v1/bids/a b/c"] = answer({"freshness": FRESH, "bid": bid(), "transitions": steps})
    done = ml(daemon.env(), "instance", "info", "a b/c", "--json")
    shown = json.loads(done.out)
    assert shown.keys() == {"bid", "instances", "transitions"}
    assert shown["bid"]["deactivated_at"] is None
    assert "instance_details" not in shown["bid"]
    assert shown["instances"][0].keys() >= {
        "created_at", "fid", "name", "private_ip", "region", "ssh_destination", "status", "state", "since",
    }  # fmt: skip
    assert shown["instances"][0]["status"] == "STATUS_RUNNING"
    assert shown["transitions"] == steps


def test_info_as_a_page(daemon: FakeDaemon) -> None:
    shown = bid(state="preempting", status="Preempting", deadline=ago(seconds=-200), kubernetes_cluster="clust_1")
    steps = [step(1, "Open", exact=False, baseline=True), step(2, "Allocated", exact=False, not_before=ago(minutes=9))]
    daemon.answers["/v1/bids/train-0"] = answer({"freshness": STALE, "bid": shown, "transitions": steps})
    done = ml(daemon.env(), "instance", "info", "train-0")
    for part in ("preempting 3m1", "left, until", "$8.00", "$6.20", "clust_1", "203.0.113.7", "first sight", "between"):
        assert part in done.out
    assert done.err.startswith("ml: this is 4m old")


def test_info_leaves_ended_instances_to_the_document(daemon: FakeDaemon) -> None:
    details = [instance(0), instance(1, status="STATUS_REPLACED", state="replaced")]
    living = {"freshness": FRESH, "bid": bid(instance_details=details), "transitions": []}
    daemon.answers["/v1/bids/train-0"] = answer(living)
    done = ml(daemon.env(), "instance", "info", "train-0")
    assert daemon.requests[0].one("all") == "1"
    assert "inst_1" not in done.out
    assert done.err == "ml: 1 ended instances are left out; --json has them\n"
    assert "inst_1" in ml(daemon.env(), "instance", "info", "train-0", "--json").out
    daemon.answers["/v1/bids/old"] = answer({**living, "bid": bid(state="terminated", instance_details=details)})
    assert "inst_1" in ml(daemon.env(), "instance", "info", "old").out


def test_bids_of_several_projects_say_of_which(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = bids(bid(0), bid(1, project="proj_xyz", project_name="other"))
    lines = ml(daemon.env(), "instance", "list", "--all-projects").out.splitlines()
    assert [line.split()[-1] for line in lines] == ["PROJECT", "research", "other"]


def test_history_tells_how_long_each_status_lasted(daemon: FakeDaemon) -> None:
    steps = [step(1, "Open"), step(3, "Allocated", exact=False, not_before=ago(minutes=7, seconds=5))]
    daemon.answers["/v1/bids/train-0/history"] = answer({"freshness": FRESH, "bid": bid(), "steps": steps})
    lines = ml(daemon.env(), "history", "train-0").out.splitlines()
    assert lines[0] == "train-0 (bid_0)"
    assert lines[1].split() == ["WHEN", "WHAT", "CHANGE", "LASTED", "NOTE"]
    assert "~2m00s" in lines[2]
    assert lines[3].startswith("between ")
    assert "~7m0" in lines[3]
    assert lines[3].endswith(" so far")
    documented = json.loads(ml(daemon.env(), "history", "train-0", "--json").out)
    assert documented["bid"]["fid"] == "bid_0"
    assert round(documented["steps"][0]["lasted_seconds"]) == 120
    assert [one["ongoing"] for one in documented["steps"]] == [False, True]


def test_events_come_page_by_page_after_a_cursor(daemon: FakeDaemon) -> None:
    def page(request: Any) -> bytes:
        after = int(request.one("after") or 0)
        found = [event(number) for number in range(after + 1, min(after + 3, 6))]
        return answer({"freshness": STALE, "events": found, "next": after + len(found), "oldest": 1})

    daemon.answers["/v1/events"] = page
    args = ("events", "--after", "0", "--type", "instance.*", "--type", "bid.*", "--bid", "train")
    done = ml(daemon.env(), *args, "--json")
    assert [json.loads(line)["sequence"] for line in done.out.splitlines()] == ["1", "2", "3", "4", "5"]
    assert daemon.requests[0].query["type"] == ["instance.*", "bid.*"]
    assert daemon.requests[0].query["bid"] == ["train"]
    assert done.err.count("\n") == 1
    assert len(ml(daemon.env(), *args, "--limit", "3").out.splitlines()) == 3


def test_events_since_an_age_ask_for_a_time(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/events"] = answer({"events": [], "next": None, "oldest": None})
    assert ml(daemon.env(), "events", "--since", "2h").code == 0
    asked = daemon.requests[0].one("since")
    assert asked is not None
    assert ago(hours=2, minutes=5) < asked < ago(hours=1, minutes=59)


def test_pages_that_do_not_advance_end_in_an_error(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/events"] = answer({"events": [event(1)], "next": 1, "oldest": 1})
    done = ml(daemon.env(), "events", "--after", "0")
    assert done.code == 1
    assert "do not advance" in done.err


def test_the_line_of_an_event(daemon: FakeDaemon) -> None:
    late = event(2, type="bid.reopened", time=ago(days=3))
    late["data"] = {**late["data"], "provenance": "backfilled", "deadline": ago(minutes=-4), "instance": None}
    daemon.answers["/v1/events"] = answer({"events": [event(1), late], "next": 2, "oldest": 1})
    first, second = ml(daemon.env(), "events").out.splitlines()
    assert first.split()[1:7] == ["instance.preempting", "train", "train-0", "running", "→", "preempting"]
    assert first.endswith(" left")
    assert second.startswith(ago(days=3)[:10])
    assert second.endswith("(late)")
    assert "left" not in second


def test_history_says_what_is_no_longer_kept(daemon: FakeDaemon) -> None:
    shown = {"freshness": FRESH, "bid": bid(), "steps": [], "kept_since": "2016-11-23T12:00:00Z"}
    daemon.answers["/v1/bids/train/history"] = answer(shown)
    done = ml(daemon.env(), "history", "train")
    assert "ml: what it went through until 2016-11-23 12:00:00 is no longer kept\n" in done.err


def test_daemon_status(daemon: FakeDaemon) -> None:
    hook = {
        "name": "save", "on": ["instance.preempting"], "pending": 0, "running": 0, "done": 12, "failed": 1,
        "skipped": 5, "superseded": 2, "cancelled": 0,
        "last": {"state": "failed", "reason": "exit code 1", "at": ago(minutes=1), "event": "evt_8f3a_9"},
    }  # fmt: skip
    told = status(
        hooks=[hook],
        set_aside={"items": 3, "last": "bid_9: no region"},
        restart_needed=["poll.active"],
        key={"state": "refused", "source": "environment", "message": "401"},
        marketplace={"reachable": False, "since": ago(minutes=4), "last_error": "timed out"},
    )
    daemon.answers["/v1/status"] = answer(told)
    shown = ml(daemon.env(), "daemon", "status").out
    for part in (
        "4711",
        "up 3h00m",
        "refused",
        "timed out",
        "poll.active",
        "bid_9",
        "exit code 1",
        "research (proj_abc)",
        "5 skipped, 2 superseded",
    ):
        assert part in shown
    assert json.loads(ml(daemon.env(), "daemon", "status", "--json").out) == told


def test_daemon_status_tells_what_is_still_to_be_looked_back_at(daemon: FakeDaemon) -> None:
    project = {"fid": "proj_abc", "name": "research", "unwatched": {"from": ago(hours=2), "to": ago(hours=1)}}
    daemon.answers["/v1/status"] = answer(status(projects=[project]))
    shown = " ".join(ml(daemon.env(), "daemon", "status").out.split())
    assert "looking back nobody watched research from " in shown
    assert "; the marketplace is being asked" in shown


def test_daemon_status_tells_how_often_it_looks_and_how_late_it_sees(daemon: FakeDaemon) -> None:
    def lines(**changes: Any) -> dict[str, str]:
        daemon.answers["/v1/status"] = answer(status(**changes))
        shown = ml(daemon.env(), "daemon", "status").out.splitlines()
        return {line[:12].strip(): line[12:].strip() for line in shown}

    quiet = lines()
    assert quiet["polling"] == "every 5 s (something changes), 2 polls in the last minute, 120 in all, 1 not believed"
    assert quiet["requests"] == "14 of at most 300 in the last minute: polls 11, prices 2, commands 1"
    assert quiet["auctions"] == "it is not known yet when they are"
    assert "clocks" not in quiet
    assert quiet["seen"] == "no step that the marketplace has timed in the last day"
    assert quiet["hooks began"] == "none in the last day"
    told = lines(
        auctions={"period_seconds": 119.98, "next_at": ago(minutes=-1), "last_at": ago(minutes=1), "agreeing": 5},
        clock={"ahead_seconds": -600.2},
        latency={
            "seen": {"count": 214, "p50": 1.13, "p95": 2.4, "worst": 75.0},
            "unseen": 12,
            "hooks": {"count": 7, "p50": 1.3, "p95": 2.6, "worst": 3.0},
            "least_left_seconds": 291.0,
        },
    )
    assert told["auctions"].startswith("every 120 s, the next at ")
    assert told["clocks"] == "the marketplace's is 10m00s behind ours"
    assert told["seen"] == (
        "1.1 s after the fact, 95 % within 2.4 s, 1m15s at worst (214 in the last day); 12 never seen as they happened"
    )
    assert told["hooks began"] == (
        "1.3 s after the fact, 95 % within 2.6 s, 3.0 s at worst (7 in the last day); "
        "with 4m51s left of a notice at the least"
    )
    assert lines(clock={"ahead_seconds": 0.4})["clocks"] == "the marketplace's and ours agree"


def test_daemon_status_tells_how_the_disk_does(daemon: FakeDaemon) -> None:
    def line(**disk: object) -> str:
        daemon.answers["/v1/status"] = answer(status(disk=disk))
        shown = ml(daemon.env(), "daemon", "status")
        assert shown.code == 0
        (found,) = [line for line in shown.out.splitlines() if line.startswith("disk")]
        return " ".join(found.split()[1:])

    assert line(trouble=None, reserve_bytes=16 << 20) == "writes, 16 MiB in reserve"
    assert line(trouble=None, reserve_bytes=0) == "writes, nothing in reserve"
    assert line() == "-"
    held = {"transitions": 3, "deliveries": 2, "results": 1}
    words = "cannot write /state/mithrild.db: the disk is full: free some space on /home"
    told = line(trouble="full", since=ago(minutes=3), message=words, held=held, reserve_bytes=0)
    assert told.startswith("refuses since ")
    assert told.endswith(
        f" (3m ago): {words}; held in memory: 3 transitions, 2 deliveries, 1 ends of hooks; nothing in reserve"
    )


def test_version_tells_both_and_a_difference(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/status"] = answer(status(version=__version__))
    done = ml(daemon.env(), "--version")
    assert (done.code, done.out, done.err) == (0, f"ml {__version__}\nmithrild {__version__}\n", "")
    daemon.answers["/v1/status"] = answer(status(version="9.9"))
    done = ml(daemon.env(), "--version")
    assert done.out == f"ml {__version__}\nmithrild 9.9\n"
    assert "differ" in done.err


def test_version_without_a_daemon_is_ours(tmp_path: Path) -> None:
    done = ml(FakeDaemon(tmp_path / "none.sock", {}).env(), "--version")
    assert (done.code, done.out, done.err) == (0, f"ml {__version__}\n", "")


def test_a_chunked_answer_is_read_whole(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": [bid(n) for n in range(50)]}, chunked=True)
    assert len(ml(daemon.env(), "instance", "list").out.splitlines()) == 51


def test_an_answer_that_ends_with_the_connection_is_read_whole(daemon: FakeDaemon) -> None:
    head, _, body = bids(bid()).partition(b"\r\n\r\n")
    daemon.answers["/v1/bids"] = head.partition(b"\r\nContent-Length")[0] + b"\r\n\r\n" + body
    assert len(ml(daemon.env(), "instance", "list").out.splitlines()) == 2
