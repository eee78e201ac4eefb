"""Which instance is node 0."""

from __future__ import annotations

from typing import Any

import pytest

from mithril_cli import nodes

Object = dict[str, Any]


def one(name: str, status: str = "STATUS_RUNNING", **changes: Any) -> Object:
    return {"fid": f"inst_{name}", "name": name, "status": status, "gone": False, "ssh_destination": "h", **changes}


def numbered(*instances: Object, wanted: int = 1) -> list[str]:
    return [str(each["name"]) for each in nodes.of({"instance_details": list(instances), "instances_wanted": wanted})]


def test_names_are_sorted_as_a_person_counts() -> None:
    names = ["train-10", "train-2", "train-1", "train-0", "train-02", "a", "train"]
    assert numbered(*map(one, names)) == ["a", "train", "train-0", "train-1", "train-02", "train-2", "train-10"]


def test_node_numbers_do_not_count_dead_instances() -> None:
    dead = [one("t-0", "STATUS_TERMINATED"), one("t-1", "STATUS_REPLACED"), one("t-2", gone=True)]
    assert numbered(*dead, one("t-4"), one("t-3"), wanted=2) == ["t-3", "t-4"]


@pytest.mark.parametrize("status", ["STATUS_ERROR", "STATUS_PREEMPTED", "STATUS_STOPPED", "STATUS_STOPPING"])
def test_an_instance_at_rest_keeps_its_number_until_another_stands_in_its_place(status: str) -> None:
    assert numbered(one("t-0", status), one("t-1"), wanted=2) == ["t-0", "t-1"]
    assert numbered(one("t-0", status), one("t-1"), one("t-2"), wanted=2) == ["t-1", "t-2"]


def test_a_status_that_nobody_knows_counts() -> None:
    assert numbered(one("t-0", "STATUS_DREAMING")) == ["t-0"]


@pytest.mark.parametrize("status", ["STATUS_RUNNING", "STATUS_PREEMPTING", "STATUS_RELOCATING"])
def test_a_machine_can_be_reached_until_its_notice_has_run_out(status: str) -> None:
    assert nodes.address(one("t", status)) == "h"


@pytest.mark.parametrize("status", ["STATUS_STARTING", "STATUS_STOPPED", "STATUS_PREEMPTED", "STATUS_DREAMING"])
def test_an_address_from_before_is_not_dialled(status: str) -> None:
    assert nodes.address(one("t", status)) is None


@pytest.mark.parametrize("told", [None, "", 7])
def test_a_machine_without_an_address_has_none(told: object) -> None:
    assert nodes.address(one("t", ssh_destination=told)) is None
