"""The vendor's own client, unmodified, reads the sandbox as it would read the marketplace.

Its known weaknesses are its own matter: nothing here depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.harness import Sandbox
from tests.acceptance.vendor import Vendor, at_rest, need_vendor, timed

RANKS = ["Allocated", "Open", "Preempting", "Paused", "Terminated"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with at_rest(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def ml(tmp_path: Path, sandbox: Sandbox) -> Vendor:
    return Vendor(tmp_path, sandbox)


def bids(sandbox: Sandbox, query: str = "") -> list[dict[str, Any]]:
    """In the order in which the client shows them: by status, newest first."""
    found = sandbox.get(f"/v2/spot/bids{query}")["data"]
    return sorted(found, key=lambda bid: RANKS.index(bid["status"]))


def test_setup_finds_the_sandbox_ready(ml: Vendor, sandbox: Sandbox) -> None:
    done = ml.run("setup", "--check")
    assert done.out == "Setup check: READY (api_key=ok, project=ok, billing=ok)\n"
    me = sandbox.get("/v2/me")["id"]
    assert done.asked == ["GET /v2/me", "GET /v2/projects", f"GET /users/{me}/billing_check"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"MITHRIL_API_KEY": "fkey_other"}, "api_key=invalid, project=error, billing=skipped"),
        ({"MITHRIL_PROJECT": "proj_none"}, "api_key=ok, project=invalid, billing=ok"),
    ],
)
def test_setup_names_what_the_sandbox_refuses(ml: Vendor, wrong: dict[str, str], said: str) -> None:
    assert ml.run("setup", "--check", code=1, **wrong).out == f"Setup check: NOT READY ({said})\n"


@pytest.mark.parametrize(("flags", "ended"), [((), False), (("--all",), True)])
def test_the_list_shows_active_bids_and_with_all_the_ended_ones(
    ml: Vendor, sandbox: Sandbox, flags: tuple[str, ...], ended: bool
) -> None:
    done = ml.run("instance", "list", *flags)
    types = {kind["fid"]: kind["name"] for kind in sandbox.get("/v2/instance-types")}
    people = {person["fid"]: person["user_name"] for person in sandbox.get("/v2/me/teammates")}
    header, *rows = done.table()
    assert header == ["Name", "Instance Type", "Region", "Status", "Instances", "Created By", "Age"]
    shown = [bid for bid in bids(sandbox) if ended or bid["status"] != "Terminated"]
    assert {bid["status"] for bid in shown} == set(RANKS if ended else RANKS[:-1])
    assert [row[:-1] for row in rows] == [
        [
            bid["name"],
            types[bid["instance_type"]],
            bid["region"],
            bid["status"],
            f"{len(bid['instances'])}/{bid['instance_quantity']}",
            people[bid["created_by"]],
        ]
        for bid in shown
    ]
    assert f"Total: {len(shown)} bid(s)" in done.out
    assert sorted(done.asked) == ["GET /v2/instance-types", "GET /v2/me/teammates", "GET /v2/spot/bids"]


def test_the_list_as_json_has_the_fields_of_each_bid(ml: Vendor, sandbox: Sandbox) -> None:
    people = {person["fid"]: person["user_name"] for person in sandbox.get("/v2/me/teammates")}
    expected = [
        timed(bid | {"created_by_name": people[bid["created_by"]]})
        for bid in bids(sandbox)
        if bid["status"] != "Terminated"
    ]
    for bid in expected:
        del bid["launch_specification"], bid["deactivated_at"]
    shown = ml.run("instance", "list", "--json").document()
    assert [timed(bid) for bid in shown["bids"]] == expected


@pytest.mark.parametrize("status", RANKS[:-1])
def test_the_list_of_one_state(ml: Vendor, sandbox: Sandbox, status: str) -> None:
    done = ml.run("instance", "list", "--state", status.lower())
    assert f"GET /v2/spot/bids?status={status}" in done.asked
    names = [row[0] for row in done.table()[1:]]
    assert names == [bid["name"] for bid in bids(sandbox, f"?status={status}")] != []


def test_a_limited_list_asks_for_no_more(ml: Vendor, sandbox: Sandbox) -> None:
    done = ml.run("instance", "list", "--all", "--limit", "2", "--json")
    assert "GET /v2/spot/bids?limit=2" in done.asked
    shown = done.document()["bids"]
    assert [bid["fid"] for bid in shown] == [bid["fid"] for bid in bids(sandbox, "?limit=2")]
    assert len(shown) == 2


def test_listings_of_several_pages_are_whole(tmp_path: Path) -> None:
    need_vendor()
    with Sandbox(tmp_path, "--paused", "--no-demo", speed=1) as sandbox:
        ml = Vendor(tmp_path, sandbox)
        fids = sandbox.post("/sandbox/fleet", {"bids": 130, "instances_per_bid": 2, "terminated_bids": 120})["bids"]
        done = ml.run("instance", "list", "--json")
        assert {bid["fid"] for bid in done.document()["bids"]} == set(fids)
        pages = [each for each in done.asked if each.startswith("GET /v2/spot/bids")]
        second = quote(json.dumps(sandbox.get("/v2/spot/bids")["next_cursor"]))
        assert pages[:2] == ["GET /v2/spot/bids", f"GET /v2/spot/bids?next_cursor={second}"]
        assert len(pages) == 3
        assert len(ml.run("instance", "list", "--all").table()) == 1 + 250

        oldest = sandbox.get(f"/v2/spot/bids/{fids[0]}")
        done = ml.run("instance", "info", oldest["name"], "--json")
        assert {each["fid"] for each in done.document()["instances"]} == set(oldest["instances"])
        assert len([each for each in done.asked if each.startswith("GET /v2/instances?")]) == 3


def test_info_shows_a_bid_and_its_instances(ml: Vendor, sandbox: Sandbox) -> None:
    (bid,) = sandbox.get("/v2/spot/bids?name=train")["data"]
    instances = sandbox.get(f"/v2/instances?project=proj_demo&bid_fid_in={bid['fid']}")["data"]
    done = ml.run("instance", "info", "train")
    assert done.asked == ["GET /v2/spot/bids?name=train", "GET /v2/instances?project=proj_demo"]
    facts = done.facts()
    assert (facts["FID"], facts["Status"], facts["Instances"]) == (bid["fid"], "Allocated", "2/2")
    rows = [[row[1], row[3], row[4]] for row in done.table()[1:]]
    assert rows == [[each["name"], f"ubuntu@{each['ssh_destination']}", each["private_ip"]] for each in instances]

    shown = ml.run("instance", "info", "train", "--json").document()
    del bid["launch_specification"], bid["instances"]
    assert timed(shown["bid"]) == timed(bid)
    for mine, theirs in zip(instances, shown["instances"], strict=True):
        assert theirs.pop("status") == "StatusRunning"
        assert timed(theirs) == timed({field: mine[field] for field in theirs})


def test_info_of_an_unknown_bid_fails(ml: Vendor) -> None:
    done = ml.run("instance", "info", "nosuch", code=1)
    assert done.err.endswith("Bid 'nosuch' not found\n")
    assert done.asked == ["GET /v2/spot/bids?name=nosuch"]
