"""/v1/types and /v1/ssh-keys: what there is to rent, and with what to log in."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import fleet
from mithrild.api.answers import Json, Parts, Refusal, answer, freshness
from mithrild.fleet.event import stamp
from mithrild.store import read


def list_types(parts: Parts, request: Request) -> Response:
    """One row for each auction: a type in a region, what it costs, and what there is of it. `market_as_of`: when the
    prices were last looked at; before this daemon's first look, when one of them last changed."""
    region = request.query_params.get("region")
    with parts.database.read() as connection:
        types, market = read.instance_types(connection), read.market(connection)
        as_of = parts.health.market_at or read.market_age(connection)
        fresh = freshness(connection, parts)
    rows: list[Json] = []
    for auction in market.values():
        kind = types.get(auction.instance_type)
        rows.append(
            {
                "fid": auction.instance_type,
                "name": kind.name if kind else auction.instance_type,
                "gpu_count": kind.num_gpus if kind else None,
                "gpu_type": kind.gpu_type if kind else None,
                "gpu_memory_gb": kind.gpu_memory_gb if kind else None,
                "ram_gb": kind.ram_gb if kind else None,
                "region": auction.region,
                "capacity": auction.capacity,
                "spot_price": auction.spot_price,
                "spot_price_cents": auction.spot_price_cents,
                "win_price": auction.win_price,
                "win_price_cents": auction.win_price_cents,
            }
        )
    regions = sorted({row["region"] for row in rows})
    if region and rows and region not in regions:
        raise Refusal("not_found", f"there is no region {region[:60]!r}; there are: {', '.join(regions)}")
    shown = sorted(
        (row for row in rows if region in (None, row["region"])), key=lambda row: (row["name"], row["region"])
    )
    return answer({"freshness": fresh, "market_as_of": stamp(as_of), "types": shown})


async def list_ssh_keys(parts: Parts, request: Request) -> Response:
    """Asked of the marketplace each time: nothing but placing a bid needs them."""

    def scope() -> str | None:
        with parts.database.read() as connection:
            return fleet.scope(connection, parts, request)

    project = await asyncio.to_thread(scope)
    if project is None:
        raise Refusal("bad_request", "of which project? name one with -p")
    keys = await parts.desk.ssh_keys(project)
    return answer({"ssh_keys": [{"fid": one.fid, "name": one.name, "required": one.required} for one in keys]})
