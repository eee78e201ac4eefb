"""`/v2/instances`: listing, deadlines, and the two histories."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Depends

from mithrild.sandbox import lifecycle, models, views
from mithrild.sandbox.market import Market
from mithrild.sandbox.paging import page
from mithrild.sandbox.queries import CommaList, Direction, Limit, known_project, span
from mithrild.sandbox.refusals import known, refused
from mithrild.sandbox.state import Instance

Selected = tuple[list[Instance], str | None]  # a page of instances, and the cursor of the next


def router(market: Market) -> APIRouter:
    api = APIRouter(prefix="/v2/instances")
    registry = market.registry

    def found(fid: str) -> Instance:
        return known(registry.instance_by_fid, fid, "Instance")

    @api.get("")
    async def get_instances(
        project: str,
        next_cursor: str | None = None,
        sort_by: Literal["created_at", "instance_status", "instance_type_fid"] | None = None,
        sort_dir: Direction | None = None,
        instance_type: str | None = None,
        region: str | None = None,
        status_in: CommaList[lifecycle.Queryable] = None,
        order_type_in: CommaList[Literal["Bid", "Reservation"]] = None,
        bid_fid_in: CommaList[str] = None,
        reservation_fid_in: CommaList[str] = None,
        limit: Limit = None,
    ) -> models.GetInstancesResponse:
        known_project(project)
        if bid_fid_in is not None:
            of_bids = (each for fid in set(bid_fid_in) for each in registry.instances_of.get(fid, ()))
            lanes = [sorted(each.seq for each in of_bids if each.project == project)]
        elif status_in is not None:
            lanes = [registry.instance_lanes[project, status] for status in set(status_in)]
        else:
            lanes = [registry.instance_lanes[(project,)]]
        keys = {
            "instance_status": lambda each: each.status,
            "instance_type_fid": lambda each: each.instance_type,
        }
        instances, cursor = page(
            registry.instances,
            lanes,
            cursor=next_cursor,
            limit=limit,
            descending=sort_dir != "asc",
            keep=lambda each: (
                (status_in is None or each.status in status_in)
                and (reservation_fid_in is None or each.reservation in reservation_fid_in)
                and (order_type_in is None or ("Reservation" if each.bid is None else "Bid") in order_type_in)
                and (instance_type is None or each.instance_type == instance_type)
                and (region is None or each.region == region)
            ),
            key=keys.get(sort_by or ""),
            order=sort_by or "created_at",
        )
        data = [views.instance_model(instance) for instance in instances]
        return models.GetInstancesResponse(data=data, next_cursor=cursor)

    @api.patch("")
    async def update_instances(body: models.PatchInstanceStatusRequest) -> models.PatchInstanceStatusResponse:
        """All or none are changed. What cannot be paused keeps its status; what cannot start is a 409."""
        instances = [found(fid) for fid in sorted(body.instances)]
        if any(instance.reservation is None for instance in instances):
            raise refused(501, "Starting and pausing is not implemented for spot instances")
        if body.status == lifecycle.PAUSED:
            for instance in instances:
                if instance.status == lifecycle.RUNNING:
                    market.nodes.pause_reserved(instance)
        else:
            stopped = [instance for instance in instances if instance.status != lifecycle.RUNNING]
            for instance in stopped:
                if instance.status not in lifecycle.STOPPED:
                    raise refused(409, f"Instance is in {instance.status}")
            for instance in stopped:
                market.nodes.start_reserved(instance)
        return models.PatchInstanceStatusResponse(instances={instance.fid: instance.status for instance in instances})

    @api.get("/{instance_fid}/status")
    async def get_instance_status(instance_fid: str) -> models.InstanceStatusResponse:
        return views.instance_status(found(instance_fid))

    def selected(
        project: str,
        instance_fid: str | None = None,
        bid_fid: str | None = None,
        reservation_fid: str | None = None,
        limit: Limit = None,
        next_cursor: str | None = None,
    ) -> Selected:
        """One page of instances, oldest first: `limit` counts instances here."""
        known_project(project)
        if instance_fid is not None:
            lane = [found(instance_fid).seq]
        elif bid_fid is not None:
            bid = known(registry.bid_by_fid, bid_fid, "Bid")
            lane = [each.seq for each in registry.instances_of.get(bid.fid, ())]
        else:
            lane = registry.instance_lanes[(project,)]
        return page(
            registry.instances,
            [lane],
            cursor=next_cursor,
            limit=limit,
            descending=False,
            keep=lambda each: (
                each.project == project
                and (bid_fid is None or each.bid == bid_fid)
                and (reservation_fid is None or each.reservation == reservation_fid)
            ),
        )

    these = Depends(selected)

    @api.get("/status/history")
    async def get_instance_status_history(
        selection: Selected = these, start_time: datetime | None = None, end_time: datetime | None = None
    ) -> models.InstanceStatusHistoryResponse:
        instances, cursor = selection
        when = span(start_time, end_time)
        histories = [views.status_history(instance, when) for instance in instances]
        return models.InstanceStatusHistoryResponse(instances=histories, next_cursor=cursor)

    @api.get("/pricing/history")
    async def get_instance_pricing_history(
        selection: Selected = these, start_time: datetime | None = None, end_time: datetime | None = None
    ) -> models.InstancePricingHistoryResponse:
        instances, cursor = selection
        when = span(start_time, end_time)
        histories = [
            views.pricing_history(instance, registry.bid_by_fid.get(instance.bid or ""), when) for instance in instances
        ]
        return models.InstancePricingHistoryResponse(instances=histories, next_cursor=cursor)

    return api
