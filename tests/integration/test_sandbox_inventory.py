"""Instances, prices, clusters and the account over HTTP."""

from __future__ import annotations

import json

from tests.integration.sandbox_server import PROJECT, REGION, TYPE, Visitor, visit


def test_instances_are_listed_once_allocated_and_reachable_once_they_run() -> None:
    async def story(visitor: Visitor) -> None:
        fid = (await visitor.place("work", instance_quantity=2))["fid"]
        assert (await visitor.get("/v2/instances", project=PROJECT))["data"] == []
        await visitor.force(fid, "allocate")
        new = (await visitor.get("/v2/instances", project=PROJECT))["data"]
        assert {each["status"] for each in new} == {"STATUS_NEW"}
        assert {each["ssh_destination"] for each in new} == {each["private_ip"] for each in new} == {None}
        await visitor.turn(600)
        ready = (await visitor.get("/v2/instances", project=PROJECT))["data"]
        assert {each["status"] for each in ready} == {"STATUS_RUNNING"}
        assert {each["bid"] for each in ready} == {fid}
        assert all(each["ssh_destination"].startswith("203.0.113.") for each in ready)
        assert {each["fid"] for each in ready} == set((await visitor.get(f"/v2/spot/bids/{fid}"))["instances"])

    visit(story)


def test_the_address_given_is_the_address_shown() -> None:
    async def story(visitor: Visitor) -> None:
        await visitor.running()
        (instance,) = (await visitor.get("/v2/instances", project=PROJECT))["data"]
        assert instance["ssh_destination"] == "127.0.0.1:2222"

    visit(story, ssh="127.0.0.1:2222")


def test_instances_by_status_bid_and_order_in_pages() -> None:
    async def story(visitor: Visitor) -> None:
        one, two = await visitor.running("one", 3), await visitor.running("two", 3)
        await visitor.force(one, "preempt")

        async def bids(**query: str) -> list[str]:
            listing = await visitor.pages("/v2/instances", project=PROJECT, limit=2, **query)
            return [each["bid"] for each in listing]

        assert await bids() == [two] * 3 + [one] * 3
        assert await bids(sort_dir="asc") == [one] * 3 + [two] * 3
        assert await bids(status_in="STATUS_PREEMPTING") == [one] * 3
        assert await bids(status_in="STATUS_PREEMPTING,STATUS_RUNNING") == [two] * 3 + [one] * 3
        assert await bids(bid_fid_in=two) == [two] * 3
        assert await bids(bid_fid_in=f"{one},{two}", status_in="STATUS_RUNNING") == [two] * 3
        assert await bids(sort_by="instance_status", sort_dir="desc") == [two] * 3 + [one] * 3
        assert await bids(order_type_in="Reservation") == []
        assert await bids(order_type_in="Bid,Reservation") == [two] * 3 + [one] * 3

    visit(story)


def test_a_status_outside_the_description_is_shown_and_hidden_from_filters() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        (instance,) = (await visitor.get(f"/v2/spot/bids/{fid}"))["instances"]
        await visitor.post(f"/sandbox/instances/{instance}/status", {"status": "STATUS_MAROONED"})
        assert await visitor.statuses(fid) == {"STATUS_MAROONED"}
        history = await visitor.get("/v2/instances/status/history", project=PROJECT, instance_fid=instance)
        assert history["instances"][0]["events"][-1]["status"] == "STATUS_MAROONED"
        await visitor.get("/v2/instances", 422, project=PROJECT, status_in="STATUS_MAROONED")

    visit(story)


def test_the_status_history_by_instance_bid_and_time_in_pages() -> None:
    async def story(visitor: Visitor) -> None:
        one, two = await visitor.running("one", 2), await visitor.running("two")
        (single,) = (await visitor.get(f"/v2/spot/bids/{two}"))["instances"]
        path = "/v2/instances/status/history"
        first = await visitor.get(path, project=PROJECT, limit=2)
        assert [each["bid_fid"] for each in first["instances"]] == [one, one]
        rest = await visitor.get(path, project=PROJECT, limit=2, next_cursor=json.dumps(first["next_cursor"]))
        assert [each["instance_fid"] for each in rest["instances"]] == [single]
        assert rest["next_cursor"] is None
        assert len((await visitor.get(path, project=PROJECT, bid_fid=one))["instances"]) == 2
        (whole,) = (await visitor.get(path, project=PROJECT, instance_fid=single))["instances"]
        last = whole["events"][-1]
        assert last["status"] == "STATUS_RUNNING"
        (late,) = (await visitor.get(path, project=PROJECT, instance_fid=single, start_time=last["timestamp"]))[
            "instances"
        ]
        assert late["events"] == [last]

    visit(story)


def test_what_an_instance_cost_joins_up_and_ends_with_it() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        price = (await visitor.get("/v2/pricing/current", instance_type=TYPE, region=REGION))["spot_price_cents"]
        await visitor.post("/sandbox/market", {"paused": False})
        await visitor.turn(1200)
        await visitor.delete(f"/v2/spot/bids/{fid}")
        answer = await visitor.get("/v2/instances/pricing/history", project=PROJECT, bid_fid=fid)
        (history,) = answer["instances"]
        events = history["events"]
        assert events[0]["price_cents"] == price
        assert len(events) > 1
        assert [event["end_time"] for event in events[:-1]] == [event["start_time"] for event in events[1:]]
        assert events[-1]["end_time"] == (await visitor.get(f"/v2/spot/bids/{fid}"))["deactivated_at"]

    visit(story)


def test_a_replaced_instance_costs_nothing_after_its_stop() -> None:
    async def story(visitor: Visitor) -> None:
        fid = await visitor.running()
        (old,) = (await visitor.get(f"/v2/spot/bids/{fid}"))["instances"]
        await visitor.force(fid, "preempt")
        await visitor.turn(400)
        await visitor.force(fid, "allocate", {"instances": "replace"})
        (new,) = (await visitor.get(f"/v2/spot/bids/{fid}"))["instances"]
        path = "/v2/instances/pricing/history"
        paid = {
            each["instance_fid"]: [(event["start_time"], event["end_time"]) for event in each["events"]]
            for each in (await visitor.get(path, project=PROJECT, bid_fid=fid))["instances"]
        }
        ((_, stopped),) = paid[old]
        ((started, still),) = paid[new]
        assert stopped < started
        assert still is None

    visit(story)


def test_prices_of_the_past() -> None:
    async def story(visitor: Visitor) -> None:
        path = "/v2/pricing/history"
        (series,) = (await visitor.get(path, instance_types=TYPE, num_samples=5))["series"]
        assert series["region"] == REGION
        assert len(series["timestamps"]) == len(series["spot_prices"]) == len(series["reserved_prices"]) == 5
        (whole,) = (await visitor.get(path, instance_types=TYPE, num_samples=-1))["series"]
        assert len(whole["timestamps"]) > 5
        assert whole["timestamps"] == sorted(whole["timestamps"])
        assert whole["timestamps"][-1] == series["timestamps"][-1]
        (auction,) = [each for each in await visitor.get("/v2/spot/availability") if each["instance_type"] == TYPE]
        assert auction["last_instance_price"] == whole["spot_prices"][-1]

    visit(story)


def test_one_type_name_has_different_fids_and_one_fid_two_regions() -> None:
    async def story(visitor: Visitor) -> None:
        types = await visitor.get("/v2/instance-types")
        assert len({each["name"] for each in types}) < len({each["fid"] for each in types}) == len(types)
        auctions = await visitor.get("/v2/spot/availability")
        keys = {(each["region"], each["instance_type"]) for each in auctions}
        assert len({kind for _, kind in keys}) < len(keys) == len(auctions)

    visit(story)


def test_reserved_instances_start_and_pause_and_spot_ones_do_not() -> None:
    async def story(visitor: Visitor) -> None:
        spot = await visitor.running()
        (node,) = (await visitor.get(f"/v2/spot/bids/{spot}"))["instances"]
        await visitor.patch("/v2/instances", {"instances": [node], "status": "STATUS_PAUSED"}, 501)
        await visitor.patch("/v2/instances", {"instances": [node], "status": "STATUS_ERROR"}, 422)
        (reserved,) = (await visitor.get("/v2/instances", project="proj_research"))["data"]
        assert reserved["bid"] is None
        assert reserved["reservation"]
        pause = {"instances": [reserved["fid"]], "status": "STATUS_PAUSED"}
        stopping = {"instances": {reserved["fid"]: "STATUS_STOPPING"}}
        assert await visitor.patch("/v2/instances", pause) == stopping
        assert await visitor.patch("/v2/instances", pause) == stopping, "what cannot be paused is left as it is"
        await visitor.patch("/v2/instances", {"instances": [reserved["fid"]], "status": "STATUS_RUNNING"}, 409)
        await visitor.turn(60)
        start = {"instances": [reserved["fid"]], "status": "STATUS_RUNNING"}
        started = await visitor.patch("/v2/instances", start)
        assert started == {"instances": {reserved["fid"]: "STATUS_CONFIRMED"}}
        await visitor.turn(180)
        status = await visitor.get(f"/v2/instances/{reserved['fid']}/status")
        assert status["status"] == "STATUS_RUNNING"

    visit(story, demo=True)


def test_clusters_in_every_status_and_their_instances() -> None:
    async def story(visitor: Visitor) -> None:
        clusters = await visitor.get("/v2/kubernetes/clusters", project=PROJECT)
        assert {each["status"] for each in clusters} == {"Available", "Pending", "Terminated"}
        assert all((each["kube_host"] is None) == (each["status"] != "Available") for each in clusters)
        launch = {"volumes": [], "ssh_keys": [], "kubernetes_cluster": "clust_eval"}
        bid = await visitor.place("node", launch_specification=launch)
        await visitor.force(bid["fid"], "allocate")
        cluster = await visitor.get("/v2/kubernetes/clusters/clust_eval")
        assert cluster["instances"] == (await visitor.get(f"/v2/spot/bids/{bid['fid']}"))["instances"] != []
        await visitor.turn(1800)
        assert (await visitor.get("/v2/kubernetes/clusters/clust_fresh"))["status"] == "Available"

    visit(story)


def test_the_account() -> None:
    async def story(visitor: Visitor) -> None:
        me = await visitor.get("/v2/me")
        assert me["fid"] in {each["fid"] for each in await visitor.get("/v2/me/teammates")}
        assert [each["name"] for each in await visitor.get("/v2/projects")] == ["demo", "research"]
        assert await visitor.get(f"/users/{me['id']}/billing_check") == {"code": "ok", "message": ""}
        assert True in {each["required"] for each in await visitor.get("/v2/ssh-keys", project=PROJECT)}
        await visitor.running(quantity=3)
        used = {
            each["instance_type"]: each["used_quantity"] for each in await visitor.get("/v2/quotas", project=PROJECT)
        }
        assert used[TYPE] == sum(used.values()) == 3
        assert [each["name"] for each in await visitor.get("/v2/volumes", project=PROJECT)] == ["datasets"]

    visit(story)
