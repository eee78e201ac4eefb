"""Bids that the record does not hold, through the API: shown as the marketplace tells them, and never kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mithrild.errors import KeyRefused, MarketplaceError, Unreachable
from mithrild.fleet.model import Bid, Listing, Project, Seen
from mithrild.store import read
from mithrild.store.inventory import keep_projects
from tests.integration.api_on_socket import Api, on_socket
from tests.integration.store_builders import CAP, PROJECT, RUNNING, TERMINATED, a_bid, an_instance, at, keep, poll

OTHER = Project("proj_other", "other")


def ended(fid: str, created: float = -9000, **rest: Any) -> Bid:
    return a_bid(fid, "Terminated", created_at=at(created), deactivated_at=at(created + 60), **rest)


def told(*bids: Bid, broken: str | None = None) -> Listing[Bid]:
    return Listing(tuple(Seen(bid, 1) for bid in bids), broken=broken)


def fill(api: Api) -> None:
    keep_projects(api.database, [PROJECT, OTHER])
    keep(api.database, poll(0, a_bid("bid_live"), ended("bid_held", -5000)))


def test_what_has_ended_earlier_stands_among_the_ended_ones_and_says_that_it_is_not_on_record(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        api.archive.ended.return_value = told(ended("bid_new", -4000), ended("bid_held", -5000), ended("bid_old"))
        answer = await api.get("/bids", all=1, earlier=1)
        assert [(one["fid"], one["recorded"]) for one in answer["bids"]] == [
            ("bid_live", True),
            ("bid_new", False),
            ("bid_held", True),
            ("bid_old", False),
        ]
        assert answer["earlier"] == {"as_of": "2026-11-23T12:00:00Z", "complete": True, "reason": None}
        old = answer["bids"][-1]
        assert (old["status"], old["state"], old["since"]) == ("Terminated", "terminated", "2026-11-23T09:31:00Z")
        assert old.keys() == answer["bids"][0].keys()
        short = await api.get("/bids", state="completed", earlier=1, limit=2, details=0)
        assert [one["fid"] for one in short["bids"]] == ["bid_new", "bid_held"]
        api.archive.ended.assert_awaited_with([PROJECT.fid], 2)
        assert "instance_details" not in short["bids"][0]

    on_socket(tmp_path, test)


def test_the_projects_that_are_meant_are_asked_for(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        for asked, projects in (
            ({"project": "other"}, [OTHER.fid]),
            ({"all_projects": 1}, [PROJECT.fid, OTHER.fid]),
            ({}, [PROJECT.fid]),
        ):
            await api.get("/bids", all=1, earlier=1, **asked)
            api.archive.ended.assert_awaited_with(projects, None)
        assert (await api.refused("/bids", all=1, earlier=1, project="nowhere"))[0] == 404

    on_socket(tmp_path, test)


@pytest.mark.parametrize("asked", [{}, {"all": 1}, {"earlier": 1}, {"all": 1, "earlier": 1, "state": "running"}])
def test_nobody_waits_for_the_marketplace_who_does_not_want_to(tmp_path: Path, asked: dict[str, Any]) -> None:
    async def test(api: Api) -> None:
        fill(api)
        assert set(await api.get("/bids", **asked)) == {"freshness", "bids"}
        await api.get("/bids/bid_live")
        await api.get("/bids/name-of-bid_held/history")
        api.archive.ended.assert_not_awaited()
        api.archive.find.assert_not_awaited()

    on_socket(tmp_path, test)


def test_what_could_not_be_asked_for_is_told_beside_what_is_on_record(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        api.archive.ended.return_value = told(ended("bid_new", -4000), broken="it is away")
        answer = await api.get("/bids", all=1, earlier=1)
        assert [one["fid"] for one in answer["bids"]] == ["bid_live", "bid_new", "bid_held"]
        assert (answer["earlier"]["complete"], answer["earlier"]["reason"]) == (False, "it is away")

    on_socket(tmp_path, test)


def test_one_that_is_not_on_record_is_shown_as_it_is_now_with_its_machines(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        api.archive.find.return_value = [ended("bid_old", name="old")]
        api.archive.instances.return_value = [an_instance("inst_9", TERMINATED, "bid_old")]
        api.clock.time = at(5000)  # by now the record is stale
        assert (await api.get("/bids"))["freshness"]["stale"] is True
        answer = await api.get("/bids/old", all=1)
        assert answer["freshness"] == {
            "as_of": "2026-11-23T13:23:20Z",
            "age_seconds": 0.0,
            "stale": False,
            "reason": None,
            "warning": None,
            "interval_seconds": 5.0,
        }
        assert (answer["bid"]["fid"], answer["bid"]["recorded"], answer["transitions"]) == ("bid_old", False, [])
        (machine,) = answer["bid"]["instance_details"]
        assert (machine["fid"], machine["state"], machine["since"]) == ("inst_9", "terminated", None)
        history = await api.get("/bids/old/history")
        assert (history["bid"]["fid"], history["steps"]) == ("bid_old", [])
        api.archive.find.assert_awaited_with([PROJECT.fid], "old")
        api.desk.somebody_waits.assert_not_called()

    on_socket(tmp_path, test)


def test_a_live_one_stands_before_those_that_ended_and_is_soon_on_record(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        live = a_bid("bid_here", name="twice", created_at=at(-9500))
        api.archive.find.return_value = [ended("bid_old", name="twice"), live, ended("bid_older", -9600, name="twice")]
        api.archive.instances.return_value = [an_instance("inst_9", RUNNING, "bid_here")]
        shown = (await api.get("/bids/twice"))["bid"]
        assert (shown["fid"], shown["recorded"], shown["state"]) == ("bid_here", False, "running")
        api.desk.somebody_waits.assert_called_once_with()
        api.archive.find.return_value = [ended("bid_old", name="twice"), ended("bid_older", -9600, name="twice")]
        assert (await api.get("/bids/twice"))["bid"]["fid"] == "bid_old"

    on_socket(tmp_path, test)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unreachable("no route"), 502, "marketplace_away"),
        (KeyRefused("no such key"), 502, "key_refused"),
        (MarketplaceError("what is this"), 502, "marketplace_away"),
    ],
)
def test_nobody_says_that_there_is_no_such_bid_who_could_not_ask(
    tmp_path: Path, error: Exception, status: int, code: str
) -> None:
    async def test(api: Api) -> None:
        fill(api)
        api.archive.find.side_effect = error
        for path in ("/bids/nosuch", "/bids/nosuch/history"):
            answered, said = await api.refused(path)
            assert (answered, said["code"]) == (status, code)
            assert said["message"] == (
                f"no bid on record is called 'nosuch', and the marketplace cannot be asked for older ones: {error}"
            )
        api.archive.find.side_effect = None
        assert (await api.refused("/bids/nosuch"))[1]["code"] == "not_found"

    on_socket(tmp_path, test)


def test_what_is_to_be_changed_is_looked_for_too(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        live = a_bid("bid_here", name="here")
        api.desk.cancel.return_value = api.desk.change.return_value = live
        for bid, expected in ((live, 200), (ended("bid_old", name="here"), 409)):
            api.archive.find.return_value = [bid]
            for method, body in (("DELETE", None), ("PATCH", {"paused": True})):
                answer = await api.client.request(method, "/v1/bids/here?project=demo", json=body)
                assert answer.status_code == expected, answer.text
        api.desk.cancel.assert_awaited_once_with(live)
        api.desk.change.assert_awaited_once_with(live, limit_cents=None, paused=True)

    on_socket(tmp_path, test)


def test_what_is_only_shown_leaves_no_row(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        api.archive.ended.return_value = told(ended("bid_old"))
        api.archive.find.return_value = [ended("bid_old")]

        def rows() -> Any:
            with api.database.read() as connection:
                return read.last_sequence(connection), read.fleet(connection, None, ended=True)

        before = rows()
        await api.get("/bids", all=1, earlier=1)
        await api.get("/bids/bid_old")
        await api.get("/bids/bid_old/history")
        assert rows() == before

    on_socket(tmp_path, test)


def test_for_one_who_hung_up_the_marketplace_is_not_asked_any_further(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        fill(api)
        begun, cancelled = asyncio.Event(), asyncio.Event()

        async def endless(*_: object) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        api.archive.ended.side_effect = endless
        _, writer = await asyncio.open_unix_connection(api.path)
        writer.write(b"GET /v1/bids?all=1&earlier=1 HTTP/1.1\r\nhost: mithrild\r\n\r\n")
        await asyncio.wait_for(begun.wait(), CAP)
        assert not cancelled.is_set()
        writer.close()
        await asyncio.wait_for(cancelled.wait(), CAP)
        assert (await api.get("/bids"))["bids"]

    on_socket(tmp_path, test)
