"""What is answered while the disk refuses: the fleet as it is known, and of events only what will last."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.integration.api_on_socket import Api, Follower, on_socket
from tests.integration.disk_rig import read_only
from tests.integration.store_builders import PREEMPTING, a_bid, a_rule, an_instance, keep, poll


def notice(api: Api, seconds: float) -> None:
    rules = [a_rule("save", "instance.preempting")]
    keep(api.database, poll(seconds, a_bid(status="Preempting"), an_instance(status=PREEMPTING)), rules)


def test_the_fleet_is_shown_as_it_is_known_and_events_as_they_are_written(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid(), an_instance()))
        api.clock.turn_to(62)
        with read_only(api.database):
            notice(api, 60)
            bids = await api.get("/bids")
            assert bids["bids"][0]["state"] == "preempting"
            assert bids["bids"][0]["deadline"] is not None
            fresh = bids["freshness"]
            assert (fresh["age_seconds"], fresh["stale"], fresh["reason"]) == (2.0, False, None)
            assert "readonly" in fresh["warning"]
            assert fresh["warning"].endswith("; until then what happens is held in memory")
            (machine,) = (await api.get("/instances"))["instances"]
            assert machine["state"] == "preempting"
            assert [step["type"] for step in (await api.get("/bids/bid_1"))["transitions"]][-2:] == [
                "bid.preempting",
                "instance.preempting",
            ]
            events = await api.get("/events")
            assert events["events"] == []
            assert events["freshness"]["age_seconds"] == 62.0
            assert events["freshness"]["reason"] == events["freshness"]["warning"] == fresh["warning"]
            assert (await api.get("/deliveries"))["deliveries"] == []
        api.database.mend()
        assert (await api.get("/bids"))["freshness"]["warning"] is None
        assert len((await api.get("/events"))["events"]) == 2
        assert len((await api.get("/deliveries"))["deliveries"]) == 1

    on_socket(tmp_path, test)


def test_status_tells_what_is_held(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid(), an_instance()))
        api.clock.turn_to(62)
        with read_only(api.database):
            notice(api, 60)
            status = await api.get("/status")
            disk = status["disk"]
            assert (disk["trouble"], disk["held"]) == ("read-only", {"transitions": 2, "deliveries": 1, "results": 0})
            assert disk["since"] is not None
            assert "cannot write" in disk["message"]
            assert status["freshness"]["age_seconds"] == 2.0
            assert status["store"]["newest_sequence"] is None
        api.database.mend()
        status = await api.get("/status")
        assert status["disk"]["trouble"] is None
        assert status["store"]["newest_sequence"] is not None

    on_socket(tmp_path, test)


def test_a_follower_gets_what_was_held_once_it_is_written(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid(), an_instance()))
        async with Follower.of(api) as follower:
            with read_only(api.database):
                notice(api, 60)
                api.feed.wake()
                await asyncio.sleep(0)
            api.database.mend()
            api.feed.wake()
            told = [event["event"] for event in await follower.events(2)]
            assert told == ["bid.preempting", "instance.preempting"]

    on_socket(tmp_path, test)
