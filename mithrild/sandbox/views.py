"""What the marketplace remembers, in the shape of its API."""

from __future__ import annotations

from mithrild.sandbox import catalog
from mithrild.sandbox.agenda import stamp
from mithrild.sandbox.lifecycle import FINAL
from mithrild.sandbox.models import (
    BidHistoryEventModel,
    BidHistoryResponse,
    BidModel,
    InstanceModel,
    InstancePricingEvent,
    InstancePricingHistory,
    InstanceStatusEvent,
    InstanceStatusHistory,
    InstanceStatusResponse,
    InstanceTypeModel,
    KubernetesClusterModel,
    dollars,
)
from mithrild.sandbox.nodes import visible_address, visible_private_ip
from mithrild.sandbox.queries import Span
from mithrild.sandbox.state import Bid, Cluster, Instance, Registry


def bid_model(bid: Bid) -> BidModel:
    return BidModel(
        fid=bid.fid,
        name=bid.name,
        project=bid.project,
        created_by=bid.created_by,
        created_at=stamp(bid.created_at),
        deactivated_at=None if bid.deactivated_at is None else stamp(bid.deactivated_at),
        limit_price=dollars(bid.limit_cents),
        instance_quantity=bid.quantity,
        instance_type=bid.instance_type,
        region=bid.region,
        instances=bid.instances,
        launch_specification=bid.launch,
        status=bid.status,
    )


def bid_history(bid: Bid) -> BidHistoryResponse:
    events = [
        BidHistoryEventModel(
            timestamp=stamp(event.at),
            event_type=event.kind,
            limit_price=None if event.limit_cents is None else dollars(event.limit_cents),
            user_id=event.user,
            memory_gb=event.memory_gb,
            persistent_disk_change=event.disk,
        )
        for event in bid.history
    ]
    return BidHistoryResponse(bid_fid=bid.fid, events=events)


def instance_model(instance: Instance) -> InstanceModel:
    return InstanceModel(
        fid=instance.fid,
        name=instance.name,
        project=instance.project,
        created_at=stamp(instance.created_at),
        created_by=instance.created_by,
        instance_type=instance.instance_type,
        region=instance.region,
        bid=instance.bid,
        reservation=instance.reservation,
        ssh_destination=visible_address(instance),
        private_ip=visible_private_ip(instance),
        status=instance.status,
    )


def instance_status(instance: Instance) -> InstanceStatusResponse:
    return InstanceStatusResponse(
        fid=instance.fid,
        name=instance.name,
        status=instance.status,
        bid=instance.bid,
        reservation=instance.reservation,
        end_time=None if instance.end_time is None else stamp(instance.end_time),
    )


def status_history(instance: Instance, when: Span) -> InstanceStatusHistory:
    """The events of one instance within the span, oldest first."""
    return InstanceStatusHistory(
        instance_fid=instance.fid,
        events=[
            InstanceStatusEvent(timestamp=shown, status=status)
            for at, status in instance.history
            if (shown := stamp(at)) in when
        ],
        bid_fid=instance.bid,
        reservation_fid=instance.reservation,
    )


def pricing_history(instance: Instance, bid: Bid | None, when: Span) -> InstancePricingHistory:
    """What the instance cost, period by period, as far as it was there. A reserved one has no periods here."""
    events = []
    gone = instance.history[-1][0] if instance.status in FINAL else None
    for period in bid.prices if bid is not None else ():
        too_early = period.end is not None and period.end <= instance.created_at
        too_late = gone is not None and period.start >= gone
        if too_early or too_late:
            continue
        start = stamp(max(period.start, instance.created_at))
        end = None if period.end is None else stamp(period.end)
        if not when.after(start) and not (end is not None and when.before(end)):
            events.append(InstancePricingEvent(price_cents=period.cents, start_time=start, end_time=end))
    return InstancePricingHistory(
        instance_fid=instance.fid,
        events=events,
        bid_fid=instance.bid,
        reservation_fid=instance.reservation,
    )


def cluster_model(cluster: Cluster, registry: Registry) -> KubernetesClusterModel:
    members = [
        fid
        for bid in registry.unended_bids(cluster.project)
        if bid.launch.kubernetes_cluster == cluster.fid
        for fid in bid.instances
    ]
    return KubernetesClusterModel(
        fid=cluster.fid,
        project=cluster.project,
        name=cluster.name,
        region=cluster.region,
        created_at=stamp(cluster.created_at),
        kube_host=cluster.kube_host,
        ssh_keys=cluster.ssh_keys,
        instances=members,
        join_command=cluster.join_command,
        status=cluster.status,
        deleted_at=None if cluster.deleted_at is None else stamp(cluster.deleted_at),
        k8s_version="1.34",
        user_fid=cluster.user,
    )


def type_model(kind: catalog.InstanceType) -> InstanceTypeModel:
    return InstanceTypeModel(
        fid=kind.fid,
        name=kind.name,
        num_cpus=kind.cpus,
        cpu_type=kind.cpu,
        ram_gb=kind.ram_gb,
        num_gpus=kind.gpus,
        gpu_type=kind.gpu,
        gpu_memory_gb=kind.gpu_memory_gb,
        gpu_socket=kind.socket,
        local_storage_gb=kind.storage_gb,
        network_type="InfiniBand" if kind.infiniband else "Ethernet",
        ib_count=kind.infiniband,
        bridge_count=0,
    )
