"""Which of what there is a person's words mean; and what is told when they mean nothing, or too much."""

from __future__ import annotations

import pytest

from mithrild.fleet.choices import pick_cluster, pick_keys, pick_type, pick_volumes
from mithrild.fleet.model import InstanceType, SshKey, Volume
from mithrild.fleet.order import NoSuch, Unfit
from tests.unit.fleet_builders import cluster

HERE, THERE = "us-central5-a", "eu-central1-b"


def kind(fid: str, name: str, gpus: int = 8) -> InstanceType:
    return InstanceType(fid, name, gpus, name.partition("-")[0].upper(), 80, 1024)


TYPES = {
    one.fid: one
    for one in (
        kind("it_b200", "b200-192gb.sxm.8x"),
        kind("it_b200_eu", "b200-192gb.sxm.8x"),
        kind("it_a100", "a100-80gb.sxm.8x"),
        kind("it_a100x1", "a100-80gb.sxm.1x", 1),
        kind("it_l40", "l40s-48gb.pcie.4x", 4),
        kind("it_gone", "v100-16gb.sxm.8x"),
    )
}
MARKET = [
    (HERE, "it_b200"),
    (THERE, "it_b200_eu"),
    (HERE, "it_a100"),
    (HERE, "it_a100x1"),
    (THERE, "it_a100x1"),
    (THERE, "it_l40"),
]


@pytest.mark.parametrize(
    ("words", "region", "fid"),
    [
        ("it_b200", HERE, "it_b200"),
        ("b200-192gb.sxm.8x", HERE, "it_b200"),
        ("b200-192gb.sxm.8x", THERE, "it_b200_eu"),
        ("B200", HERE, "it_b200"),
        ("b200", THERE, "it_b200_eu"),
        ("8xa100", HERE, "it_a100"),
        ("1xA100", HERE, "it_a100x1"),
        ("8x a100-80gb", HERE, "it_a100"),
        ("a100", THERE, "it_a100x1"),
    ],
)
def test_a_type_is_meant_by_fid_name_or_beginning_in_its_region(words: str, region: str, fid: str) -> None:
    assert pick_type(words, region, TYPES, MARKET).fid == fid


@pytest.mark.parametrize(
    ("words", "region", "said", "choices"),
    [
        ("h100", HERE, "there is no type 'h100'", ("a100-80gb.sxm.1x", "a100-80gb.sxm.8x", "b200-192gb.sxm.8x")),
        ("v100", HERE, "there is no type", ("a100-80gb.sxm.1x", "a100-80gb.sxm.8x", "b200-192gb.sxm.8x")),
        ("a100", HERE, "could be any of", ("it_a100", "it_a100x1")),
        ("4xa100", HERE, "there is no type", ("a100-80gb.sxm.1x", "a100-80gb.sxm.8x", "b200-192gb.sxm.8x")),
        ("l40s", HERE, "is not offered in us-central5-a", (THERE,)),
        ("it_b200_eu", HERE, "is not offered in", (THERE,)),
        ("b200", "mars-1", "there is no region 'mars-1'", (THERE, HERE)),
        ("", HERE, "there is no type", ("a100-80gb.sxm.1x", "a100-80gb.sxm.8x", "b200-192gb.sxm.8x")),
    ],
)
def test_what_is_unknown_ambiguous_or_elsewhere_is_told_with_the_choices(
    words: str, region: str, said: str, choices: tuple[str, ...]
) -> None:
    with pytest.raises(Unfit, match=said) as caught:
        pick_type(words, region, TYPES, MARKET)
    assert isinstance(caught.value, NoSuch) == said.startswith("there is no")
    assert caught.value.choices == choices
    assert all(one in str(caught.value) for one in choices)


ADMIN = SshKey("key_1", "admin", "proj_1", "ssh-ed25519 AAAA1 admin", required=True)
LAPTOP = SshKey("key_2", "laptop", "proj_1", "ssh-ed25519 AAAA2 me@laptop")
CI = SshKey("key_3", "ci", "proj_1", "ssh-rsa AAAA3")


@pytest.mark.parametrize(
    ("named", "local", "chosen"),
    [
        ((), (), [ADMIN]),
        ((), ("ssh-ed25519 AAAA2 another comment",), [ADMIN, LAPTOP]),
        ((), ("ssh-ed25519 AAAA9 x", "", "rubbish"), [ADMIN]),
        (("ci",), ("ssh-ed25519 AAAA2 x",), [ADMIN, CI]),
        (("key_2", "laptop", "admin"), (), [ADMIN, LAPTOP]),
    ],
)
def test_keys_are_the_required_the_named_and_else_the_matching_ones(
    named: tuple[str, ...], local: tuple[str, ...], chosen: list[SshKey]
) -> None:
    assert pick_keys((ADMIN, LAPTOP, CI), named, local) == tuple(chosen)


@pytest.mark.parametrize(
    ("keys", "named", "said", "choices", "what"),
    [
        ((LAPTOP, CI), (), "name one with --ssh-key: laptop, ci", ("laptop", "ci"), "ssh_keys"),
        ((LAPTOP,), ("nobody's",), 'no SSH key "nobody\'s"', ("laptop",), ""),
        ((), (), "the project has no SSH key", (), ""),
    ],
)
def test_without_any_key_nobody_could_log_in(
    keys: tuple[SshKey, ...], named: tuple[str, ...], said: str, choices: tuple[str, ...], what: str
) -> None:
    with pytest.raises(Unfit, match=said) as caught:
        pick_keys(keys, named, ("ssh-rsa other",))
    assert isinstance(caught.value, NoSuch) == bool(named)
    assert (caught.value.choices, caught.value.what) == (choices, what)


def test_a_cluster_is_meant_by_name_or_fid() -> None:
    old, new = cluster("clust_1", "Terminated"), cluster("clust_2")
    assert pick_cluster("kube", "us-central5-a", [old, new]) is new
    assert pick_cluster("clust_2", "us-central5-a", [old, new]) is new


@pytest.mark.parametrize(
    ("word", "region", "clusters", "said"),
    [
        ("kube", HERE, [cluster("clust_1", "Terminated")], "is terminated; there are: none"),
        ("other", HERE, [cluster()], "does not exist; there are: kube"),
        ("kube", HERE, [cluster("clust_1"), cluster("clust_2")], "name one by its fid"),
        ("kube", HERE, [cluster(status="Pending")], "is pending, not available yet"),
        ("kube", THERE, [cluster()], "is in us-central5-a, not in eu-central1-b"),
    ],
)
def test_a_cluster_that_cannot_take_instances_is_told(word: str, region: str, clusters: list, said: str) -> None:  # type: ignore[type-arg]  # of clusters
    with pytest.raises(Unfit, match=said) as caught:
        pick_cluster(word, region, clusters)
    assert isinstance(caught.value, NoSuch) == (word == "other")


def test_volumes_are_in_the_region_of_the_bid() -> None:
    data = Volume("vol_1", "data", "proj_1", HERE)
    far = Volume("vol_2", "far", "proj_1", THERE)
    assert pick_volumes(["data", "vol_1"], HERE, [data, far]) == ("vol_1",)
    with pytest.raises(Unfit, match="is in eu-central1-b"):
        pick_volumes(["far"], HERE, [data, far])
    with pytest.raises(NoSuch, match="there are: data, far"):
        pick_volumes(["none"], HERE, [data, far])
