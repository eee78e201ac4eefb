"""The marketplace's answers as it sends them, read leniently. These models never leave this package.

Only what nothing can replace is required. An unknown status passes as it came, unknown fields are ignored,
and a field that cannot be read falls back to its default: a new word in one corner must never hide that
an instance is being preempted. The fields follow the API description (`BidModel`, `InstanceModel` …).
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# A length also makes pydantic look at the text itself, and refuse half a surrogate pair, which no database takes.
Word = Annotated[str, Field(min_length=1, max_length=200)]  # fids and statuses go into addresses and keys
Text = Annotated[str, Field(max_length=65_536)]  # names are what people type, or paste
Count = Annotated[int, Field(ge=0, le=2**53)]  # what JSON carries exactly, and a database integer holds
Fids = tuple[Text, ...]


class Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


Model = TypeVar("Model", bound=Wire)


class LaunchWire(Wire):
    volumes: Fids = ()
    ssh_keys: Fids = ()
    kubernetes_cluster: Text | None = None
    memory_gb: Count | None = None


class BidWire(Wire):
    fid: Word
    status: Word
    project: Word | None = None
    name: Text = ""
    created_by: Text = ""
    created_at: Any = None
    deactivated_at: Any = None
    limit_price: Any = None
    instance_quantity: Count = 1
    instance_type: Text = ""
    region: Text | None = None
    instances: Fids = ()
    launch_specification: Any = None  # read on its own, so that one bad field in it spoils only itself


class InstanceWire(Wire):
    fid: Word
    status: Word
    project: Word | None = None
    name: Text = ""
    created_by: Text = ""
    created_at: Any = None
    instance_type: Text = ""
    region: Text | None = None
    bid: Text | None = None
    reservation: Text | None = None
    ssh_destination: Text | None = None
    private_ip: Text | None = None


class InstanceStatusWire(Wire):
    fid: Word
    status: Word
    end_time: Any = None


class ClusterWire(Wire):
    """`join_command` is left out on purpose: it is a secret that nothing here needs."""

    fid: Word
    status: Word
    project: Word | None = None
    name: Text = ""
    region: Text = ""
    created_at: Any = None
    deleted_at: Any = None
    k8s_version: Text = ""
    kube_host: Text | None = None
    instances: Fids = ()
    ssh_keys: Fids = ()


class BidEventWire(Wire):
    event_type: Word
    timestamp: Any
    limit_price: Any = None
    memory_gb: Count | None = None


class StatusEventWire(Wire):
    status: Word
    timestamp: Any


class StatusHistoryWire(Wire):
    instance_fid: Word
    bid_fid: Text | None = None
    events: list[Any] = []


class AuctionWire(Wire):
    """Its own fid is not read: the market is keyed by region and instance type."""

    region: Word
    instance_type: Word
    capacity: Count
    last_instance_price: Any = None
    lowest_allocated_price: Any = None


class InstanceTypeWire(Wire):
    fid: Word
    name: Word
    num_gpus: Count = 0
    gpu_type: Text = ""
    gpu_memory_gb: Count = 0
    ram_gb: Count = 0


class MemberWire(Wire):
    fid: Word
    user_name: Text | None = None
    email: Text | None = None


class ProjectWire(Wire):
    fid: Word
    name: Text = ""


class SshKeyWire(Wire):
    fid: Word
    project: Word | None = None
    name: Text = ""
    public_key: Text = ""
    required: bool = False


class VolumeWire(Wire):
    fid: Word
    project: Word | None = None
    name: Text = ""
    region: Text = ""


class QuotaWire(Wire):
    instance_type: Word | None = None
    product_type: Text = ""
    total_quantity: Count
    used_quantity: Count = 0


class JoinWire(Wire):
    """Read only when a person asks for it: it is a secret."""

    fid: Word
    join_command: Text | None = None


class AccountWire(Wire):
    fid: Word
    organization_id: Word
    email: Text | None = None


class Unreadable(ValueError):
    """One item of an answer cannot be read. The text says what is wrong with it."""


def read(model: type[Model], raw: object) -> tuple[Model, list[str]]:
    """One item, and a note for each optional field that could not be read and holds its default instead.

    The common case is one pass in compiled code; only an item with a fault is looked at twice.
    Raises Unreadable where a required field is missing or wrong, or where `raw` is no object at all.
    """
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        faults = {str(fault["loc"][0]): fault["msg"] for fault in error.errors() if fault["loc"]}
    if not isinstance(raw, dict) or not faults:
        raise Unreadable("it is not an object")
    needed = {name: words for name, words in faults.items() if model.model_fields[name].is_required()}
    if needed:
        raise Unreadable("; ".join(f"{name}: {words}" for name, words in needed.items()))
    rest = {name: value for name, value in raw.items() if name not in faults}
    return model.model_validate(rest), [f"{name}: {words}" for name, words in faults.items()]
