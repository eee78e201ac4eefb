"""POST /v1/bids, PATCH and DELETE of one. What is asked for is done by the desk; here it is read and answered."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import bids, fleet
from mithrild.api.answers import Json, Parts, Refusal, answer
from mithrild.api.bodies import Body, Word, read
from mithrild.fleet import order as orders
from mithrild.fleet.model import Bid, Record
from mithrild.fleet.order import Plan, Wish
from mithrild.fleet.price import dollars


class PlaceBody(Body):
    """A bid in the words of a person; with `dry_run` it is only checked."""

    name: Word
    instance_type: Word
    region: Word
    limit_price: Word
    quantity: int = Field(default=1, ge=1, le=orders.MOST_INSTANCES)
    ssh_keys: list[Word] = Field(default=[])
    public_keys: list[Annotated[str, Field(max_length=20_000)]] = Field(default=[])
    volumes: list[Word] = Field(default=[])
    kubernetes_cluster: Word | None = None
    startup_script: str | None = None
    dry_run: bool = False


class ChangeBody(Body):
    limit_price: Word | None = None
    paused: bool | None = None


async def place_bid(parts: Parts, request: Request) -> Response:
    """{"bid", "warnings", "adopted"}; or {"plan", "warnings"} for a dry run. `adopted`: its answer was lost, and the
    bid was found by its name."""
    body = await read(request, PlaceBody)
    project = await asyncio.to_thread(_project, parts, request)
    plan = await parts.desk.plan(
        Wish(
            project=project,
            name=body.name,
            instance_type=body.instance_type,
            region=body.region,
            limit_price=body.limit_price,
            quantity=body.quantity,
            ssh_keys=tuple(body.ssh_keys),
            public_keys=tuple(body.public_keys),
            volumes=tuple(body.volumes),
            kubernetes_cluster=body.kubernetes_cluster,
            startup_script=body.startup_script,
        )
    )
    if body.dry_run:
        shown = await asyncio.to_thread(_plan_view, parts, plan)
        return answer({"plan": shown, "warnings": plan.warnings})
    bid, adopted = await parts.desk.place(plan.order)
    view = await asyncio.to_thread(_view, parts, bid)
    return answer({"bid": view, "warnings": plan.warnings, "adopted": adopted}, 201)


async def change_bid(parts: Parts, request: Request) -> Response:
    body = await read(request, ChangeBody)
    limit_cents = None if body.limit_price is None else orders.limit(body.limit_price)
    if limit_cents is None and body.paused is None:
        raise Refusal("bad_request", "nothing to change: give limit_price, paused or both")
    held = await _live(parts, request)
    bid = await parts.desk.change(held, limit_cents=limit_cents, paused=body.paused)
    return answer({"bid": await asyncio.to_thread(_view, parts, bid)})


async def cancel_bid(parts: Parts, request: Request) -> Response:
    held = await _live(parts, request)
    bid = await parts.desk.cancel(held)
    return answer({"bid": await asyncio.to_thread(_view, parts, bid)})


def _project(parts: Parts, request: Request) -> str:
    with parts.database.read() as connection:
        project = fleet.scope(connection, parts, request)
        if project is None:
            fleet.ask_again_if_nothing_is_known(connection, parts)
    if project is None:
        raise Refusal("bad_request", "in which project? name one with -p, or set MITHRIL_PROJECT")
    return project


async def _live(parts: Parts, request: Request) -> Bid:
    held = (await bids.find(parts, request)).record
    if held.gone or held.value.status == "Terminated":
        raise Refusal("conflict", f"the bid {held.value.name!r} has ended already")
    return held.value


def _view(parts: Parts, bid: Bid) -> Json:
    """As the record shows it; as the marketplace told it, where the project has not been looked at yet."""
    with parts.database.read() as connection:
        held = bids.by_fid(connection, bid.fid) or Record(bid, parts.clock.now())
        return bids.view_of(connection, held, ended=True)[0]


def _plan_view(parts: Parts, plan: Plan) -> Json:
    order, auction = plan.order, plan.auction
    with parts.database.read() as connection:
        around = fleet.background(connection)
    return {
        "name": order.name,
        "project": order.project,
        "project_name": around.projects.get(order.project),
        "instance_type": order.instance_type,
        "instance_type_name": around.type_name(order.instance_type),
        "region": order.region,
        "limit_price": dollars(order.limit_cents),
        "limit_price_cents": order.limit_cents,
        "instance_quantity": order.quantity,
        "ssh_keys": list(order.ssh_keys),
        "volumes": list(order.volumes),
        "kubernetes_cluster": order.kubernetes_cluster,
        "capacity": auction.capacity if auction else None,
        "spot_price": auction.spot_price if auction else None,
        "win_price": auction.win_price if auction else None,
    }
