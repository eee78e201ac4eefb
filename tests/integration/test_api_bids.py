"""One bid as the API shows it: found by its name or fid, with its history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.api_on_socket import Api, on_socket
from tests.integration.store_builders import PREEMPTING, RUNNING, a_bid, an_instance, at, keep, poll


@pytest.mark.parametrize("path", ["/bids/{}", "/bids/{}/history"])
def test_bid_is_found_by_fid_and_by_name(tmp_path: Path, path: str) -> None:
    async def test(api: Api) -> None:
        older = a_bid("bid_old", "Terminated", name="train", created_at=at(-500))
        newer = a_bid("bid_new", "Terminated", name="train", created_at=at(-400))
        keep(api.database, poll(0, older, newer, a_bid("bid_x", name="bid_old")))

        async def found(wanted: str) -> Any:
            return (await api.get(path.format(wanted)))["bid"]["fid"]

        assert await found("train") == "bid_new"
        assert await found("bid_old") == "bid_old"  # a fid stands before a name
        keep(api.database, poll(5, a_bid("bid_live", name="train", created_at=at(-900))))
        assert await found("train") == "bid_live"
        status, error = await api.refused(path.format("nothing"))
        assert (status, error["code"]) == (404, "not_found")
        assert "'nothing'" in error["message"]

    on_socket(tmp_path, test)


@pytest.mark.parametrize(
    "name", ["a/b", "50% off?#now", "two words", "ünïcode 🚂", "..", "line\nbreak", "nul\0", "history", "100%2F"]
)
def test_bid_is_found_whatever_its_name(tmp_path: Path, name: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in name.encode())

    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid(name=name)))
        for path in (f"/bids/{quoted}", f"/bids/{quoted}/history"):
            assert (await api.get(path))["bid"]["name"] == name

    on_socket(tmp_path, test)


def test_a_name_that_ends_like_another_address_is_a_name_all_the_same(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid("bid_1", name="train"), a_bid("bid_2", name="train/history")))
        shown = await api.get("/bids/train%2Fhistory")
        assert (shown["bid"]["fid"], "transitions" in shown) == ("bid_2", True)
        assert (await api.get("/bids/train/history"))["bid"]["fid"] == "bid_1"
        assert (await api.get("/bids/train%2Fhistory/history"))["bid"]["fid"] == "bid_2"

    on_socket(tmp_path, test)


def test_history_is_ordered_by_position_and_tells_what_is_exact(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0))
        machine = an_instance(status=PREEMPTING)
        keep(api.database, poll(60, a_bid(status="Open", created_at=at(30))))
        keep(api.database, poll(120, a_bid(created_at=at(30)), an_instance()))
        keep(api.database, poll(180, a_bid(created_at=at(30)), machine, deadlines={"inst_1": at(400)}))
        keep(api.database, poll(240, a_bid(created_at=at(30), limit_price="$9.00", limit_price_cents=900), machine))
        answer = await api.get("/bids/bid_1/history")
        assert set(answer) == {"freshness", "bid", "steps"}
        shown = [(step["at"][11:19], step["type"], step["from"], step["to"]) for step in answer["steps"]]
        assert shown == [
            ("12:00:30", "bid.placed", None, "Open"),
            ("12:02:01", "bid.allocated", "Open", "Allocated"),
            ("12:02:01", "instance.running", None, RUNNING),
            ("12:02:01", "bid.running", "none", "running"),
            ("12:03:01", "instance.preempting", RUNNING, PREEMPTING),
            ("12:04:01", "bid.limit_changed", "$8.00", "$9.00"),
        ]
        placed, *_, preempting, limit = answer["steps"]
        assert (placed["exact"], placed["not_before"]) == (True, None)
        assert preempting == {
            "sequence": preempting["sequence"],
            "event": f"evt_{api.database.id}_{preempting['sequence']}",
            "at": "2026-11-23T12:03:01Z",
            "exact": False,
            "not_before": "2026-11-23T12:02:00Z",
            "subject": "inst_1",
            "subject_kind": "instance",
            "name": "name-of-inst_1",
            "aspect": "status",
            "type": "instance.preempting",
            "from": RUNNING,
            "to": PREEMPTING,
            "provenance": "observed",
            "inferred": False,
            "baseline": False,
        }
        assert (limit["subject"], limit["subject_kind"], limit["aspect"]) == ("bid_1", "bid", "limit_price")

    on_socket(tmp_path, test)


def test_one_bid_comes_with_its_last_ten_steps(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        for n in range(14):
            keep(api.database, poll(60 * n, a_bid(limit_price=f"${n}.00", limit_price_cents=100 * n)))
        answer = await api.get("/bids/bid_1")
        assert set(answer) == {"freshness", "bid", "transitions"}
        assert [step["to"] for step in answer["transitions"]] == [f"${n}.00" for n in range(4, 14)]
        first, *_ = (await api.get("/bids/bid_1/history"))["steps"]
        assert (first["baseline"], first["event"]) == (True, None)

    on_socket(tmp_path, test)


def test_bid_that_nobody_can_find_any_more_is_gone(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        for n in (1, 2):
            keep(api.database, poll(60 * n, absent={"bid_1"}))
        assert (await api.get("/bids"))["bids"] == []
        (shown,) = (await api.get("/bids", all=1))["bids"]
        assert (shown["gone"], shown["state"], shown["status"]) == (True, "terminated", "Allocated")

    on_socket(tmp_path, test)
