"""Weaknesses that the vendor's command line was seen to have where it changes things: a test for each, that ours has
not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.harness import wait_for
from tests.acceptance.instance_rig import CREATE, WHERE, Rig


def names(rig: Rig, *words: str) -> list[str]:
    return [bid["name"] for bid in rig.ml("instance", "list", *words, "--json").document()["bids"]]


def test_no_command_leaves_its_project_unasked(rig: Rig) -> None:
    assert {"bargain", "parked"}.isdisjoint(names(rig))
    assert set(names(rig, "-p", "research")) == {"bargain", "parked"}
    assert set(names(rig, "--all-projects")) >= {"train", "bargain"}
    for words in (["info", "bargain"], ["delete", "bargain", "-y"], ["update", "bargain", "-m", "9"]):
        rig.refused("instance", *words, code=6)
    rig.refused("instance", "delete", "-n", "bargain", "-y", code=6)
    rig.ml("instance", "info", "bargain", "-p", "research")


def test_a_name_beside_all_deletes_nothing_and_failures_of_a_bulk_run_count(rig: Rig) -> None:
    for name in ("bulk-1", "bulk-2"):
        rig.ml(*CREATE, "-n", name)
    before = rig.live().keys()
    assert "NAME goes neither with --all" in rig.refused("instance", "delete", "bulk-1", "--all", "-y", code=2)
    assert rig.live().keys() == before
    rig.fault("status", f"/v2/spot/bids/{rig.bid('bulk-1')['fid']}", "DELETE", status=409)
    done = rig.ml("instance", "delete", "-n", "bulk-*", "-y", code=1)
    assert done.out.startswith("cancelled  bulk-2 ")
    assert "bulk-1" in done.err
    assert rig.live().keys() == before - {"bulk-2"}


def test_an_address_is_not_taken_for_readiness(rig: Rig) -> None:
    with rig.start(*CREATE, "-n", "moving", "-N", "2", "--wait") as waiting:
        waiting.says("moving: pending")
        assert rig.sandbox.force("moving", "allocate")
        first, second = rig.bid("moving")["instances"]
        for one, status in ((first, "RUNNING"), (first, "RELOCATING"), (second, "RUNNING")):
            rig.set_status(one, f"STATUS_{status}")
        waiting.says("moving: relocating, 1 of 2 running")
        assert all(one["ssh_destination"] for one in rig.seen("moving", "relocating")["instance_details"])
        assert waiting.running
        rig.set_status(first, "STATUS_RUNNING")
        waiting.end(0)


def test_waiting_ends_on_an_error_and_on_a_pause(rig: Rig) -> None:
    for name, means in (("erring", "error"), ("pausing", "pause")):
        with rig.start(*CREATE, "-n", name, "--wait") as waiting:
            waiting.says(f"{name}: pending")
            if means == "pause":
                assert rig.sandbox.force(name, "pause")
            else:
                assert rig.sandbox.force(name, "allocate")
                rig.set_status(rig.bid(name)["instances"][0], "STATUS_ERROR")
            waiting.end(1)


def test_waiting_survives_a_429_and_a_500_waits_with_json_too_and_not_for_ever(rig: Rig) -> None:
    with rig.start(*CREATE, "-n", "enduring", "--wait", "--json") as waiting:
        waiting.says("enduring: pending")
        for status in (429, 500):
            rig.fault("status", "/v2/*", status=status, count=4)
        wait_for("the end of both", lambda: not rig.sandbox.get("/sandbox/faults"))
        assert waiting.running
        rig.run("enduring")
        assert waiting.end(0).document()["bid"]["state"] == "running"
    rig.ml(*CREATE, "-n", "endless", "--wait", "--timeout", "1s", code=8)


@pytest.mark.parametrize(
    "words",
    ["-m NaN", "-m inf", "-m -inf", "-m 0", "-m -1", "-m 1.005", "-m 1e3", "-m $", "-m 8 -N 0", "-m 8 -N -2",
     "-m 8 --k8s old", "-m 8 -n train", "-m 8 -N 1.5"],
)  # fmt: skip
def test_nothing_senseless_is_posted(rig: Rig, words: str) -> None:
    before = rig.asked("POST", "/v2/spot/bids")
    rig.refused("instance", "create", *WHERE, *words.split(), code=7 if "train" in words else 2)
    assert rig.asked("POST", "/v2/spot/bids") == before
    if "old" in words:
        assert "cluster 'old' is terminated" in rig.refused("instance", "create", *WHERE, *words.split(), code=2)


def test_without_a_terminal_a_key_is_named_by_a_flag(rig: Rig, tmp_path: Path) -> None:
    said = rig.ml(*CREATE, "-p", "research", HOME=str(tmp_path), code=2).err
    assert "name one with --ssh-key: research" in said
    done = rig.ml(*CREATE, "-p", "research", "-n", "keyed", "--ssh-key", "research", "--json", HOME=str(tmp_path))
    assert done.document()["bid"]["project"] == "proj_research"
