"""`/v2/spot`: bids and auctions."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from mithrild.sandbox import catalog, models, views
from mithrild.sandbox.lifecycle import BidStatus, ClusterStatus
from mithrild.sandbox.market import Market
from mithrild.sandbox.models import BidModel, dollars
from mithrild.sandbox.paging import page
from mithrild.sandbox.queries import Direction, Limit
from mithrild.sandbox.refusals import known, refused, unknown
from mithrild.sandbox.state import Bid


def router(market: Market) -> APIRouter:
    api = APIRouter(prefix="/v2/spot")
    registry, orders = market.registry, market.orders
    me = catalog.ME.fid

    def found(fid: str) -> Bid:
        return known(registry.bid_by_fid, fid, "Bid")

    @api.get("/bids")
    async def get_bids(
        next_cursor: str | None = None,
        sort_by: Literal["created_at", "status"] | None = None,
        sort_dir: Direction | None = None,
        project: str | None = None,
        instance_type: str | None = None,
        region: str | None = None,
        status: BidStatus | None = None,
        name: str | None = None,
        limit: Limit = None,
    ) -> models.GetBidsResponse:
        if status is not None:
            lane = registry.bid_lanes[project, status]
        elif name is not None and project is not None:
            named = registry.bid_by_name.get((project, name))
            lane = [] if named is None else [named.seq]
        elif project is not None:
            lane = registry.bid_lanes[(project,)]
        else:
            lane = list(range(len(registry.bids)))
        bids, cursor = page(
            registry.bids,
            [lane],
            cursor=next_cursor,
            limit=limit,
            descending=sort_dir != "asc",
            keep=lambda bid: (
                (name is None or bid.name == name)
                and (instance_type is None or bid.instance_type == instance_type)
                and (region is None or bid.region == region)
            ),
            key=(lambda bid: bid.status.value) if sort_by == "status" else None,
            order=sort_by or "created_at",
        )
        return models.GetBidsResponse(data=[views.bid_model(bid) for bid in bids], next_cursor=cursor)

    @api.post("/bids", status_code=201)
    async def create_bid(body: models.CreateBidRequest) -> BidModel:
        _check(market, body)
        bid = orders.place(
            name=body.name,
            project=body.project,
            user=me,
            region=body.region,
            instance_type=body.instance_type,
            limit_cents=models.cents(body.limit_price),
            quantity=body.instance_quantity,
            launch=body.launch_specification,
        )
        return views.bid_model(bid)

    @api.get("/bids/{bid_fid}")
    async def get_bid(bid_fid: str) -> BidModel:
        return views.bid_model(found(bid_fid))

    @api.patch("/bids/{bid_fid}")
    async def update_bid(bid_fid: str, body: models.UpdateBidRequest) -> BidModel:
        bid = found(bid_fid)
        if bid.status == BidStatus.TERMINATED:
            raise refused(409, "Bid is terminated")
        paused = bid.status == BidStatus.PAUSED if body.paused is None else body.paused
        if body.volumes is not None:
            if not paused:
                raise refused(409, "Volumes can only be changed while the bid is paused")
            _check_volumes(body.volumes, bid.project)
        if body.limit_price is not None:
            orders.change_limit(bid, models.cents(body.limit_price), me)
        if body.memory_gb is not None:
            orders.change_memory(bid, body.memory_gb, me)
        if paused and bid.status != BidStatus.PAUSED:
            orders.pause(bid, me)
        if body.volumes is not None:
            orders.change_volumes(bid, body.volumes, me)
        if not paused and bid.status == BidStatus.PAUSED:
            orders.resume(bid, me)
        return views.bid_model(bid)

    @api.delete("/bids/{bid_fid}", status_code=204)
    async def cancel_bid(bid_fid: str) -> Response:
        bid = found(bid_fid)
        if bid.status != BidStatus.TERMINATED:
            orders.terminate(bid, me)
        return Response(status_code=204)

    @api.get("/bids/{bid_fid}/status")
    async def get_bid_status(bid_fid: str) -> models.BidStatusResponse:
        bid = found(bid_fid)
        return models.BidStatusResponse(bid_fid=bid.fid, status="Relocating" if bid.relocating else bid.status)

    @api.get("/bids/{bid_fid}/history")
    async def get_bid_history(bid_fid: str) -> models.BidHistoryResponse:
        return views.bid_history(found(bid_fid))

    @api.get("/availability")
    async def get_auctions() -> list[models.AuctionModel]:
        return [
            models.AuctionModel(
                fid=stall.place.auction,
                instance_type=stall.place.instance_type,
                region=stall.place.region,
                capacity=stall.place.capacity,
                last_instance_price=dollars(stall.outcome.price_cents),
                lowest_allocated_price=(
                    None if stall.outcome.lowest_winning_cents is None else dollars(stall.outcome.lowest_winning_cents)
                ),
                adjustable_memory=False,
                default_image_version=catalog.IMAGE,
            )
            for stall in market.stalls.values()
        ]

    return api


def _check(market: Market, body: models.CreateBidRequest) -> None:
    """Raise what the marketplace answers to a bid that it does not take."""
    launch = body.launch_specification
    if body.project not in catalog.PROJECTS:
        raise unknown("Project")
    if body.region not in catalog.REGIONS:
        raise unknown("Region")
    if body.instance_type not in catalog.TYPE_BY_FID:
        raise unknown("Instance type")
    if (body.region, body.instance_type) not in catalog.PLACE_BY_KEY:
        raise refused(400, "Instance type is not available in this region")
    keys = {key.fid for key in market.registry.ssh_keys.values() if key.project == body.project}
    if not keys.issuperset(launch.ssh_keys):
        raise unknown("SSH key")
    _check_volumes(launch.volumes, body.project)
    if launch.kubernetes_cluster is not None:
        cluster = market.registry.clusters.get(launch.kubernetes_cluster)
        if cluster is None or cluster.project != body.project:
            raise unknown("Kubernetes cluster")
        if cluster.status == ClusterStatus.TERMINATED:
            raise refused(409, "Kubernetes cluster is terminated")
        if cluster.region != body.region:
            raise refused(400, "Kubernetes cluster is in another region")
    if body.instance_quantity > catalog.SPOT_QUOTA:
        raise refused(400, "Requested quantity exceeds the project's spot quota")
    if (body.project, body.name) in market.registry.bid_by_name:
        # The marketplace, too, speaks of something else when the name is taken.
        raise refused(400, "Could not place bid: insufficient quota or invalid launch specification")


def _check_volumes(volumes: list[str], project: str) -> None:
    known = {volume.fid for volume in catalog.VOLUMES if volume.project == project and not volume.deleted}
    if not known.issuperset(volumes):
        raise unknown("Volume")
