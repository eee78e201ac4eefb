"""`ml k8s list` and `info` of ours and of the vendor's, side by side against one sandbox.

Ours has every key of theirs with the same value, but where theirs is wrong: a status of an instance is there in the
words of their own program (`StatusRunning`), the join command with its secret is shown to whoever looks, and clusters
of all projects of the key are listed whatever the project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Daemon, Sandbox, wait_for, write_config
from tests.acceptance.vendor import Vendor, at_rest

BOTH = 'projects = ["proj_demo", "proj_research"]'
STATUSES = ("NEW", "SCHEDULED", "STARTING", "RUNNING", "STOPPED", "RELOCATING", "PREEMPTING", "PAUSED", "ERROR")


class Pair:
    def __init__(self, sandbox: Sandbox, daemon: Daemon, vendor: Vendor) -> None:
        self.sandbox, self.daemon, self.vendor = sandbox, daemon, vendor

    def ours(self, *words: str) -> Any:
        done = self.daemon.ml("k8s", *words, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def theirs(self, *words: str) -> Any:
        return self.vendor.run("k8s", *words, "--json").document()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("k")
    write_config(folder, more=BOTH)
    with at_rest(folder) as sandbox, Daemon(folder, sandbox) as daemon:
        wait_for("the clusters", lambda: len(daemon.get("/v1/clusters?all_projects=1&all=1").get("clusters", ())) == 6)
        wait_for("the nodes", lambda: len(daemon.get("/v1/clusters/train").get("instances", ())) == 2)
        yield Pair(sandbox, daemon, Vendor(folder, sandbox))


def alike(ours: dict[str, Any], theirs: dict[str, Any], *but: str) -> None:
    """Every key of theirs is in ours, with the same value; times are written in more than one way."""
    for key, value in theirs.items():
        if key in but:
            continue
        mine = ours[key]
        if key.endswith("_at") and value is not None:
            mine, value = datetime.fromisoformat(mine), datetime.fromisoformat(value)
        assert (key, mine) == (key, value)


def by_fid(clusters: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["fid"]: each for each in clusters}


@pytest.mark.parametrize("flags", [(), ("--all",)])
def test_the_lists_say_the_same(pair: Pair, flags: tuple[str, ...]) -> None:
    theirs = by_fid(pair.theirs("list", *flags)["clusters"])
    document = pair.ours("list", "--all-projects", *flags)
    assert set(document) == {"clusters"}
    ours = by_fid(document["clusters"])
    assert ours.keys() == theirs.keys()
    for fid, cluster in theirs.items():
        alike(ours[fid], cluster)
    assert ("clust_old" in ours) == ("--all" in flags)


def test_ours_stays_in_the_project(pair: Pair) -> None:
    assert "clust_research" in by_fid(pair.theirs("list")["clusters"])
    assert "clust_research" not in by_fid(pair.ours("list")["clusters"])
    assert by_fid(pair.ours("list", "-p", "research")["clusters"]).keys() == {"clust_research"}


@pytest.mark.parametrize("name", ["train", "clust_train", "eval", "queued", "old"])
def test_the_pages_say_the_same(pair: Pair, name: str) -> None:
    theirs, ours = pair.theirs("info", name), pair.ours("info", name, "--show-join-command")
    assert set(ours) == set(theirs) == {"cluster", "instances"}
    alike(ours["cluster"], theirs["cluster"])
    mine = by_fid(ours["instances"])
    assert mine.keys() == by_fid(theirs["instances"]).keys()
    for each in theirs["instances"]:
        alike(mine[each["fid"]], each, "status")
        assert mine[each["fid"]]["status"] == f"STATUS_{each['status'].removeprefix('Status').upper()}"
    assert pair.ours("info", name)["cluster"]["join_command"] is None


def test_the_join_command_is_nowhere_without_being_asked_for(pair: Pair) -> None:
    secret = pair.theirs("info", "train")["cluster"]["join_command"]
    assert secret in pair.daemon.ml("k8s", "info", "train", "--show-join-command").stdout
    for words in (("info", "train"), ("info", "train", "--json"), ("list", "--all", "--json")):
        assert secret not in pair.daemon.ml("k8s", *words).stdout
    folder = Path(pair.daemon.env["XDG_STATE_HOME"])
    kept = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert b"clust_train" in kept
    assert secret.encode() not in kept
    assert secret not in pair.daemon.said()


def test_nodes_count_as_active_in_the_same_states(pair: Pair) -> None:
    fid = pair.sandbox.get("/v2/kubernetes/clusters/clust_train")["instances"][0]
    for status in STATUSES:
        pair.sandbox.post(f"/sandbox/instances/{fid}/status", {"status": f"STATUS_{status}"})

        def seen(word: str = f"STATUS_{status}") -> bool:
            return any(each["status"] == word for each in pair.daemon.get("/v1/clusters/train")["instances"])

        wait_for(f"the node to be {status}", seen)
        theirs, ours = (
            by_fid(listed["clusters"])["clust_train"] for listed in (pair.theirs("list"), pair.ours("list"))
        )
        assert ours["total_instances"] == theirs["total_instances"] == 2
        assert (status, ours["active_instances"]) == (status, theirs["active_instances"])
