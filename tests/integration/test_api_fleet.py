"""Bids, instances and histories as the API shows them, and its words for what it cannot show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mithrild.fleet.model import InstanceType, Member, Project
from mithrild.store.inventory import keep_members, keep_prices, keep_projects, keep_types
from mithrild.wire import BID_STATES
from tests.integration.api_on_socket import Api, on_socket
from tests.integration.store_builders import (
    PREEMPTING,
    PROJECT,
    RUNNING,
    TERMINATED,
    a_bid,
    an_auction,
    an_instance,
    at,
    keep,
    poll,
)

FRESHNESS = {"as_of", "age_seconds", "stale", "reason", "warning", "interval_seconds"}
OTHER = Project("proj_other", "other")


def names(answer: Any) -> list[str]:
    return [bid["fid"] for bid in answer["bids"]]


def test_bid_is_shown_with_all_its_keys(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep_types(api.database, [InstanceType("it_h100", "h100-80gb.sxm.8x", 8, "H100", 80, 2000)])
        keep_members(api.database, [Member("user_1", "Ada")])
        keep_prices(api.database, [an_auction()], at(0))
        bid = a_bid(name="train", instance_quantity=2, instances=("inst_1", "inst_2"), kubernetes_cluster="clus_1")
        machine = an_instance(
            name="train-0", created_at=at(-3001), ssh_destination="ubuntu@203.0.113.7", private_ip="10.0.0.7"
        )
        keep(api.database, poll(0, bid, machine, an_instance("inst_2")))
        noticed = an_instance("inst_2", PREEMPTING)
        keep(api.database, poll(60, bid, machine, noticed, deadlines={"inst_2": at(240)}))
        answer = await api.get("/bids")
        assert set(answer) == {"freshness", "bids"}
        assert set(answer["freshness"]) == FRESHNESS
        (shown,) = answer["bids"]
        second = shown["instance_details"].pop()
        first = shown["instance_details"].pop()
        assert shown == {
            "fid": "bid_1",
            "name": "train",
            "project": PROJECT.fid,
            "project_name": PROJECT.name,
            "status": "Allocated",
            "state": "preempting",
            "instance_type": "it_h100",
            "instance_type_name": "h100-80gb.sxm.8x",
            "region": "us-central1-b",
            "limit_price": "$8.00",
            "limit_price_cents": 800,
            "spot_price": "$6.20",
            "spot_price_cents": 620,
            "instance_quantity": 2,
            "instances": ["inst_1", "inst_2"],
            "instances_running": 1,
            "instances_wanted": 2,
            "created_at": "2026-11-23T11:00:00Z",
            "created_by": "user_1",
            "created_by_name": "Ada",
            "deactivated_at": None,
            "kubernetes_cluster": "clus_1",
            "since": "2026-11-23T12:00:01Z",
            "deadline": None,
            "deadline_estimated": False,
            "gone": False,
            "recorded": True,
            "instance_details": [],
        }
        assert first == {
            "fid": "inst_1",
            "name": "train-0",
            "bid": "bid_1",
            "project": PROJECT.fid,
            "status": RUNNING,
            "state": "running",
            "since": "2026-11-23T12:00:01Z",
            "region": "us-central1-b",
            "instance_type": "it_h100",
            "instance_type_name": "h100-80gb.sxm.8x",
            "created_at": "2026-11-23T11:09:59Z",
            "created_by": "user_1",
            "private_ip": "10.0.0.7",
            "ssh_destination": "ubuntu@203.0.113.7",
            "deadline": None,
            "deadline_estimated": False,
            "gone": False,
        }
        assert (second["state"], second["deadline"], second["since"]) == (
            "preempting",
            "2026-11-23T12:04:00Z",
            "2026-11-23T12:01:01Z",
        )

    on_socket(tmp_path, test)


def test_what_is_not_known_is_null_or_the_fid(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid(status="Open", region=None)))
        (shown,) = (await api.get("/bids"))["bids"]
        assert (shown["instance_type_name"], shown["region"]) == ("it_h100", None)
        assert (shown["spot_price"], shown["spot_price_cents"], shown["created_by_name"]) == (None, None, None)
        assert shown["instance_details"] == shown["instances"] == []

    on_socket(tmp_path, test)


def fill(api: Api) -> None:
    """Bids in five statuses and two projects; of the allocated ones bid_4 is the newest and bid_5 the oldest."""
    keep_projects(api.database, [PROJECT, OTHER])
    statuses = ["Terminated", "Paused", "Preempting", "Open", "Allocated", "Allocated", "Allocated"]
    ages = [60, 60, 60, 60, 60, 180, 120]
    bids = [
        a_bid(f"bid_{n}", status, created_at=at(-age))
        for n, (status, age) in enumerate(zip(statuses, ages, strict=True))
    ]
    keep(api.database, poll(0, *bids, an_instance("inst_4", bid="bid_4"), an_instance("inst_t", TERMINATED, "bid_4")))
    keep(api.database, poll(0, a_bid("bid_o", "Open", name="name-of-bid_3", project=OTHER.fid), project=OTHER.fid))


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, ["bid_4", "bid_6", "bid_5", "bid_3", "bid_2", "bid_1"]),
        ({"all": "1"}, ["bid_4", "bid_6", "bid_5", "bid_3", "bid_2", "bid_1", "bid_0"]),
        ({"limit": "2"}, ["bid_4", "bid_6"]),
        ({"limit": "2", "state": "pending"}, ["bid_6", "bid_5"]),
        ({"project": PROJECT.name}, ["bid_4", "bid_6", "bid_5", "bid_3", "bid_2", "bid_1"]),
        ({"project": OTHER.fid, "all": "1"}, ["bid_o"]),
        ({"all_projects": "1"}, ["bid_4", "bid_6", "bid_5", "bid_3", "bid_o", "bid_2", "bid_1"]),
        ({"state": "running"}, ["bid_4"]),
        ({"state": "open", "all_projects": "1"}, ["bid_3", "bid_o"]),
        ({"state": "allocated"}, ["bid_4", "bid_6", "bid_5"]),
        ({"state": "preempting"}, ["bid_2"]),
        ({"state": "paused"}, ["bid_1"]),
        ({"state": "terminated"}, ["bid_0"]),
        ({"state": "completed"}, ["bid_0"]),
        ({"state": "cancelled"}, ["bid_0"]),
        ({"state": "failed"}, []),
        ({"state": ""}, ["bid_4", "bid_6", "bid_5", "bid_3", "bid_2", "bid_1"]),
    ],
)
def test_listing_is_sorted_and_filtered(tmp_path: Path, asked: dict[str, str], shown: list[str]) -> None:
    async def test(api: Api) -> None:
        fill(api)
        assert names(await api.get("/bids", **asked)) == shown

    on_socket(tmp_path, test)


def test_listing_without_details_leaves_out_the_machines_only(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        (whole,), (lean,) = [(await api.get("/bids", state="running", details=n))["bids"] for n in (1, 0)]
        assert [one["fid"] for one in whole.pop("instance_details")] == ["inst_4"]
        assert lean == whole

    on_socket(tmp_path, test)


def test_project_is_the_configured_one_where_none_is_named(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        api.config = replace(api.config, project=None, projects=(OTHER.name, PROJECT.name))
        assert names(await api.get("/bids")) == ["bid_o"]
        api.config = replace(api.config, project=PROJECT.fid)
        assert "bid_o" not in names(await api.get("/bids"))

    on_socket(tmp_path, test)


def test_ended_machines_are_shown_when_all_are_asked_for(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        for asked, fids in ({}, ["inst_4"]), ({"all": "1"}, ["inst_4", "inst_t"]):
            bid = (await api.get("/bids/bid_4", **asked))["bid"]
            assert [one["fid"] for one in bid["instance_details"]] == fids
            answer = await api.get("/instances", **asked)
            assert set(answer) == {"freshness", "instances"}
            assert [(one["fid"], one["bid_name"]) for one in answer["instances"]] == [
                (fid, "name-of-bid_4") for fid in fids
            ]
        assert (await api.get("/instances", project=OTHER.name))["instances"] == []

    on_socket(tmp_path, test)


@pytest.mark.parametrize("state", ["Running", "runing", "x" * 1000, "a\nb"])
def test_unknown_state_is_answered_with_the_list_of_states(tmp_path: Path, state: str) -> None:
    async def test(api: Api) -> None:
        status, error = await api.refused("/bids", state=state)
        assert (status, error["code"]) == (400, "bad_request")
        for known in (*BID_STATES, "open", "completed", "cancelled"):
            assert known in error["message"]
        assert len(error["message"]) < 300

    on_socket(tmp_path, test)


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "many", "٣", "9" * 5000])
@pytest.mark.parametrize("path", ["/bids", "/events", "/deliveries"])
def test_limit_that_is_no_whole_number_is_refused(tmp_path: Path, path: str, limit: str) -> None:
    async def test(api: Api) -> None:
        status, error = await api.refused(path, limit=limit)
        assert (status, error["code"]) == (400, "bad_request")
        assert "limit must be a whole number from 1 to" in error["message"]

    on_socket(tmp_path, test)


@pytest.mark.parametrize("path", ["/bids", "/instances", "/bids/bid_1", "/bids/bid_1/history"])
def test_project_that_is_not_watched_is_named_with_those_that_are(tmp_path: Path, path: str) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        status, error = await api.refused(path, project="nowhere")
        assert (status, error["code"]) == (404, "not_found")
        assert "'nowhere' is not watched" in error["message"]
        assert "demo (proj_demo)" in error["message"]

    on_socket(tmp_path, test)


def test_name_of_several_living_bids_is_ambiguous(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        status, error = await api.refused("/bids/name-of-bid_3", all_projects=1)
        assert (status, error["code"]) == (409, "ambiguous")
        assert error["choices"] == [
            {"fid": "bid_3", "project": PROJECT.fid},
            {"fid": "bid_o", "project": OTHER.fid},
        ]
        for fid in ("bid_3", "bid_o"):
            assert fid in error["message"]
        assert (await api.get("/bids/name-of-bid_3", project=OTHER.name))["bid"]["fid"] == "bid_o"
        assert (await api.get("/bids/name-of-bid_3"))["bid"]["fid"] == "bid_3"

    on_socket(tmp_path, test)
