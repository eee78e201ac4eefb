"""What the marketplace offers and whom it knows: types, regions, markets, one account with two projects."""

from __future__ import annotations

from dataclasses import dataclass

KEY = "fkey_sandbox"
PROJECT = "proj_demo"
SECOND_PROJECT = "proj_research"
ORGANIZATION = "org_sandbox"
PROJECTS = {PROJECT: "demo", SECOND_PROJECT: "research"}
IMAGE = "imgver_ubuntu2404"


@dataclass(frozen=True, slots=True)
class InstanceType:
    """Memory and storage in GB, per instance."""

    fid: str
    name: str
    gpus: int
    gpu: str
    gpu_memory_gb: int
    socket: str
    cpus: int
    cpu: str
    ram_gb: int
    storage_gb: int
    infiniband: int


@dataclass(frozen=True, slots=True)
class Place:
    """One auction: a type in a region. Rivals bid between `low_cents` and `high_cents` an instance-hour."""

    auction: str
    instance_type: str
    region: str
    capacity: int
    minimum_cents: int
    low_cents: int
    high_cents: int
    reserved_cents: int

    @property
    def key(self) -> tuple[str, str]:
        return (self.region, self.instance_type)


@dataclass(frozen=True, slots=True)
class User:
    id: str
    fid: str
    name: str
    email: str
    role: str
    projects: tuple[str, ...]


def _big(fid: str, name: str, gpu: str, memory: int, cpus: int, ram: int) -> InstanceType:
    return InstanceType(fid, name, 8, gpu, memory, "SXM", cpus, "Intel Xeon", ram, 24_000, 8)


# A type name may have another fid in another region: three of these names do.
TYPES = (
    _big("it_b200usc5a01", "b200-192gb.sxm.8x", "B200", 192, 224, 2048),
    _big("it_b200eucb102", "b200-192gb.sxm.8x", "B200", 192, 224, 2048),
    _big("it_h200use1a03", "h200-141gb.sxm.8x", "H200", 141, 192, 2048),
    _big("it_h100usc1a04", "h100-80gb.sxm.8x", "H100", 80, 192, 1536),
    _big("it_h100euc1a05", "h100-80gb.sxm.8x", "H100", 80, 192, 1536),
    _big("it_a100usc2a06", "a100-80gb.sxm.8x", "A100", 80, 112, 1024),
    InstanceType("it_a100x1usc07", "a100-80gb.sxm.1x", 1, "A100", 80, "SXM", 14, "AMD EPYC", 120, 1_500, 0),
    InstanceType("it_l40smec1a08", "l40s-48gb.pcie.4x", 4, "L40S", 48, "PCIe", 64, "AMD EPYC", 512, 4_000, 0),
    _big("it_h200euc1b09", "h200-141gb.sxm.8x", "H200", 141, 192, 2048),
    InstanceType("it_h100x1usc10", "h100-80gb.sxm.1x", 1, "H100", 80, "SXM", 24, "Intel Xeon", 192, 3_000, 0),
    InstanceType("it_gb200use1a11", "gb200-192gb.sxm.4x", 4, "GB200", 192, "SXM", 144, "NVIDIA Grace", 960, 12_000, 4),
    InstanceType("it_a40usc1b12", "a40-48gb.pcie.4x", 4, "A40", 48, "PCIe", 64, "AMD EPYC", 512, 4_000, 0),
)

PLACES = (
    Place("auc_b200usc5a", "it_b200usc5a01", "us-central5-a", 32, 400, 900, 1900, 3600),
    Place("auc_b200euc1b", "it_b200eucb102", "eu-central1-b", 16, 400, 900, 2600, 3800),
    Place("auc_h200use1a", "it_h200use1a03", "us-east1-a", 24, 300, 700, 2000, 2900),
    Place("auc_h100usc1a", "it_h100usc1a04", "us-central1-a", 48, 200, 500, 1100, 2300),
    Place("auc_h100euc1a", "it_h100euc1a05", "eu-central1-a", 24, 200, 450, 1500, 2400),
    Place("auc_a100usc2a", "it_a100usc2a06", "us-central2-a", 40, 100, 300, 550, 1200),
    Place("auc_a100usc1b", "it_a100x1usc07", "us-central1-b", 64, 20, 40, 140, 180),
    # One fid in two regions: the region is part of the key, not of the type.
    Place("auc_a100euc1a", "it_a100x1usc07", "eu-central1-a", 32, 20, 40, 160, 190),
    Place("auc_l40smec1a", "it_l40smec1a08", "me-central1-a", 20, 40, 100, 320, 500),
    Place("auc_h200euc1b", "it_h200euc1b09", "eu-central1-b", 16, 300, 700, 2100, 3000),
    Place("auc_h100x1us1a", "it_h100x1usc10", "us-central1-a", 32, 30, 80, 220, 300),
    Place("auc_gb200use1a", "it_gb200use1a11", "us-east1-a", 18, 500, 1000, 2400, 3200),
    Place("auc_a40usc1b", "it_a40usc1b12", "us-central1-b", 24, 40, 90, 260, 400),
)

USERS = (
    User("0b0e9d2c-8a55-4f0b-9d7e-1f6f2f0c6a01", "user_sam", "Sam Sandbox", "sam@sandbox.example", "Owner",
         (PROJECT, SECOND_PROJECT)),
    User("5d1c3c0e-7a43-4a7b-8f36-6a4a1c9b2e02", "user_noor", "Noor Rahimi", "noor@sandbox.example", "Member",
         (PROJECT,)),
    User("c7f4c6d1-2e19-4c53-b0f5-3d2f8e7a4b03", "user_jun", "Jun Park", "jun@sandbox.example", "Member",
         (SECOND_PROJECT,)),
)  # fmt: skip
ME = USERS[0]


@dataclass(frozen=True, slots=True)
class SshKey:
    fid: str
    name: str
    project: str
    public_key: str
    required: bool


def _key(fid: str, name: str, project: str, body: str, *, required: bool = False) -> SshKey:
    # No such key pair exists: the body only has the form of one.
    return SshKey(fid, name, project, f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA{body:A<42} {name}", required)


SSH_KEYS = (
    _key("sshkey_admin", "admin", PROJECT, "SandboxAdmin", required=True),
    _key("sshkey_laptop", "laptop", PROJECT, "SandboxLaptop"),
    _key("sshkey_ci", "ci", PROJECT, "SandboxCi"),
    _key("sshkey_research", "research", SECOND_PROJECT, "SandboxResearch"),
)

SPOT_QUOTA = 64
"""Instances of one type that a project may have allocated at once."""


@dataclass(frozen=True, slots=True)
class Volume:
    """`age` is in seconds before the start."""

    fid: str
    name: str
    project: str
    region: str
    capacity_gb: int
    interface: str
    age: float
    deleted: bool = False


VOLUMES = (
    Volume("vol_datasets", "datasets", PROJECT, "us-central5-a", 2_000, "Block", 30 * 86_400),
    Volume("vol_scratch", "scratch", PROJECT, "us-central1-a", 500, "File", 9 * 86_400, deleted=True),
)


@dataclass(frozen=True, slots=True)
class ClusterSeed:
    """A cluster of the account at start. A pending one becomes available only if it `ripens`."""

    fid: str
    name: str
    project: str
    region: str
    status: str
    age: float
    ripens: bool = False


CLUSTERS = (
    ClusterSeed("clust_train", "train", PROJECT, "us-central5-a", "Available", 6 * 86_400),
    ClusterSeed("clust_eval", "eval", PROJECT, "us-central1-a", "Available", 3 * 86_400),
    ClusterSeed("clust_fresh", "fresh", PROJECT, "us-central2-a", "Pending", 60, ripens=True),
    ClusterSeed("clust_queued", "queued", PROJECT, "us-east1-a", "Pending", 30),
    ClusterSeed("clust_old", "old", PROJECT, "us-central1-a", "Terminated", 40 * 86_400),
    ClusterSeed("clust_research", "research", SECOND_PROJECT, "eu-central1-a", "Available", 86_400),
)

TYPE_BY_FID = {kind.fid: kind for kind in TYPES}
PLACE_BY_KEY = {place.key: place for place in PLACES}
REGIONS = frozenset(place.region for place in PLACES)
