"""Bids over HTTP: placing, listing, changing, and their histories."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.sandbox_server import PROJECT, Visitor, visit


def test_a_bid_is_placed_and_read_back() -> None:
    async def story(visitor: Visitor) -> None:
        bid = await visitor.place("work", limit_price="$8", instance_quantity=2)
        assert bid["status"] == "Open"
        assert bid["limit_price"] == "$8.00"
        assert bid["instances"] == []
        assert bid["deactivated_at"] is None
        assert bid["launch_specification"]["startup_script"] is None
        assert await visitor.get(f"/v2/spot/bids/{bid['fid']}") == bid
        assert (await visitor.get("/v2/spot/bids", name="work"))["data"] == [bid]

    visit(story)


def test_the_key_is_asked_for_everywhere_but_at_the_control_api() -> None:
    async def story(visitor: Visitor) -> None:
        visitor.http.headers.pop("Authorization")
        for path in ("/v2/me", "/v2/spot/bids", "/v2/instances", "/users/user_sam/billing_check"):
            assert await visitor.get(path, 401) == {"detail": "Not authenticated"}
        await visitor.get("/sandbox/state")
        visitor.http.headers["Authorization"] = "Bearer fkey_other"
        assert await visitor.get("/v2/me", 401) == {"detail": "Invalid API key"}

    visit(story)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/spot/bids/bid_none",
        "/v2/spot/bids/bid_none/status",
        "/v2/spot/bids/bid_none/history",
        "/v2/instances/inst_none/status",
        "/v2/kubernetes/clusters/clust_none",
        "/v2/instances?project=proj_none",
        "/v2/pricing/current?instance_type=it_none",
    ],
)
def test_what_is_not_there_is_a_404_with_a_detail(path: str) -> None:
    async def story(visitor: Visitor) -> None:
        answer = await visitor.http.get(path)
        assert answer.status_code == 404
        assert answer.json()["detail"].endswith("not found")

    visit(story)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/v2/instances", ["query", "project"]),
        ("/v2/instances?project=proj_demo&status_in=STATUS_RUNNING,STATUS_SCHEDULED", ["query", "status_in", 1]),
        ("/v2/instances?project=proj_demo&order_type_in=Bids", ["query", "order_type_in", 0]),
        ("/v2/spot/bids?limit=0", ["query", "limit"]),
        ("/v2/spot/bids?limit=101", ["query", "limit"]),
        ("/v2/spot/bids?status=Running", ["query", "status"]),
        ("/v2/spot/bids?status=Open,Paused", ["query", "status"]),
        ("/v2/spot/bids?sort_by=name", ["query", "sort_by"]),
        ("/v2/spot/bids?next_cursor=nonsense", ["query", "next_cursor"]),
        ("/v2/pricing/history?num_samples=1001", ["query", "num_samples"]),
    ],
)
def test_what_cannot_be_read_is_a_422_that_says_where(path: str, where: list[str | int]) -> None:
    async def story(visitor: Visitor) -> None:
        answer = await visitor.http.get(path)
        assert answer.status_code == 422
        (problem,) = answer.json()["detail"]
        assert problem["loc"] == where
        assert problem["msg"]
        assert problem["type"]

    visit(story)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"limit_price": "$NaN"}, 422),
        ({"limit_price": "$inf"}, 422),
        ({"limit_price": "8.00"}, 422),
        ({"limit_price": "$0.00"}, 422),
        ({"instance_quantity": 0}, 422),
        ({"instance_quantity": -2}, 422),
        ({"launch_specification": {"volumes": []}}, 422),
        ({"instance_quantity": 65}, 400),
        ({"project": "proj_none"}, 404),
        ({"region": "mars-1"}, 404),
        ({"instance_type": "it_none"}, 404),
        ({"instance_type": "it_h200use1a03"}, 400),
        ({"launch_specification": {"volumes": [], "ssh_keys": ["sshkey_research"]}}, 404),
        ({"launch_specification": {"volumes": ["vol_scratch"], "ssh_keys": []}}, 404),
        ({"launch_specification": {"volumes": [], "ssh_keys": [], "kubernetes_cluster": "clust_old"}}, 409),
        ({"launch_specification": {"volumes": [], "ssh_keys": [], "kubernetes_cluster": "clust_x"}}, 404),
        ({"launch_specification": {"volumes": [], "ssh_keys": [], "kubernetes_cluster": "clust_train"}}, 400),
    ],
)
def test_a_bid_that_the_marketplace_does_not_take(changes: dict[str, Any], status: int) -> None:
    async def story(visitor: Visitor) -> None:
        assert (await visitor.place("work", status, **changes))["detail"]
        assert (await visitor.get("/v2/spot/bids"))["data"] == []

    visit(story)


def test_a_name_stays_taken_for_good_in_its_project() -> None:
    async def story(visitor: Visitor) -> None:
        bid = await visitor.place("work")
        await visitor.delete(f"/v2/spot/bids/{bid['fid']}")
        await visitor.place("work", 400)
        await visitor.place("work", project="proj_research", launch_specification={"volumes": [], "ssh_keys": []})

    visit(story)


def test_every_filter_and_both_directions() -> None:
    async def story(visitor: Visitor) -> None:
        for number in range(5):
            await visitor.place(f"work{number}")
        bids = await visitor.pages("/v2/spot/bids", sort_dir="asc", limit=2)
        assert [bid["name"] for bid in bids] == [f"work{number}" for number in range(5)]
        assert await visitor.pages("/v2/spot/bids", limit=2) == bids[::-1]
        await visitor.patch(f"/v2/spot/bids/{bids[3]['fid']}", {"paused": True})
        await visitor.delete(f"/v2/spot/bids/{bids[1]['fid']}")

        async def names(**query: str) -> list[str]:
            return [bid["name"] for bid in await visitor.pages("/v2/spot/bids", **query, limit=1)]

        assert await names(status="Open") == ["work4", "work2", "work0"]
        assert await names(status="Paused", project=PROJECT) == ["work3"]
        assert await names(status="Terminated", project="proj_research") == []
        assert await names(project="proj_research") == []
        assert await names(name="work2", project=PROJECT) == ["work2"]
        assert await names(name="work2", status="Paused") == []
        assert await names(region="us-east1-a") == []
        assert await names(instance_type="it_h100usc1a04", sort_by="status", sort_dir="asc") == [
            "work0", "work2", "work4", "work3", "work1",
        ]  # fmt: skip

    visit(story)


@pytest.mark.parametrize("quoted", [False, True])
def test_pages_hold_still_while_the_listing_moves(quoted: bool) -> None:
    async def story(visitor: Visitor) -> None:
        placed = [(await visitor.place(f"work{number:02}"))["fid"] for number in range(12)]
        first = await visitor.get("/v2/spot/bids", status="Open", limit=5)
        seen = [bid["fid"] for bid in first["data"]]
        cursor = first["next_cursor"]
        while cursor is not None:
            await visitor.place(f"late-{len(seen)}")
            await visitor.delete(f"/v2/spot/bids/{seen[-1]}")
            cursor = json.dumps(cursor) if quoted else cursor
            answer = await visitor.get("/v2/spot/bids", status="Open", limit=5, next_cursor=cursor)
            seen += [bid["fid"] for bid in answer["data"]]
            cursor = answer["next_cursor"]
        assert seen == placed[::-1]

    visit(story)


def test_changes_are_in_the_history_in_order() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        path = f"/v2/spot/bids/{fid}"
        await visitor.patch(path, {"limit_price": "$31.50"})
        await visitor.patch(path, {"memory_gb": 512})
        await visitor.patch(path, {"volumes": ["vol_datasets"]}, 409)
        await visitor.patch(path, {"paused": True, "volumes": ["vol_datasets"]})
        await visitor.patch(path, {"volumes": []})
        await visitor.patch(path, {"paused": False})
        await visitor.force(fid, "preempt")
        await visitor.delete(path)
        await visitor.patch(path, {"paused": True}, 409)
        events = (await visitor.get(f"{path}/history"))["events"]
        assert [event["event_type"] for event in events] == [
            "Placed", "Allocated", "Limit Price Changed", "Memory Adjusted", "Paused", "Volumes Attached",
            "Volumes Removed", "Resumed", "Allocated", "Preempted", "Terminated",
        ]  # fmt: skip
        assert events[2]["limit_price"] == "$31.50"
        assert events[5]["persistent_disk_change"] == {"attached": "vol_datasets", "removed": None}
        times = [event["timestamp"] for event in events]
        assert times == sorted(times)
        bid = await visitor.get(path)
        assert bid["status"] == "Terminated"
        assert bid["deactivated_at"] == times[-1]

    visit(story)


def test_relocating_is_told_by_the_status_alone() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        await visitor.force(fid, "relocate")
        assert (await visitor.get(f"/v2/spot/bids/{fid}"))["status"] == "Allocated"
        status = await visitor.get(f"/v2/spot/bids/{fid}/status")
        assert status == {"bid_fid": fid, "status": "Relocating"}
        await visitor.turn(301)
        assert (await visitor.get(f"/v2/spot/bids/{fid}/status"))["status"] == "Allocated"

    visit(story)
