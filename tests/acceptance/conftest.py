"""What several files look at. Each has one of its own; a file that needs another makes it under the same name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import kubeconfig_rig
from tests.acceptance.instance_rig import Rig, open_rig
from tests.acceptance.kubeconfig_rig import Person, World


@pytest.fixture(scope="module")
def two_projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Both are watched: demo, which is configured, has train, eval and notebook; research has bargain and parked."""
    with open_rig(tmp_path_factory.mktemp("rig"), both_projects=True) as rig:
        rig.own_key()
        rig.run("train")
        rig.seen("train", "running")
        yield rig


@pytest.fixture
def rig(two_projects: Rig) -> Iterator[Rig]:
    yield two_projects
    two_projects.mend()


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with kubeconfig_rig.running(tmp_path_factory.mktemp("k")) as world:
        yield world


@pytest.fixture
def person(kubernetes: World, tmp_path: Path) -> Person:
    return Person(kubernetes, tmp_path)
