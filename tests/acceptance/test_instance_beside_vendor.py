"""The vendor's client and ours, side by side at one marketplace: ours has every key of theirs, with the same value.

Where theirs is wrong, that is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Sandbox, wait_for
from tests.acceptance.instance_rig import CREATE, PUBLIC_KEY, Rig, open_rig
from tests.acceptance.vendor import Vendor, boot, need_vendor

BID_KEYS = {
    "created_at", "fid", "instance_quantity", "instance_type", "limit_price", "name", "project", "region", "status",
}  # fmt: skip


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A bid in every status, and nothing that moves. Of the ended ones the daemon has seen one."""
    need_vendor()
    with open_rig(tmp_path_factory.mktemp("rig"), both_projects=True, past=one_ended) as rig:
        rig.own_key()
        for bid in ("notebook", "eval", "train"):
            rig.sandbox.force(bid, "allocate")
        boot(rig.sandbox)
        rig.sandbox.post("/sandbox/bids/eval/preempt", {"notice_seconds": 12 * 3600})
        rig.seen("eval", "preempting")
        rig.seen("train", "running")
        rig.place("short")
        assert rig.sandbox.force("short", "terminate")
        rig.seen("short", "terminated")
        yield rig


def one_ended(sandbox: Sandbox) -> None:
    """A bid that ran and ended before there was a daemon. The demonstration has others, that ended days ago."""
    sandbox.place("over", 2)
    assert sandbox.force("over", "allocate")
    boot(sandbox)
    assert sandbox.force("over", "terminate")
    boot(sandbox)


@pytest.fixture
def vendor(tmp_path: Path, rig: Rig) -> Vendor:
    vendor = Vendor(tmp_path, rig.sandbox)
    (vendor.home / ".ssh").mkdir(mode=0o700)
    (vendor.home / ".ssh" / "id_ed25519.pub").write_text(PUBLIC_KEY + "\n")
    (vendor.home / ".ssh" / "id_ed25519").touch(mode=0o600)  # a key counts for it only where both halves are
    return vendor


def timed(shown: Any) -> Any:
    """The same with its times as times: fractions of seconds are written in more than one way."""
    if isinstance(shown, dict):
        return {
            key: datetime.fromisoformat(value) if key.endswith("_at") and value else timed(value)
            for key, value in shown.items()
        }
    return [timed(one) for one in shown] if isinstance(shown, list) else shown


def same(ours: dict[str, Any], theirs: dict[str, Any], *but: str) -> None:
    """Every key of theirs is in ours, and has the same value, but for those that cannot."""
    assert ours.keys() >= theirs.keys()
    compared = theirs.keys() - set(but)
    assert timed({key: ours[key] for key in compared}) == timed({key: theirs[key] for key in compared})


def no_json(text: str) -> bool:
    """Whether it is not: lines about progress stand before theirs."""
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("flags", [(), ("--all",)])
def test_list(rig: Rig, vendor: Vendor, flags: tuple[str, ...]) -> None:
    theirs = vendor.run("instance", "list", *flags, "--json")
    assert no_json(theirs.out)
    ours = rig.ml("instance", "list", *flags, "--json", "--all-projects").document()  # theirs knows of no projects
    listed = theirs.document()["bids"]
    assert ours.keys() == {"bids"}
    assert [bid["fid"] for bid in ours["bids"]] == [bid["fid"] for bid in listed]
    assert {bid["status"] for bid in listed} >= {"Allocated", "Open", "Preempting", "Paused"}
    for mine, their in zip(ours["bids"], listed, strict=True):
        same(mine, their)
    names = {bid["name"]: bid["recorded"] for bid in ours["bids"] if bid["status"] == "Terminated"}
    on_record = {"short": True, "over": False, "train-old": False, "first-try": False}
    assert names == (on_record if flags else {})


def test_info(rig: Rig, vendor: Vendor) -> None:
    theirs = vendor.run("instance", "info", "train", "--json")
    assert no_json(theirs.out)
    ours, document = rig.ml("instance", "info", "train", "--json").document(), theirs.document()
    assert ours.keys() >= document.keys() == {"bid", "instances"}
    same(ours["bid"], document["bid"])
    machines = {one["fid"]: one for one in ours["instances"]}
    assert len(document["instances"]) == 2
    for one in document["instances"]:
        assert one["status"] == "StatusRunning"  # no word of the API's
        same(machines[one["fid"]], one, "status")
        assert (machines[one["fid"]]["status"], machines[one["fid"]]["state"]) == ("STATUS_RUNNING", "running")


@pytest.mark.parametrize(("name", "machines"), [("over", 2), ("train-old", 0)])
def test_info_of_what_ended_before_the_first_look(rig: Rig, vendor: Vendor, name: str, machines: int) -> None:
    theirs = vendor.run("instance", "info", name, "--json").document()
    done = rig.ml("instance", "info", name, "--json")
    ours = done.document()
    same(ours["bid"], theirs["bid"])
    assert (ours["bid"]["recorded"], ours["transitions"], done.err) == (False, [], "")
    assert len(ours["instances"]) == len(theirs["instances"]) == machines
    held = {one["fid"]: one for one in ours["instances"]}
    for one in theirs["instances"]:
        assert one["status"] == "StatusTerminated"  # no word of the API's
        same(held[one["fid"]], one, "status")
        assert held[one["fid"]]["status"] == "STATUS_TERMINATED"
    assert rig.ml("instance", "info", ours["bid"]["fid"], "--json").document() == ours


def test_info_by_fid_which_theirs_does_not_find(rig: Rig, vendor: Vendor) -> None:
    fid = rig.live()["train"]["fid"]
    assert "not found" in vendor.run("instance", "info", fid, code=1).err
    assert rig.ml("instance", "info", fid, "--json").document()["bid"]["name"] == "train"


def test_create(rig: Rig, vendor: Vendor) -> None:
    theirs = vendor.run(*CREATE, "-n", "theirs", "-N", "2", "--json")
    assert no_json(theirs.out)
    ours = rig.ml(*CREATE, "-n", "ours", "-N", "2", "--json").document()
    assert ours.keys() == theirs.document().keys() == {"bid"}
    assert theirs.document()["bid"].keys() == BID_KEYS
    same(ours["bid"], theirs.document()["bid"], "name", "fid", "created_at")
    placed = {bid["name"]: bid for bid in rig.sandbox.get("/v2/spot/bids?project=proj_demo&limit=2")["data"]}
    mine, other = (placed[name]["launch_specification"] for name in ("ours", "theirs"))
    assert sorted(mine.pop("ssh_keys")) == sorted(other.pop("ssh_keys"))
    assert mine == other


def test_a_dry_run(rig: Rig, vendor: Vendor) -> None:
    words = (*CREATE, "-n", "tried", "-N", "2", "--dry-run")
    facts = vendor.run(*words).facts()
    plan = rig.ml(*words, "--json").document()["plan"]
    assert no_json(vendor.run(*words, "--json").out)  # theirs ignores it
    told = {
        "Name": plan["name"],
        "Project": f"{plan['project_name']} ({plan['project']})",
        "Instance Type": f"{plan['instance_type_name']} ({plan['instance_type']})",
        "Region": plan["region"],
        "Max Price": f"{plan['limit_price']}/hr",
        "Num Instances": str(plan["instance_quantity"]),
        "Capacity": f"{plan['capacity']} instances",
        "Spot Price": f"{plan['spot_price']}/hr",
        "Win Price": f"{plan['win_price']}/hr",
    }
    assert {name: facts[name] for name in told} == told


@pytest.mark.parametrize("flags", [(), ("-r", "eu-central1-a"), ("--region", "us-east1-a", "-v")])
def test_list_types(rig: Rig, vendor: Vendor, flags: tuple[str, ...]) -> None:
    def prices_seen() -> bool:
        told = {(one["region"], one["fid"]): one["spot_price"] for one in rig.daemon.get("/v1/types")["types"]}
        return all(
            told[one["region"], one["instance_type"]] == one["last_instance_price"]
            for one in rig.sandbox.get("/v2/spot/availability")
        )

    wait_for("the prices of the moment", prices_seen)
    theirs = vendor.run("instance", "list-types", *flags, "--json")
    assert no_json(theirs.out)
    ours = rig.ml("instance", "list-types", *flags, "--json").document()
    assert isinstance(ours, list)
    mine = {(one["region"], one["fid"]): one for one in ours}
    assert len(mine) == len(theirs.document())
    for one in theirs.document():
        same(mine[one["region"], one["fid"]], one)


def test_the_page_shows_what_theirs_promises_and_lacks(rig: Rig, vendor: Vendor) -> None:
    theirs, ours = vendor.run("instance", "info", "train"), rig.ml("instance", "info", "train").out
    bid = rig.ml("instance", "info", "train", "--json").document()["bid"]
    for promised in (bid["spot_price"], "b200-192gb.sxm.8x", "train (clust_train)"):
        assert promised not in theirs.out
        assert promised in ours
