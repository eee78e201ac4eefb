"""What the vendor's client shows of the sandbox's types, clusters, and ways into its machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Sandbox
from tests.acceptance.vendor import Vendor, at_rest, timed


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with at_rest(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def ml(tmp_path: Path, sandbox: Sandbox) -> Vendor:
    return Vendor(tmp_path, sandbox)


def types(sandbox: Sandbox, *regions: str) -> list[dict[str, Any]]:
    """Every type where there is an auction for it, in the client's words."""
    kinds = {kind["fid"]: kind for kind in sandbox.get("/v2/instance-types")}
    return [
        {
            "fid": kind["fid"],
            "name": kind["name"],
            "region": auction["region"],
            "capacity": auction["capacity"],
            "spot_price": auction["last_instance_price"],
            "win_price": auction["lowest_allocated_price"],
            "gpu_count": kind["num_gpus"],
            "gpu_type": kind["gpu_type"],
            "gpu_memory_gb": kind["gpu_memory_gb"],
            "ram_gb": kind["ram_gb"],
        }
        for auction in sandbox.get("/v2/spot/availability")
        if not regions or auction["region"] in regions
        for kind in [kinds[auction["instance_type"]]]
    ]


def in_order(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(shown, key=lambda one: (one["fid"], one["region"]))


def test_types_are_shown_with_their_prices_per_region(ml: Vendor, sandbox: Sandbox) -> None:
    done = ml.run("instance", "list-types")
    assert sorted(done.asked) == ["GET /v2/instance-types", "GET /v2/spot/availability"]
    header, *rows = done.table()
    assert header == ["Name", "FID", "GPUs", "Region", "Capacity", "Spot Price", "Win Price"]
    assert sorted(rows) == sorted(
        [
            one["name"],
            one["fid"],
            f"{one['gpu_count']}x {one['gpu_type']}",
            one["region"],
            str(one["capacity"]),
            f"{one['spot_price']}/hr",
            f"{one['win_price']}/hr" if one["win_price"] else "-",
        ]
        for one in types(sandbox)
    )
    assert f"Total: {len(types(sandbox))} entries" in done.out


def test_types_of_one_region_at_length_and_as_json(ml: Vendor, sandbox: Sandbox) -> None:
    header, *rows = ml.run("instance", "list-types", "-v", "-r", "eu-central1-a").table()
    assert header[2:6] == ["GPU Type", "GPU Count", "GPU Mem", "RAM"]
    assert sorted(row[:6] for row in rows) == sorted(
        [
            one["name"],
            one["fid"],
            one["gpu_type"],
            str(one["gpu_count"]),
            f"{one['gpu_memory_gb']}GB",
            f"{one['ram_gb']}GB",
        ]
        for one in types(sandbox, "eu-central1-a")
    )
    shown = ml.run("instance", "list-types", "--json").document()
    assert in_order(shown) == in_order(types(sandbox))
    assert "No instance types" in ml.run("instance", "list-types", "-r", "nowhere").out


@pytest.mark.parametrize(("flags", "ended"), [((), False), (("--all",), True)])
def test_clusters_of_all_projects_and_their_instances(
    ml: Vendor, sandbox: Sandbox, flags: tuple[str, ...], ended: bool
) -> None:
    projects = {project["fid"]: project["name"] for project in sandbox.get("/v2/projects")}
    clusters = [
        cluster
        for project in projects
        for cluster in sandbox.get(f"/v2/kubernetes/clusters?project={project}")
        if ended or cluster["status"] != "Terminated"
    ]
    done = ml.run("k8s", "list", *flags)
    assert {each for each in done.asked if "clusters" in each} == {
        f"GET /v2/kubernetes/clusters?project={project}" for project in projects
    }
    header, *rows = done.table()
    assert header == ["Name", "Project", "Region", "Status", "Active", "Age"]
    assert sorted(row[:-1] for row in rows) == sorted(
        [each["name"], projects[each["project"]], each["region"], each["status"], str(len(each["instances"]))]
        for each in clusters
    )
    shown = {each["fid"]: each for each in ml.run("k8s", "list", *flags, "--json").document()["clusters"]}
    assert shown.keys() == {each["fid"] for each in clusters}
    for each in clusters:
        assert shown[each["fid"]]["kube_host"] == each["kube_host"]
        assert shown[each["fid"]]["ssh_keys"] == each["ssh_keys"]
        assert shown[each["fid"]]["total_instances"] == len(each["instances"])


def test_one_cluster_by_name_and_by_fid(ml: Vendor, sandbox: Sandbox) -> None:
    cluster = sandbox.get("/v2/kubernetes/clusters/clust_train")
    facts = ml.run("k8s", "info", "train").facts()
    assert (facts["FID"], facts["Status"], facts["Active Instances"]) == ("clust_train", "Available", "2/2")
    assert (facts["Kube Host"], facts["SSH Keys"]) == (cluster["kube_host"], "admin")

    done = ml.run("k8s", "info", "clust_train", "--json")
    assert "GET /v2/kubernetes/clusters/clust_train" in done.asked
    shown = done.document()
    assert timed(shown["cluster"]).items() >= {"created_at": timed(cluster)["created_at"], "fid": "clust_train"}.items()
    assert shown["cluster"]["join_command"] == cluster["join_command"]
    assert shown["cluster"]["ssh_keys"] == [{"fid": "sshkey_admin", "name": "admin"}]
    assert {each["fid"] for each in shown["instances"]} == set(cluster["instances"])

    assert ml.run("k8s", "info", "nosuch", code=1).err.endswith("Cluster 'nosuch' not found\n")


@pytest.mark.parametrize("command", [("ssh",), ("instance", "ssh")])
def test_the_way_into_a_machine_is_its_address(ml: Vendor, sandbox: Sandbox, command: tuple[str, ...]) -> None:
    (bid,) = [each for each in sandbox.get("/sandbox/state")["bids"] if each["name"] == "train"]
    addresses = {each["name"]: each["ssh_destination"] for each in bid["instances"]}
    assert not any(":" in address for address in addresses.values()), "with a port the client gets it wrong by itself"

    def shown(*words: str) -> list[str]:
        done = ml.run(*command, *words)
        assert done.asked == [
            "GET /v2/spot/bids?name=train",
            f"GET /v2/instances?project=proj_demo&bid_fid_in={bid['fid']}",
        ]
        return [line for line in done.out.splitlines() if line.startswith("[")]

    first, second = f"ssh ubuntu@{addresses['train-0']}", f"ssh ubuntu@{addresses['train-1']}"
    assert shown("train", "--show") == [f"[node-0] {first}"]
    assert shown("train", "--show", "--node", "1") == [f"[node-1] {second}"]
    assert shown("train", "--show", "uptime") == [f"[node-0] {first} uptime", f"[node-1] {second} uptime"]


def test_an_open_bid_has_no_way_in(ml: Vendor) -> None:
    assert "No instances found for bid 'bargain'" in ml.run("ssh", "bargain", "--show", "--no-wait", code=1).err


def test_the_way_into_a_cluster_is_its_host(ml: Vendor, sandbox: Sandbox) -> None:
    host = f"ubuntu@{sandbox.get('/v2/kubernetes/clusters/clust_train')['kube_host']}"
    assert ml.run("k8s", "ssh", "train", "--show", "-i", "/keys/mine").out == f"ssh -i /keys/mine {host}\n"
    said = ml.run("k8s", "ssh", "--show", "-i", "/keys/mine", "train", "uptime").out
    assert said == f"ssh -i /keys/mine {host} uptime\n"
