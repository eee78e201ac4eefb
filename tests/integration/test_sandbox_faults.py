"""Faults on demand, as a client meets them on a real connection."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.integration.sandbox_server import PROJECT, Visitor, visit


async def ask_for(visitor: Visitor, **fault: object) -> None:
    await visitor.post("/sandbox/faults", fault, 201)


def test_a_status_for_as_many_requests_as_asked() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, path="/v2/instances*", kind="status", status=429, retry_after=2, count=2)
        for _ in range(2):
            answer = await visitor.http.get("/v2/instances", params={"project": PROJECT})
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "2"
            assert answer.headers["date"]
            assert answer.json()["detail"]
        await visitor.get("/v2/instances", project=PROJECT)
        assert await visitor.get("/sandbox/faults") == []

    visit(story)


def test_a_fault_meets_its_path_and_method_alone_until_it_is_deleted() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, path="/v2/spot/*", method="POST", kind="status", status=500)
        await ask_for(visitor, path="/*", kind="status", status=418)
        await visitor.place("work", 500)
        await visitor.get("/v2/me", 418)
        active = await visitor.get("/sandbox/faults")
        assert [each["hits"] for each in active] == [1, 1]
        await visitor.delete(f"/sandbox/faults/{active[1]['id']}")
        await visitor.get("/v2/me")
        await visitor.delete("/sandbox/faults")
        await visitor.place("work")
        await visitor.delete("/sandbox/faults/99", 404)
        await visitor.post("/sandbox/faults", {"kind": "gremlin"}, 422)

    visit(story)


def test_a_reset_is_a_reset() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, kind="reset", count=1)
        with pytest.raises(httpx.ReadError) as caught:
            await visitor.http.get("/v2/me")
        assert isinstance(_root(caught.value), ConnectionResetError)
        await visitor.get("/v2/me")
        statuses = [each["status"] for each in (await visitor.get("/sandbox/requests"))["last"]]
        assert statuses == [0, 200]

    visit(story)


def test_a_lost_answer_may_have_bought() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, method="POST", kind="lost_answer", count=1)
        with pytest.raises(httpx.ReadError):
            await visitor.place("work")
        assert [bid["name"] for bid in (await visitor.get("/v2/spot/bids"))["data"]] == ["work"]

    visit(story)


def test_an_answer_cut_in_the_middle() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, kind="truncate", count=1)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            await visitor.http.get("/v2/instance-types")
        await visitor.get("/v2/instance-types")

    visit(story)


def test_a_delay_outlasts_an_impatient_client() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, path="/v2/me", kind="delay", seconds=30, count=1)
        with pytest.raises(httpx.ReadTimeout):
            await visitor.http.get("/v2/me", timeout=0.2)
        await ask_for(visitor, path="/v2/me", kind="delay", seconds=0.01, count=1)
        await visitor.get("/v2/me")

    visit(story)


def test_answers_that_are_no_json() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, kind="not_json", count=1)
        answer = await visitor.http.get("/v2/me")
        assert answer.status_code == 200
        with pytest.raises(ValueError, match="Expecting"):
            answer.json()
        await ask_for(visitor, kind="html", status=502, count=1)
        answer = await visitor.http.get("/v2/me")
        assert answer.status_code == 502
        assert answer.headers["content-type"] == "text/html"

    visit(story)


def test_a_cursor_that_leads_in_a_circle() -> None:
    async def story(visitor: Visitor) -> None:
        for number in range(5):
            await visitor.place(f"work{number}")
        await ask_for(visitor, path="/v2/spot/bids", kind="cursor_loop")
        first = await visitor.get("/v2/spot/bids", limit=2)
        second = await visitor.get("/v2/spot/bids", limit=2, next_cursor=first["next_cursor"])
        assert second == first
        assert len(first["data"]) == 2

    visit(story)


def test_pages_with_nothing_less_or_nonsense_in_them() -> None:
    async def story(visitor: Visitor) -> None:
        fids = [(await visitor.place(f"work{number}"))["fid"] for number in range(4)][::-1]
        whole = await visitor.get("/v2/spot/bids", limit=3)
        await ask_for(visitor, kind="empty_page", count=1)
        empty = await visitor.get("/v2/spot/bids", limit=3)
        assert empty == {"data": [], "next_cursor": whole["next_cursor"]}
        await ask_for(visitor, kind="drop_item", count=1)
        assert [bid["fid"] for bid in (await visitor.get("/v2/spot/bids"))["data"]] == fids[1:]
        await ask_for(visitor, kind="drop_item", fid=fids[2], count=1)
        assert fids[2] not in [bid["fid"] for bid in (await visitor.get("/v2/spot/bids"))["data"]]
        await ask_for(visitor, kind="bad_item", fid=fids[1], count=1)
        spoiled = (await visitor.get("/v2/spot/bids"))["data"]
        assert [bid["fid"] for bid in spoiled] == fids
        assert spoiled[1]["status"] == 7
        assert spoiled[2] == whole["data"][2]

    visit(story)


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def test_an_answer_of_many_megabytes_is_still_the_answer() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, path="/v2/me", kind="huge", megabytes=3, count=1)
        small = (await visitor.http.get("/v2/projects")).content
        answer = await visitor.http.get("/v2/me")
        assert len(answer.content) > 3 * 2**20 > len(small)
        assert answer.json() == await visitor.get("/v2/me")

    visit(story)


def test_a_date_that_is_not_the_marketplaces_stands_on_a_true_answer() -> None:
    async def story(visitor: Visitor) -> None:
        await ask_for(visitor, path="/v2/me", kind="date_skew", seconds=-7200, count=1)
        skewed, true = [await visitor.http.get("/v2/me") for _ in range(2)]
        dates = [parsedate_to_datetime(answer.headers["date"]) for answer in (skewed, true)]
        assert 7199 <= (dates[1] - dates[0]).total_seconds() <= 7230
        assert len(skewed.headers.get_list("date")) == 1
        assert skewed.json() == true.json()
        await visitor.post("/sandbox/faults", {"kind": "delay", "seconds": -1}, 422)

    visit(story)
