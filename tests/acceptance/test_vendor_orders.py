"""The vendor's client places and cancels bids, and the sandbox does what it was told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Sandbox, wait_for
from tests.acceptance.vendor import Vendor, boot, need_vendor, requests

REGION, TYPE, TYPE_NAME = "us-central1-a", "it_h100usc1a04", "h100-80gb.sxm.8x"
CREATE = ("instance", "create", "-r", REGION)
MINE = (*CREATE, "-i", "8xh100", "-m", "9.5", "-n", "mine", "-N", "2", "-p", "demo")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    need_vendor()
    with Sandbox(tmp_path, "--paused", "--no-demo", speed=1) as sandbox:
        yield sandbox


@pytest.fixture
def ml(tmp_path: Path, sandbox: Sandbox) -> Vendor:
    return Vendor(tmp_path, sandbox)


def live(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """The bids that have not ended, by name."""
    return {bid["name"]: bid for bid in sandbox.get("/sandbox/state")["bids"]}


def steps(sandbox: Sandbox, fid: str, kind: str) -> list[str]:
    """What a bid, or its instances, became."""
    return [step["to"] for step in sandbox.timeline() if step["bid"] == fid and step["kind"] == kind]


def test_a_dry_run_tells_the_market_and_places_nothing(ml: Vendor, sandbox: Sandbox) -> None:
    ml.register_key("laptop-of-sam")
    done = ml.run(*MINE, "--dry-run")
    (auction,) = [
        each
        for each in sandbox.get("/v2/spot/availability")
        if (each["region"], each["instance_type"]) == (REGION, TYPE)
    ]
    facts = done.facts()
    assert (facts["Name"], facts["Project"], facts["Region"]) == ("mine", "demo (proj_demo)", REGION)
    assert facts["Instance Type"] == f"{TYPE_NAME} ({TYPE})"
    assert (facts["Max Price"], facts["Num Instances"]) == ("$9.50/hr", "2")
    assert facts["Capacity"] == f"{auction['capacity']} instances"
    assert facts["Spot Price"] == f"{auction['last_instance_price']}/hr"
    assert facts["Win Price"] == f"{auction['lowest_allocated_price']}/hr"
    assert {each.partition(" ")[0] for each in done.asked} == {"GET"}
    assert live(sandbox) == {}


def test_create_places_the_bid_that_it_was_given(ml: Vendor, sandbox: Sandbox) -> None:
    key = ml.register_key("laptop-of-sam")
    done = ml.run(*MINE, "--k8s", "eval", "--json")
    assert "Including required SSH key(s): admin" in done.out
    assert "Using SSH key: laptop-of-sam (matched local key)" in done.out
    assert done.asked[:3] == [
        "GET /v2/projects",
        "GET /v2/ssh-keys?project=proj_demo",
        "GET /v2/kubernetes/clusters?project=proj_demo",
    ]
    assert done.asked[-1] == "POST /v2/spot/bids"
    shown = done.document()["bid"]
    bid = sandbox.get(f"/v2/spot/bids/{shown['fid']}")
    launch = bid["launch_specification"]
    given = {
        "name": "mine",
        "project": "proj_demo",
        "region": REGION,
        "instance_type": TYPE,
        "limit_price": "$9.50",
        "instance_quantity": 2,
        "status": "Open",
    }
    assert {field: bid[field] for field in given} == {field: shown[field] for field in given} == given
    assert (launch["volumes"], launch["kubernetes_cluster"]) == ([], "clust_eval")
    assert sorted(launch["ssh_keys"]) == sorted(["sshkey_admin", key])

    assert sandbox.force("mine", "allocate")
    boot(sandbox)
    cluster = ml.run("k8s", "info", "eval", "--json").document()
    assert cluster["cluster"]["active_instances"] == 2
    assert {each["name"] for each in cluster["instances"]} == {"mine-0", "mine-1"}


def test_types_and_prices_are_taken_in_every_form_and_a_name_is_made_up(ml: Vendor, sandbox: Sandbox) -> None:
    ml.register_key("laptop-of-sam")
    for name, kind, price in (("a", "8xh100", "8"), ("b", TYPE_NAME, "8.0"), ("c", TYPE, "$8.0")):
        done = ml.run(*CREATE, "-n", name, "-i", kind, "-m", price)
        assert "Bid created successfully!" in done.out
        bid = live(sandbox)[name]
        assert done.facts()["FID"] == bid["fid"]
        assert (bid["instance_type"], bid["limit_price"], bid["quantity"]) == (TYPE_NAME, "$8.00", 1)
    named = ml.run(*CREATE, "-i", "8xh100", "-m", "8").facts()["Name"]
    assert re.fullmatch(r"mcli-\d{8}-\d{6}", named)
    assert live(sandbox).keys() == {"a", "b", "c", named}


def test_what_cannot_be_placed_is_refused_and_nothing_is_placed(ml: Vendor, sandbox: Sandbox) -> None:
    ml.register_key("laptop-of-sam")
    fid = sandbox.place("mine")
    assert "Could not place bid" in ml.run(*MINE, code=1).err
    assert "Project 'nosuch' not found" in ml.run(*MINE[:-1], "nosuch", code=1).err
    assert "Cluster 'nosuch' not found" in ml.run(*MINE, "--k8s", "nosuch", code=1).err
    assert "Unknown instance type 'b300'" in ml.run(*CREATE, "-i", "b300", "-m", "8", code=1).err
    assert [bid["fid"] for bid in live(sandbox).values()] == [fid]


def test_create_waits_until_the_sandbox_gives_addresses(ml: Vendor, sandbox: Sandbox) -> None:
    ml.register_key("laptop-of-sam")
    with ml.start(*MINE, "--wait") as waiting:
        fid = wait_for("the bid", lambda: [bid["fid"] for bid in live(sandbox).values()])[0]
        look = f"GET /v2/instances?project=proj_demo&bid_fid_in={fid}"
        wait_for("a look at the open bid", lambda: look in requests(sandbox))
        assert sandbox.force(fid, "allocate")
        sandbox.delete("/sandbox/requests")
        wait_for("a look at machines that boot", lambda: look in requests(sandbox))
        assert f"GET /v2/spot/bids/{fid}" in requests(sandbox)
        assert waiting.running
        boot(sandbox)
        assert waiting.wait() == 0
        assert "All 2 instance(s) are now running!" in waiting.said()
    ran = max(step["at"] for step in sandbox.timeline() if step["to"] == "STATUS_RUNNING")
    looks = [each["time"] for each in sandbox.get("/sandbox/requests")["last"] if each["path"] == "/v2/instances"]
    assert looks[-1] >= ran > looks[0]
    assert all(each["ssh_destination"] for each in live(sandbox)["mine"]["instances"])


def test_delete_ends_the_bid_and_its_machines_and_no_other(ml: Vendor, sandbox: Sandbox) -> None:
    doomed, other = sandbox.place("doomed", quantity=2), sandbox.place("other")
    assert sandbox.force("doomed", "allocate")
    boot(sandbox)
    assert "Failed to get confirmation" in ml.run("instance", "delete", "doomed", code=1).err
    assert live(sandbox).keys() == {"doomed", "other"}

    done = ml.run("instance", "delete", "doomed", "-y")
    assert "Bid 'doomed' cancelled successfully." in done.out
    assert done.asked == ["GET /v2/spot/bids?name=doomed", f"DELETE /v2/spot/bids/{doomed}"]
    boot(sandbox)
    assert steps(sandbox, doomed, "bid") == ["Open", "Allocated", "Terminated"]
    assert steps(sandbox, doomed, "instance")[-2:] == ["STATUS_TERMINATED"] * 2
    assert steps(sandbox, other, "bid") == ["Open"]
    assert [row[0] for row in ml.run("instance", "list").table()[1:]] == ["other"]
    shown = {row[0]: row[3] for row in ml.run("instance", "list", "--all").table()[1:]}
    assert shown == {"other": "Open", "doomed": "Terminated"}


def test_delete_by_pattern_then_all(ml: Vendor, sandbox: Sandbox) -> None:
    fids = {name: sandbox.place(name) for name in ("dev-1", "dev-2", "prod-1", "prod-2")}
    done = ml.run("instance", "delete", "-n", "dev-*", "-y")
    assert "Done. Cancelled 2 bid(s)." in done.out
    assert sorted(done.asked[1:]) == sorted(f"DELETE /v2/spot/bids/{fids[name]}" for name in ("dev-1", "dev-2"))
    assert live(sandbox).keys() == {"prod-1", "prod-2"}
    assert "No active bids matching" in ml.run("instance", "delete", "-n", "dev-*", "-y").out
    ml.run("instance", "delete", "--all", "-y")
    assert live(sandbox) == {}
    assert "Bid 'nosuch' not found" in ml.run("instance", "delete", "nosuch", "-y", code=1).err
