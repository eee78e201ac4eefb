"""What the client asks a real server on loopback, how it turns the pages, and what the answers become."""

from __future__ import annotations

import pytest

from mithrild.errors import BrokenAnswer, KeyRefused, NotFound, Unreachable
from mithrild.fleet.model import Account, Instance, InstanceStatus, InstanceType, Member, Project
from mithrild.marketplace.client import Marketplace
from tests.integration.marketplace_server import CREATED, KEY, NOON, Reply, Request, ask, bid, page

# What is asked, and what it becomes


def test_the_inventory() -> None:
    def answer(request: Request) -> Reply:
        return Reply(
            {
                "/v2/me": {"id": "1", "fid": "user_1", "email": "a@b.c", "organization_id": "org_1"},
                "/v2/projects": [{"fid": "proj_1", "name": "one", "created_at": CREATED}, {"name": "no fid"}],
                "/v2/instance-types": [
                    {"fid": "it_1", "name": "h100", "num_gpus": 8, "gpu_type": "H100", "gpu_memory_gb": 80, "ram_gb": 9}
                ],
                "/v2/me/teammates": [{"id": "1", "fid": "user_1", "user_name": None, "email": "a@b.c"}],
            }[request.path]
        )

    async def question(client: Marketplace) -> tuple[object, ...]:
        return await client.me(), await client.projects(), await client.instance_types(), await client.teammates()

    assert ask(answer, question) == (
        Account("org_1", "user_1", "a@b.c"),
        (Project("proj_1", "one"),),
        (InstanceType("it_1", "h100", 8, "H100", 80, 9),),
        (Member("user_1", "a@b.c"),),
    )


def test_instances_with_every_filter() -> None:
    asked: list[Request] = []
    row = {
        "fid": "inst_1",
        "status": "STATUS_RUNNING",
        "created_at": CREATED,
        "ssh_destination": "h:22",
        "bid": "bid_1",
    }
    listing = ask(
        [page(row)],
        lambda client: client.instances(
            "proj_1", statuses=["STATUS_RUNNING", "STATUS_ERROR"], bids=["bid_1", "bid_2"], order_types=["Bid"]
        ),
        asked=asked,
    )
    assert [seen.value for seen in listing.items] == [
        Instance("inst_1", "proj_1", "", "STATUS_RUNNING", "bid_1", "", None, NOON, "", None, "h:22")
    ]
    assert asked[0].path == "/v2/instances"
    assert asked[0].query == {
        "project": "proj_1",
        "status_in": "STATUS_RUNNING,STATUS_ERROR",
        "bid_fid_in": "bid_1,bid_2",
        "order_type_in": "Bid",
        "limit": "100",
        "sort_by": "created_at",
        "sort_dir": "asc",
    }
    assert asked[0].headers["authorization"] == f"bearer {KEY}"


def test_single_things_have_paths_of_their_own() -> None:
    asked: list[Request] = []
    raw = {"fid": "a/b?c", "status": "x", "created_at": CREATED, "project": "proj_1", "end_time": CREATED}

    async def question(client: Marketplace) -> tuple[str, ...]:
        status = await client.instance_status("a/b?c", urgent=True)
        assert status.value == InstanceStatus("a/b?c", "x", NOON)
        answers = (await client.bid("a/b?c"), status, await client.cluster("a/b?c"))
        assert [seen.ticket for seen in answers] == [2, 1, 3]
        return tuple(seen.value.fid for seen in answers)

    assert ask([Reply(raw)] * 3, question, asked=asked) == ("a/b?c",) * 3
    assert [request.path for request in asked] == [
        "/v2/instances/a%2Fb%3Fc/status",
        "/v2/spot/bids/a%2Fb%3Fc",
        "/v2/kubernetes/clusters/a%2Fb%3Fc",
    ]


@pytest.mark.parametrize("fid", ["", ".", ".."])
def test_a_fid_that_would_name_another_path_is_not_asked_for(fid: str) -> None:
    with pytest.raises(NotFound):
        ask([], lambda client: client.bid(fid))


def test_an_answer_about_another_thing_is_broken() -> None:
    raw = bid("bid_2", project="proj_1")
    with pytest.raises(BrokenAnswer, match="asked for bid bid_1, the answer is about bid_2"):
        ask([Reply(raw)], lambda client: client.bid("bid_1"))


def test_clusters_and_auctions_come_on_one_page() -> None:
    cluster = {"fid": "clust_1", "status": "Pending", "created_at": CREATED}
    clusters = ask([Reply([cluster, 5])], lambda client: client.clusters("proj_1"))
    assert [seen.value.project for seen in clusters.items] == ["proj_1"]
    assert clusters.set_aside == ("cluster number 2 of its page: it is not an object; left out",)
    auction = {"region": "r", "instance_type": "it_1", "capacity": 1, "last_instance_price": "$2.00"}
    auctions = ask(
        [Reply([auction, auction | {"region": "s"}, auction | {"capacity": 2}])], lambda client: client.auctions()
    )
    assert [(seen.value.region, seen.value.capacity) for seen in auctions.items] == [("r", 2), ("s", 1)]


def test_a_bad_price_is_set_aside_and_its_bid_kept() -> None:
    listing = ask([page(bid("bid_1", limit_price="$1.005"))], lambda client: client.bids("proj_1", "Open"))
    assert [(seen.value.limit_price, seen.value.limit_price_cents) for seen in listing.items] == [("$1.005", None)]
    assert listing.set_aside == ("bid bid_1: limit_price: '$1.005' is not an exact number of cents",)
    assert listing.broken is None


def test_connections_are_kept_and_cookies_are_not() -> None:
    asked: list[Request] = []
    reply = Reply([], headers={"Set-Cookie": "session=1; Path=/"})

    async def question(client: Marketplace) -> None:
        for _ in range(3):
            await client.projects()

    ask([reply] * 3, question, asked=asked)
    assert [request.connection for request in asked] == [1, 1, 1]
    assert all("cookie" not in request.headers for request in asked)


# Pages


def test_all_pages_with_an_empty_one_and_a_thing_that_moved() -> None:
    asked: list[Request] = []
    cursor = '"a b"&c=/+%é'
    listing = ask(
        [
            page(bid("bid_1"), bid("bid_2"), cursor=cursor),
            page(cursor="two"),
            page(bid("bid_1", status="Allocated"), bid("bid_3")),
        ],
        lambda client: client.bids("proj_1", "Open"),
        asked=asked,
    )
    assert {seen.value.fid: (seen.value.status, seen.ticket) for seen in listing.items} == {
        "bid_1": ("Allocated", 3),
        "bid_2": ("Open", 1),
        "bid_3": ("Open", 3),
    }
    assert listing.broken is None
    assert [request.query.get("next_cursor") for request in asked] == [None, cursor, "two"]
    assert all(request.query["status"] == "Open" for request in asked)


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([page(bid("bid_1"), cursor="")], "an empty cursor"),
        ([page(bid("bid_1"), cursor=7)], "an empty cursor"),
        ([page(bid("bid_1"), cursor="a"), page(cursor="a")], "a repeated cursor"),
        ([page(bid("bid_1"), cursor="a"), page(cursor="b"), page(cursor="a")], "a repeated cursor"),
        ([page(bid("bid_1"), cursor="x" * 70_000)], "does not make an address"),
        ([page(bid("bid_1"), cursor="\ud800")], "does not make an address"),
        ([page(bid("bid_1"), cursor="a"), Reply({})], "no list of bids"),
        ([page(bid("bid_1"), cursor="a"), Reply(b"<html>", 200)], "a web page"),
        ([page(bid("bid_1"), cursor="a"), Reply({"detail": "gone"}, 404)], "gone"),
        ([page(bid("bid_1"), cursor="a"), *[Reply({"detail": "down"}, 503)] * 3], "down"),
        ([page(bid("bid_1"), cursor="a"), page(cursor="b"), page(cursor="c"), page(cursor="d")], "does not end"),
    ],
)
def test_a_listing_that_ends_early_keeps_what_it_has_and_says_why(pages: list[Reply], words: str) -> None:
    asked: list[Request] = []
    listing = ask(pages, lambda client: client.bids("proj_1", "Open"), page_cap=4, asked=asked)
    assert [seen.value.fid for seen in listing.items] == ["bid_1"]
    assert listing.broken is not None
    assert words in listing.broken
    assert len(asked) == len(pages)


def test_the_first_page_must_come() -> None:
    with pytest.raises(BrokenAnswer):
        ask([Reply({})], lambda client: client.bids("proj_1", "Open"))
    with pytest.raises(Unreachable):
        ask([Reply({}, 500)] * 3, lambda client: client.instances("proj_1"))


def test_a_key_refused_between_two_pages_is_raised() -> None:
    with pytest.raises(KeyRefused):
        ask([page(bid("b"), cursor="a"), Reply({"detail": "no"}, 401)], lambda client: client.bids("p", "Open"))


def test_a_long_list_of_bids_is_cut_into_several_requests() -> None:
    wanted = [f"bid_{number:020}" for number in range(1000)]
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        rows = [
            {"fid": fid.replace("bid", "inst"), "status": "s", "created_at": CREATED, "bid": fid}
            for fid in request.query["bid_fid_in"].split(",")
        ]
        return page(*rows)

    listing = ask(answer, lambda client: client.instances("proj_1", bids=wanted), asked=asked)
    assert [seen.value.bid for seen in listing.items] == wanted
    assert len(asked) > 1
    assert max(request.length for request in asked) < 2500


def test_a_later_part_that_fails_breaks_the_listing() -> None:
    wanted = [f"bid_{number:020}" for number in range(200)]
    first = page({"fid": "inst_1", "status": "s", "created_at": CREATED})
    listing = ask([first, Reply({}, 400)], lambda client: client.instances("proj_1", bids=wanted))
    assert len(listing.items) == 1
    assert listing.broken is not None
