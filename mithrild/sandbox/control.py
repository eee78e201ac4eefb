"""The control API under `/sandbox`: for tests, demonstrations, and users who rehearse their hooks. No key needed.

What is forced on a bid is held until it is released, or the next auction would undo it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mithrild.sandbox import catalog
from mithrild.sandbox.agenda import text
from mithrild.sandbox.faults import Active, Fault, Faults
from mithrild.sandbox.ledger import Ledger
from mithrild.sandbox.lifecycle import NOTICE, BidStatus, Fate
from mithrild.sandbox.market import Market, Stall
from mithrild.sandbox.models import Price, cents, dollars
from mithrild.sandbox.nodes import visible_address
from mithrild.sandbox.refusals import known, refused, unknown
from mithrild.sandbox.state import Bid, Instance
from mithrild.sandbox.timeline import Step

Verb = Literal["allocate", "preempt", "reprieve", "relocate", "pause", "terminate", "release"]
State = dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClockBody(_Body):
    advance_seconds: float | None = Field(default=None, ge=0, le=366 * 86_400)
    speed: float | None = Field(default=None, gt=0, le=10_000)

    @model_validator(mode="after")
    def _something(self) -> ClockBody:
        if self.advance_seconds is None and self.speed is None:
            raise ValueError("give advance_seconds, speed or both")
        return self


class StatusBody(_Body):
    status: str = Field(min_length=1)


class ForceBody(_Body):
    """`notice_seconds` (nominal, to be divided by the speed) belongs to preempt and relocate, and moves the deadline
    of a notice already given; `instances` to allocate: what becomes of those that the bid still has.
    """

    notice_seconds: float = Field(default=NOTICE, ge=0, le=86_400)
    instances: Fate | None = None


class FleetBody(_Body):
    bids: int = Field(default=0, ge=0, le=20_000)
    instances_per_bid: int = Field(default=1, ge=0, le=64)
    terminated_bids: int = Field(default=0, ge=0, le=100_000)
    project: str = catalog.PROJECT


class MarketBody(_Body):
    paused: bool


class PricesBody(_Body):
    """`instance_type` by name or fid; `region` None means all that have it; `spot_price` None ends it."""

    instance_type: str
    region: str | None = None
    spot_price: Price | None


def router(market: Market, faults: Faults, ledger: Ledger) -> APIRouter:
    api = APIRouter(prefix="/sandbox")
    registry = market.registry

    def found(word: str) -> Bid:
        """By fid, or by the name of a bid that has not ended."""
        bid = registry.bid_by_fid.get(word)
        if bid is None:
            bid = next((each for each in registry.unended_bids() if each.name == word), None)
        if bid is None:
            raise unknown("Bid")
        return bid

    @api.get("/state")
    async def get_state() -> State:
        live = sorted(registry.unended_bids(), key=lambda bid: bid.seq)
        return {
            "clock": _clock(market),
            "market": {
                "paused": not market.running,
                "auctions_held": market.ticks,
                "timeline": market.timeline.newest,
                "requests": ledger.total,
                "faults": len(faults.active),
            },
            "auctions": [_auction(market, stall) for stall in market.stalls.values()],
            "bids": [_bid(market, bid) for bid in live],
            "ended_bids": len(registry.bids) - len(live),
            "instances": len(registry.instances),
            "clusters": [
                {"fid": each.fid, "name": each.name, "project": each.project, "status": each.status.value}
                for each in registry.clusters.values()
            ],
        }

    @api.get("/timeline")
    async def get_timeline(
        after: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=100_000)] = 10_000
    ) -> State:
        steps = market.timeline.after(after, limit)
        return {"steps": [_step(step) for step in steps], "newest": market.timeline.newest}

    @api.post("/bids/{bid_fid}/{verb}")
    async def force(bid_fid: str, verb: Verb, body: ForceBody | None = None) -> State:
        bid = found(bid_fid)
        _force(market, bid, verb, body or ForceBody())
        return _bid(market, bid)

    @api.post("/instances/{instance_fid}/status")
    async def force_status(instance_fid: str, body: StatusBody) -> State:
        instance = known(registry.instance_by_fid, instance_fid, "Instance")
        market.nodes.force(instance, body.status)
        return _instance(instance)

    @api.post("/clock")
    async def set_clock(body: ClockBody) -> State:
        if body.speed is not None:
            market.change_speed(body.speed)
        if body.advance_seconds is not None:
            market.advance(body.advance_seconds)
        return _clock(market)

    @api.post("/fleet", status_code=201)
    async def fleet(body: FleetBody) -> State:
        if body.project not in catalog.PROJECTS:
            raise unknown("Project")
        live = market.fleet(body.bids, body.instances_per_bid, body.terminated_bids, body.project)
        return {
            "bids": [bid.fid for bid in live],
            "instances": body.bids * body.instances_per_bid,
            "terminated_bids": body.terminated_bids,
        }

    @api.post("/market")
    async def set_market(body: MarketBody) -> State:
        market.running = not body.paused
        return {"paused": body.paused}

    @api.post("/prices")
    async def set_prices(body: PricesBody) -> list[State]:
        """What a market costs from now on, whatever its rivals bid. Its auction is held at once."""
        stalls = [
            stall
            for stall in market.stalls.values()
            if body.instance_type in (stall.place.instance_type, catalog.TYPE_BY_FID[stall.place.instance_type].name)
            and body.region in (None, stall.place.region)
        ]
        if not stalls:
            raise unknown("Market")
        price = None if body.spot_price is None else cents(body.spot_price)
        least = max(stall.place.minimum_cents for stall in stalls)
        if price is not None and price < least:
            raise refused(409, f"The minimum price is {dollars(least)}")
        market.ask_price(stalls, price)
        return [_auction(market, stall) for stall in stalls]

    @api.get("/requests")
    async def get_requests() -> State:
        return ledger.report()

    @api.delete("/requests", status_code=204)
    async def clear_requests() -> Response:
        ledger.clear()
        return Response(status_code=204)

    @api.get("/faults")
    async def get_faults() -> list[Active]:
        return faults.active

    @api.post("/faults", status_code=201)
    async def add_fault(body: Fault) -> Active:
        return faults.add(body)

    @api.delete("/faults", status_code=204)
    async def clear_faults() -> Response:
        faults.clear()
        return Response(status_code=204)

    @api.delete("/faults/{number}", status_code=204)
    async def clear_fault(number: int) -> Response:
        if not faults.clear(number):
            raise unknown("Fault")
        return Response(status_code=204)

    return api


def _force(market: Market, bid: Bid, verb: Verb, how: ForceBody) -> None:
    """Do it, and hold it. 409 if the bid is in no state for it."""
    orders, status = market.orders, bid.status
    if verb == "release":
        bid.hold = None
        if status == BidStatus.ALLOCATED:
            market.nodes.resume_boot(bid)
    elif status == BidStatus.TERMINATED:
        raise _impossible(bid, verb)
    elif verb == "terminate":
        orders.terminate(bid, None)
    elif verb == "pause":
        bid.hold = None
        if status != BidStatus.PAUSED:
            orders.pause(bid, None)
    elif verb == "allocate":
        bid.hold = "allocated"
        if status == BidStatus.PAUSED:
            orders.resume(bid, None, how.instances)
        elif status == BidStatus.OPEN:
            orders.allocate(bid, how.instances)
        elif status == BidStatus.PREEMPTING:
            orders.reprieve(bid)
    elif verb == "preempt" and status in (BidStatus.ALLOCATED, BidStatus.PREEMPTING):
        bid.hold = "preempted"
        if status == BidStatus.ALLOCATED:
            orders.preempt(bid, how.notice_seconds)
        else:
            orders.change_deadline(bid, how.notice_seconds)
    elif verb == "reprieve" and status == BidStatus.PREEMPTING:
        bid.hold = "allocated"
        orders.reprieve(bid)
    elif verb == "relocate" and status == BidStatus.ALLOCATED:
        bid.hold = "allocated"
        if bid.relocating:
            orders.change_deadline(bid, how.notice_seconds)
        else:
            orders.relocate(bid, how.notice_seconds)
    else:
        raise _impossible(bid, verb)


def _impossible(bid: Bid, verb: str) -> HTTPException:
    return refused(409, f"Cannot {verb} a bid that is {bid.status.value}")


def _clock(market: Market) -> State:
    agenda = market.agenda
    return {"now": text(agenda.now), "advanced_seconds": agenda.advanced, "speed": agenda.speed}


def _auction(market: Market, stall: Stall) -> State:
    return {
        "instance_type": catalog.TYPE_BY_FID[stall.place.instance_type].name,
        "instance_type_fid": stall.place.instance_type,
        "region": stall.place.region,
        "capacity": stall.place.capacity,
        "allocated": market.allocated(stall.place.key),
        "spot_price": dollars(stall.outcome.price_cents),
        "forced": stall.asked is not None,
    }


def _instance(instance: Instance) -> State:
    return {
        "fid": instance.fid,
        "name": instance.name,
        "status": instance.status,
        "end_time": None if instance.end_time is None else text(instance.end_time),
        "ssh_destination": visible_address(instance),
        "boot_disk": instance.boot_disk,
    }


def _bid(market: Market, bid: Bid) -> State:
    return {
        "fid": bid.fid,
        "name": bid.name,
        "project": bid.project,
        "status": bid.status.value,
        "relocating": bid.relocating,
        "held": bid.hold,
        "limit_price": dollars(bid.limit_cents),
        "quantity": bid.quantity,
        "instance_type": catalog.TYPE_BY_FID[bid.instance_type].name,
        "region": bid.region,
        "instances": [_instance(market.registry.instance_by_fid[fid]) for fid in bid.instances],
    }


def _step(step: Step) -> State:
    return {
        "seq": step.seq,
        "at": text(step.at),
        "kind": step.kind,
        "subject": step.subject,
        "bid": step.bid,
        "project": step.project,
        "aspect": step.aspect,
        "from": step.before,
        "to": step.after,
    }
