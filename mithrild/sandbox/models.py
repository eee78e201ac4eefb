"""The bodies of the `/v2` API, field by field as its description has them.

Only an instance's status is any word here: the marketplace shows some that its own description leaves out.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from mithrild.sandbox.lifecycle import BidEvent, BidStatus, ClusterStatus

_DOLLARS = r"\$([0-9]{1,9})(?:\.([0-9]{1,2}))?"


def cents(price: str) -> int:
    """`"$8.00"` as 800. Raises ValueError for what is not a positive number of dollars, exact in cents."""
    match = re.fullmatch(_DOLLARS, price)
    if match is None:
        raise ValueError('price must be dollars such as "$8.00"')
    value = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if value == 0:
        raise ValueError("price must be greater than zero")
    return value


def dollars(value: int) -> str:
    """800 as `"$8.00"`."""
    return f"${value // 100}.{value % 100:02d}"


def _checked(price: str) -> str:
    cents(price)
    return price


Price = Annotated[str, AfterValidator(_checked), Field(json_schema_extra={"pattern": f"^{_DOLLARS}$"})]


class LaunchSpecification(BaseModel):
    volumes: list[str]
    ssh_keys: list[str]
    startup_script: str | None = None
    kubernetes_cluster: str | None = None
    image_version: str | None = None
    memory_gb: int | None = None


class BidModel(BaseModel):
    fid: str
    name: str
    project: str
    created_by: str
    created_at: datetime
    deactivated_at: datetime | None = None
    limit_price: str
    instance_quantity: int
    instance_type: str
    region: str | None = None
    instances: list[str]
    launch_specification: LaunchSpecification
    status: BidStatus


class GetBidsResponse(BaseModel):
    data: list[BidModel]
    next_cursor: str | None = None


class CreateBidRequest(BaseModel):
    project: str
    region: str
    instance_type: str
    limit_price: Price
    instance_quantity: int = Field(ge=1)
    name: str
    launch_specification: LaunchSpecification
    notification_email: str | None = None


class UpdateBidRequest(BaseModel):
    limit_price: Price | None = None
    paused: bool | None = None
    volumes: list[str] | None = None
    memory_gb: int | None = None


class BidStatusResponse(BaseModel):
    bid_fid: str
    status: BidStatus | Literal["Relocating"]


class PersistentDiskChange(BaseModel):
    attached: str | None = None
    removed: str | None = None


class BidHistoryEventModel(BaseModel):
    timestamp: datetime
    event_type: BidEvent
    limit_price: str | None = None
    user_id: str | None = None
    memory_gb: int | None = None
    persistent_disk_change: PersistentDiskChange | None = None


class BidHistoryResponse(BaseModel):
    bid_fid: str
    events: list[BidHistoryEventModel]


class AuctionModel(BaseModel):
    fid: str
    instance_type: str
    region: str
    capacity: int
    last_instance_price: str
    lowest_allocated_price: str | None = None
    adjustable_memory: bool
    default_image_version: str | None = None


class InstanceModel(BaseModel):
    fid: str
    name: str
    project: str
    created_at: datetime
    created_by: str
    instance_type: str
    region: str | None = None
    bid: str | None = None
    reservation: str | None = None
    ssh_destination: str | None = None
    private_ip: str | None = None
    status: str


class GetInstancesResponse(BaseModel):
    data: list[InstanceModel]
    next_cursor: str | None = None


class PatchInstanceStatusRequest(BaseModel):
    instances: set[str]
    status: Literal["STATUS_RUNNING", "STATUS_PAUSED"]


class PatchInstanceStatusResponse(BaseModel):
    instances: dict[str, str]


class InstanceStatusResponse(BaseModel):
    fid: str
    name: str
    status: str
    bid: str | None = None
    reservation: str | None = None
    end_time: datetime | None = None


class InstanceStatusEvent(BaseModel):
    timestamp: datetime
    status: str


class InstanceStatusHistory(BaseModel):
    instance_fid: str
    events: list[InstanceStatusEvent]
    bid_fid: str | None = None
    reservation_fid: str | None = None


class InstanceStatusHistoryResponse(BaseModel):
    instances: list[InstanceStatusHistory]
    next_cursor: str | None = None


class InstancePricingEvent(BaseModel):
    price_cents: int
    start_time: datetime
    end_time: datetime | None


class InstancePricingHistory(BaseModel):
    instance_fid: str
    events: list[InstancePricingEvent]
    bid_fid: str | None = None
    reservation_fid: str | None = None


class InstancePricingHistoryResponse(BaseModel):
    instances: list[InstancePricingHistory]
    next_cursor: str | None = None


class CurrentPricesResponse(BaseModel):
    spot_price_cents: int | None = None
    reserved_price_cents: int | None = None
    minimum_price_cents: int | None = None
    lowest_allocated_bid_cents: int | None = None
    dynamic_win_price_cents: int | None = None
    available_capacity: int | None = None
    total_capacity: int | None = None


class HistoricalPriceSeriesModel(BaseModel):
    instance_type: str
    region: str
    timestamps: list[datetime]
    spot_prices: list[str]
    reserved_prices: list[str]
    region_disabled: bool = False


class HistoricalPricesResponseModel(BaseModel):
    series: list[HistoricalPriceSeriesModel]
    complete: bool = True


class KubernetesClusterModel(BaseModel):
    fid: str
    project: str
    name: str
    region: str
    created_at: datetime
    kube_host: str | None = None
    ssh_keys: list[str]
    instances: list[str]
    join_command: str | None = None
    status: ClusterStatus
    deleted_at: datetime | None = None
    k8s_version: str
    user_fid: str | None = None


class InstanceTypeModel(BaseModel):
    fid: str
    name: str
    num_cpus: int
    cpu_type: str
    ram_gb: int
    num_gpus: int
    gpu_type: str
    gpu_memory_gb: int
    gpu_socket: str
    local_storage_gb: int
    network_type: str | None = None
    ib_count: int
    bridge_count: int


class ProjectModel(BaseModel):
    fid: str
    name: str
    created_at: datetime


class SshKeyModel(BaseModel):
    fid: str
    name: str
    project: str
    public_key: str
    created_at: datetime
    required: bool


class CreateSshKeyRequest(BaseModel):
    project: str
    name: str
    public_key: str | None = None
    required: bool = False


class CreatedSshKeyModel(SshKeyModel):
    private_key: str | None = None


class UpdateSshKeyRequest(BaseModel):
    required: bool


class Interface(StrEnum):
    BLOCK = "Block"
    FILE = "File"


class VolumeModel(BaseModel):
    fid: str
    name: str
    region: str
    created_at: datetime
    deleted_at: datetime | None
    capacity_gb: int
    project: str
    interface: Interface
    bids: list[str]
    reservations: list[str]
    attachments: dict[str, str]


class QuotaModel(BaseModel):
    fid: str
    project: str
    instance_type: str | None = None
    product_type: str
    total_quantity: int = Field(ge=0)
    used_quantity: int = Field(ge=0)
    units: str
    name: str


class MeResponse(BaseModel):
    id: str
    fid: str
    email: str = Field(json_schema_extra={"format": "email"})
    user_name: str | None = None
    organization_id: str
    organization_role: str | None = None


class TeammateResponse(BaseModel):
    id: str
    fid: str
    user_name: str | None = None
    email: str | None = None
    organization_role: str | None = None
    project_ids: list[str]
    deactivated_at: datetime | None = None


class BillingCheck(BaseModel):
    code: str
    message: str
