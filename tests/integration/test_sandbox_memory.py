"""What the marketplace remembers afterwards is what it served at the time."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from tests.integration.sandbox_server import PROJECT, Visitor, visit

LOOKS = 80
BETWEEN = 47.0  # seconds of the marketplace, so that looks fall between and onto its auctions


def test_histories_say_what_was_served() -> None:
    async def story(visitor: Visitor) -> None:
        looks: list[tuple[str, Any, Any, Any]] = []
        for _ in range(LOOKS):
            await visitor.turn(BETWEEN)
            instances = await visitor.pages("/v2/instances", project=PROJECT)
            bids = await visitor.pages("/v2/spot/bids", project=PROJECT)
            auctions = await visitor.get("/v2/spot/availability")
            looks.append(((await visitor.get("/sandbox/state"))["clock"]["now"], instances, bids, auctions))

        history = await visitor.get("/v2/instances/status/history", project=PROJECT)
        statuses = {
            one["instance_fid"]: [(event["timestamp"], event["status"]) for event in one["events"]]
            for one in history["instances"]
        }
        series = (await visitor.get("/v2/pricing/history", num_samples=-1))["series"]
        prices = {
            (one["region"], one["instance_type"]): list(zip(one["timestamps"], one["spot_prices"], strict=True))
            for one in series
        }
        paid = await visitor.get("/v2/instances/pricing/history", project=PROJECT)
        told = {bid["fid"]: await placed(visitor, bid["fid"]) for bid in looks[-1][2]}
        assert {word for one in statuses.values() for _, word in one} >= {"STATUS_PREEMPTING", "STATUS_RELOCATING"}
        for now, instances, bids, auctions in looks:
            for instance in instances:
                assert at(statuses[instance["fid"]], now) == instance["status"]
            for auction in auctions:
                assert at(prices[auction["region"], auction["instance_type"]], now) == auction["last_instance_price"]
            for bid in bids:
                # The history has no word for the return to Open that ends a notice.
                assert at(told[bid["fid"]], now) in (bid["status"], "Preempting")
                assert bid["status"] == "Open" or at(told[bid["fid"]], now) == bid["status"]
        limits = {bid["fid"]: cents(bid["limit_price"]) for bid in looks[-1][2]}
        periods = [(one["bid_fid"], period) for one in paid["instances"] for period in one["events"]]
        assert len(periods) > LOOKS / 4
        for bid, period in periods:
            assert period["price_cents"] <= limits[bid]
            market = next((one["region"], one["instance_type"]) for one in looks[-1][2] if one["fid"] == bid)
            assert cents(at(prices[market], period["start_time"])) == period["price_cents"]

    visit(story, market=True, demo=True)


async def placed(visitor: Visitor, fid: str) -> list[tuple[str, str]]:
    """The statuses of a bid, by its history."""
    words = {"Placed": "Open", "Resumed": "Open", "Preempted": "Preempting"}
    events = (await visitor.get(f"/v2/spot/bids/{fid}/history"))["events"]
    return [(event["timestamp"], words.get(event["event_type"], event["event_type"])) for event in events]


def at(series: list[tuple[str, str]], now: str) -> str:
    """What was so at that time. Times are written alike, so they compare as words."""
    return series[bisect_right(series, (normal(now), chr(0x10FFFF)), key=lambda entry: (normal(entry[0]), "")) - 1][1]


def normal(time: str) -> str:
    """With microseconds always: a whole second is written without."""
    return time if "." in time else time.replace("Z", ".000000Z")


def cents(price: str) -> int:
    return round(float(price.removeprefix("$")) * 100)
