"""The control API: what is forced happens, and holds until it is released."""

from __future__ import annotations

import asyncio
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.integration.sandbox_server import CAP, PROJECT, REGION, TYPE, Visitor, visit


async def bid_status(visitor: Visitor, fid: str) -> str:
    return str((await visitor.get(f"/v2/spot/bids/{fid}"))["status"])


def test_a_forced_preemption_runs_its_course_and_is_held() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running(quantity=2)
        state = await visitor.force(fid, "preempt")
        assert state["status"] == "Preempting"
        assert state["held"] == "preempted"
        (node, _) = state["instances"]
        status = await visitor.get(f"/v2/instances/{node['fid']}/status")
        assert status["end_time"] == node["end_time"] is not None
        await visitor.post("/sandbox/market", {"paused": False})
        await visitor.turn(310)
        assert await bid_status(visitor, fid) == "Open"
        await visitor.turn(3000)
        assert await bid_status(visitor, fid) == "Open"
        assert await visitor.statuses(fid) == {"STATUS_PREEMPTED"}
        await visitor.force(fid, "release")
        await visitor.turn(300)
        assert await bid_status(visitor, fid) == "Allocated"

    visit(story)


def test_a_forced_reprieve_is_held_against_the_auction() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        await visitor.patch(f"/v2/spot/bids/{fid}", {"limit_price": "$0.01"})
        await visitor.force(fid, "preempt")
        await visitor.turn(100)
        state = await visitor.force(fid, "reprieve")
        assert state["status"] == "Allocated"
        assert [(node["status"], node["end_time"]) for node in state["instances"]] == [("STATUS_RUNNING", None)]
        await visitor.post("/sandbox/market", {"paused": False})
        await visitor.turn(3000)
        assert await bid_status(visitor, fid) == "Allocated"
        await visitor.force(fid, "release")
        await visitor.turn(130)
        assert await bid_status(visitor, fid) in ("Preempting", "Open")

    visit(story)


def test_a_deadline_can_be_moved() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        first = await visitor.force(fid, "preempt", {"notice_seconds": 60})
        second = await visitor.force(fid, "preempt", {"notice_seconds": 200})
        (before,), (after,) = first["instances"], second["instances"]
        assert after["end_time"] > before["end_time"]
        await visitor.turn(100)
        assert await bid_status(visitor, fid) == "Preempting"
        await visitor.turn(100)
        assert await bid_status(visitor, fid) == "Open"

    visit(story)


def test_allocated_again_under_new_fids() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        (old,) = (await visitor.get(f"/v2/spot/bids/{fid}"))["instances"]
        await visitor.force(fid, "preempt", {"notice_seconds": 0})
        await visitor.turn(30)
        await visitor.force(fid, "allocate", {"instances": "replace"})
        (new,) = (await visitor.get(f"/v2/spot/bids/{fid}"))["instances"]
        assert new != old
        listing = (await visitor.get("/v2/instances", project=PROJECT))["data"]
        assert {each["fid"]: each["status"] for each in listing} == {old: "STATUS_REPLACED", new: "STATUS_NEW"}

    visit(story)


@pytest.mark.parametrize(
    ("before", "verb"),
    [
        (None, "preempt"), (None, "reprieve"), (None, "relocate"), ("allocate", "reprieve"),
        ("pause", "preempt"), ("terminate", "allocate"), ("terminate", "terminate"),
    ],
)  # fmt: skip
def test_what_cannot_be_forced_is_refused_and_changes_nothing(before: str | None, verb: str) -> None:
    async def story(visitor: Visitor) -> None:
        fid = (await visitor.place("work"))["fid"]
        if before is not None:
            await visitor.force(fid, before)
        bid = await visitor.get(f"/v2/spot/bids/{fid}")
        assert (await visitor.force(fid, verb, status=409))["detail"].startswith(f"Cannot {verb}")
        assert await visitor.get(f"/v2/spot/bids/{fid}") == bid
        await visitor.force(fid, "explode", status=422)
        await visitor.force("bid_none", verb, status=404)

    visit(story)


def test_a_bid_can_be_named_by_its_name() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running("work")
        assert (await visitor.force("work", "pause"))["fid"] == fid
        await visitor.turn(30)
        assert await visitor.statuses(fid) == {"STATUS_PAUSED"}
        assert (await visitor.force("work", "terminate"))["status"] == "Terminated"

    visit(story)


def test_the_timeline_is_what_the_histories_say() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running("work", 2)
        await visitor.patch(f"/v2/spot/bids/{fid}", {"limit_price": "$31.00"})
        await visitor.force(fid, "preempt")
        await visitor.turn(100)
        await visitor.force(fid, "reprieve")
        await visitor.force(fid, "relocate")
        await visitor.turn(600)
        await visitor.force(fid, "pause")
        await visitor.turn(60)
        await visitor.delete(f"/v2/spot/bids/{fid}")

        steps = (await visitor.get("/sandbox/timeline"))["steps"]
        assert [step["seq"] for step in steps] == list(range(1, len(steps) + 1))
        assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
        ours = [step for step in steps if step["bid"] == fid]
        assert {step["project"] for step in ours} == {PROJECT}

        history = await visitor.get("/v2/instances/status/history", project=PROJECT, bid_fid=fid)
        assert len(history["instances"]) == 2
        for instance in history["instances"]:
            mine = [step for step in ours if step["subject"] == instance["instance_fid"]]
            assert [(step["at"], step["to"]) for step in mine] == [
                (event["timestamp"], event["status"]) for event in instance["events"]
            ]
            assert mine[0]["from"] is None
            assert [step["from"] for step in mine[1:]] == [step["to"] for step in mine[:-1]]

        words = {"Placed": "Open", "Preempted": "Preempting"}
        told = [
            (event["timestamp"], event["limit_price"] or words.get(event["event_type"], event["event_type"]))
            for event in (await visitor.get(f"/v2/spot/bids/{fid}/history"))["events"]
            if event["event_type"] != "Placed"
        ]
        about = [step for step in ours if step["kind"] == "bid" and step["from"] is not None]
        assert [(step["at"], step["to"]) for step in about] == told
        assert [(step["from"], step["to"]) for step in about if step["aspect"] == "limit_price"] == [
            ("$30.00", "$31.00")
        ]

        later = await visitor.get("/sandbox/timeline", after=ours[-1]["seq"] - 1, limit=1)
        assert later["steps"] == [ours[-1]]
        assert (await visitor.get("/sandbox/timeline", after=later["newest"]))["steps"] == []

    visit(story)


def test_an_advanced_clock_shows_in_every_time() -> None:
    async def story(visitor: Visitor) -> None:
        await visitor.place("before")
        clock = await visitor.post("/sandbox/clock", {"advance_seconds": 86_400})
        assert clock["advanced_seconds"] == 86_400
        one, two = (await visitor.get("/v2/spot/bids", name="before"))["data"], await visitor.place("after")
        created = [datetime.fromisoformat(each["created_at"]) for each in (*one, two)]
        assert (created[1] - created[0]).total_seconds() >= 86_400
        answer = await visitor.http.get("/v2/me")
        (date,) = answer.headers.get_list("date")
        assert abs((parsedate_to_datetime(date) - created[1]).total_seconds()) < 60
        await visitor.post("/sandbox/clock", {}, 422)
        await visitor.post("/sandbox/clock", {"speed": 0}, 422)
        await visitor.post("/sandbox/clock", {"advance_seconds": -1}, 422)

    visit(story)


def test_the_market_moves_by_itself_while_nobody_asks() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        await visitor.force(fid, "preempt")
        await visitor.post("/sandbox/clock", {"speed": 10_000})
        registry = visitor.sandbox.market.registry
        async with asyncio.timeout(CAP):
            while registry.bid_by_fid[fid].status != "Open":  # noqa: ASYNC110  # asking would step it ourselves
                await asyncio.sleep(0.01)

    visit(story)


def test_a_fleet_at_once() -> None:
    async def story(visitor: Visitor) -> None:
        body = {"bids": 30, "instances_per_bid": 4, "terminated_bids": 250}
        made = await visitor.post("/sandbox/fleet", body, 201)
        assert len(made["bids"]) == 30
        assert len(await visitor.pages("/v2/spot/bids")) == 280
        allocated = await visitor.pages("/v2/spot/bids", status="Allocated", limit=7)
        assert {bid["fid"] for bid in allocated} == set(made["bids"])
        instances = await visitor.pages("/v2/instances", project=PROJECT, status_in="STATUS_RUNNING")
        assert len({each["fid"] for each in instances}) == 120
        again = await visitor.post("/sandbox/fleet", {"bids": 1}, 201)
        assert (await visitor.force(again["bids"][0], "preempt"))["status"] == "Preempting"

    visit(story)


def test_requests_are_counted_and_forgotten_on_demand() -> None:
    async def story(visitor: Visitor) -> None:
        await visitor.get("/v2/spot/bids", limit=3)
        await visitor.get("/v2/spot/bids/bid_none", 404)
        await visitor.get("/v2/spot/bids")
        report = await visitor.get("/sandbox/requests")
        assert report["total"] == 3
        assert report["by_path"] == {"GET /v2/spot/bids": 2, "GET /v2/spot/bids/bid_none": 1}
        asked: list[Any] = [(each["query"], each["status"]) for each in report["last"]]
        assert asked == [("limit=3", 200), ("", 404), ("", 200)]
        await visitor.delete("/sandbox/requests")
        assert (await visitor.get("/sandbox/requests"))["total"] == 0

    visit(story)


def test_the_whole_state_in_one_look() -> None:
    async def story(visitor: Visitor) -> None:
        state = await visitor.get("/sandbox/state")
        assert {bid["name"] for bid in state["bids"]} >= {"train", "eval", "notebook"}
        assert state["ended_bids"] == 2
        assert state["market"]["paused"] is True
        assert len(state["auctions"]) == len(await visitor.get("/v2/spot/availability"))

    visit(story, demo=True)


def test_a_price_is_set_by_type_and_region() -> None:
    async def story(visitor: Visitor) -> None:
        h100 = {"instance_type": "h100-80gb.sxm.8x"}
        markets = await visitor.post("/sandbox/prices", h100 | {"spot_price": "$44.00"})
        assert {market["region"] for market in markets} == {"us-central1-a", "eu-central1-a"}
        assert {(market["spot_price"], market["forced"]) for market in markets} == {("$44.00", True)}
        one = {"instance_type": TYPE, "region": REGION, "spot_price": None}
        (given_back,) = await visitor.post("/sandbox/prices", one)
        assert not given_back["forced"]
        prices = {
            market["region"]: market["last_instance_price"]
            for market in await visitor.get("/v2/spot/availability")
            if market["instance_type"] in (TYPE, "it_h100euc1a05")
        }
        assert prices["eu-central1-a"] == "$44.00" != prices[REGION]
        await visitor.post("/sandbox/prices", one | {"spot_price": "$0.01"}, 409)
        await visitor.post("/sandbox/prices", one | {"spot_price": "NaN"}, 422)
        await visitor.post("/sandbox/prices", one | {"region": "mars-central1-a"}, 404)

    visit(story)
