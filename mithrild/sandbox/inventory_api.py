"""The rest of `/v2`: the account, its volumes, quotas and clusters, and the prices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from mithrild.sandbox import catalog, models, views
from mithrild.sandbox.agenda import stamp
from mithrild.sandbox.lifecycle import BidStatus
from mithrild.sandbox.market import Market, Stall
from mithrild.sandbox.models import dollars
from mithrild.sandbox.queries import Span, known_project, span
from mithrild.sandbox.refusals import known, unknown
from mithrild.sandbox.state import FOUNDED


def router(market: Market) -> APIRouter:
    api = APIRouter()
    registry = market.registry
    founded = stamp(market.started_at - FOUNDED)

    @api.get("/v2/me")
    async def get_me() -> models.MeResponse:
        me = catalog.ME
        return models.MeResponse(
            id=me.id,
            fid=me.fid,
            email=me.email,
            user_name=me.name,
            organization_id=catalog.ORGANIZATION,
            organization_role=me.role,
        )

    @api.get("/v2/me/teammates")
    async def get_teammates() -> list[models.TeammateResponse]:
        return [
            models.TeammateResponse(
                id=user.id,
                fid=user.fid,
                user_name=user.name,
                email=user.email,
                organization_role=user.role,
                project_ids=list(user.projects),
            )
            for user in catalog.USERS
        ]

    @api.get("/users/{user_id}/billing_check")
    async def billing_check(user_id: str) -> models.BillingCheck:
        if user_id not in {word for user in catalog.USERS for word in (user.id, user.fid)}:
            raise unknown("User")
        return models.BillingCheck(code="ok", message="")

    @api.get("/v2/projects")
    async def get_projects() -> list[models.ProjectModel]:
        return [models.ProjectModel(fid=fid, name=name, created_at=founded) for fid, name in catalog.PROJECTS.items()]

    @api.get("/v2/volumes")
    async def get_volumes(
        project: str, region: str | None = None, include_deleted: bool = False
    ) -> list[models.VolumeModel]:
        known_project(project)
        return [
            _volume(market, volume)
            for volume in catalog.VOLUMES
            if volume.project == project
            and (region is None or volume.region == region)
            and (include_deleted or not volume.deleted)
        ]

    @api.get("/v2/quotas")
    async def get_quotas(project: str) -> list[models.QuotaModel]:
        known_project(project)
        used = dict.fromkeys(catalog.TYPE_BY_FID, 0)
        for bid in registry.unended_bids(project):
            if bid.status in (BidStatus.ALLOCATED, BidStatus.PREEMPTING):
                used[bid.instance_type] += bid.quantity
        return [
            models.QuotaModel(
                fid=f"quota_{project}_{kind.fid}",
                project=project,
                instance_type=kind.fid,
                product_type="Spot",
                total_quantity=catalog.SPOT_QUOTA,
                used_quantity=used[kind.fid],
                units="instances",
                name=f"{kind.name} spot instances",
            )
            for kind in catalog.TYPES
        ]

    @api.get("/v2/instance-types")
    async def get_instance_types() -> list[models.InstanceTypeModel]:
        return [views.type_model(kind) for kind in catalog.TYPES]

    @api.get("/v2/kubernetes/clusters")
    async def get_clusters(project: str) -> list[models.KubernetesClusterModel]:
        known_project(project)
        return [views.cluster_model(each, registry) for each in registry.clusters.values() if each.project == project]

    @api.get("/v2/kubernetes/clusters/{cluster_fid}")
    async def get_cluster(cluster_fid: str) -> models.KubernetesClusterModel:
        return views.cluster_model(known(registry.clusters, cluster_fid, "Kubernetes cluster"), registry)

    @api.get("/v2/pricing/current")
    async def get_current_prices(
        instance_type: str,
        region: str | None = None,
        instance_quantity: Annotated[int, Query(ge=1, le=256)] = 1,
    ) -> models.CurrentPricesResponse:
        """Without a region: the cheapest one of the type."""
        stalls = _stalls(market, instance_type, region)
        if not stalls:
            raise unknown("Instance type")
        stall = min(stalls, key=lambda each: each.outcome.price_cents)
        lowest = stall.outcome.lowest_winning_cents
        free = stall.place.capacity - market.allocated(stall.place.key)
        price = stall.outcome.price_cents
        return models.CurrentPricesResponse(
            spot_price_cents=price,
            reserved_price_cents=stall.place.reserved_cents,
            minimum_price_cents=stall.place.minimum_cents,
            lowest_allocated_bid_cents=lowest,
            dynamic_win_price_cents=price if free >= instance_quantity else (lowest or price) + 1,
            available_capacity=free,
            total_capacity=stall.place.capacity,
        )

    @api.get("/v2/pricing/history")
    async def get_price_history(
        instance_types: str | None = None,
        region: str | None = None,
        num_samples: Annotated[int, Query(ge=-1, le=1000)] = 100,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> models.HistoricalPricesResponseModel:
        wanted = None if instance_types is None else set(instance_types.split(","))
        when = span(start_time, end_time)
        return models.HistoricalPricesResponseModel(
            series=[
                _series(stall, num_samples, when)
                for stall in market.stalls.values()
                if (wanted is None or stall.place.instance_type in wanted)
                and (region is None or stall.place.region == region)
            ]
        )

    return api


def _stalls(market: Market, instance_type: str, region: str | None) -> list[Stall]:
    return [
        stall
        for stall in market.stalls.values()
        if stall.place.instance_type == instance_type and region in (None, stall.place.region)
    ]


def _series(stall: Stall, samples: int, when: Span) -> models.HistoricalPriceSeriesModel:
    """At most `samples` points, evenly taken and with the newest among them; -1 takes all."""
    points = [(shown, cents) for at, cents in stall.prices if (shown := stamp(at)) in when]
    if 0 <= samples < len(points):
        step = len(points) / samples if samples else 0
        points = [points[len(points) - 1 - int(number * step)] for number in range(samples)][::-1]
    return models.HistoricalPriceSeriesModel(
        instance_type=stall.place.instance_type,
        region=stall.place.region,
        timestamps=[at for at, _ in points],
        spot_prices=[dollars(cents) for _, cents in points],
        reserved_prices=[dollars(stall.place.reserved_cents)] * len(points),
    )


def _volume(market: Market, volume: catalog.Volume) -> models.VolumeModel:
    created = market.started_at - volume.age
    using = [bid for bid in market.registry.unended_bids(volume.project) if volume.fid in bid.launch.volumes]
    return models.VolumeModel(
        fid=volume.fid,
        name=volume.name,
        region=volume.region,
        created_at=stamp(created),
        deleted_at=stamp(created + volume.age / 2) if volume.deleted else None,
        capacity_gb=volume.capacity_gb,
        project=volume.project,
        interface=models.Interface(volume.interface),
        bids=[bid.fid for bid in using],
        reservations=[],
        attachments={fid: volume.name for bid in using for fid in bid.instances},
    )
