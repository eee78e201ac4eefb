"""Two projects with a cluster of one name, and one kubeconfig."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.acceptance.sshd import Sshd
from tests.integration import ssh_rig
from tests.integration.cli_fake_daemon import FRESH, Object, Request, answer
from tests.integration.ssh_rig import Client
from tests.unit.kubeconfig_builders import REMOTE

ELSEWHERE = "192.0.2.9"
HELD = f"""\
apiVersion: v1
kind: Config
clusters:
- {{name: "mithril:prod", cluster: {{server: "https://{ELSEWHERE}:6443"}}}}
contexts:
- {{name: "mithril:prod", context: {{cluster: "mithril:prod", user: "mithril:prod"}}}}
users:
- {{name: "mithril:prod", user: {{token: t}}}}
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Sshd(tmp_path / "sshd") as sshd, ssh_rig.client(tmp_path, sshd) as running:
        remote = sshd.home / ".kube" / "config"
        remote.parent.mkdir()
        remote.write_text(REMOTE)
        (running.folder / ".kube").mkdir()
        yield running


def cluster(project: str, host: str, state: str = "available") -> Object:
    return {"fid": f"clust_{project}", "name": "prod", "project_name": project, "kube_host": host, "state": state}


def update(client: Client, *there: Object) -> Any:
    """What the file says of clusters afterwards: the names, and the host of each."""

    def listed(request: Request) -> bytes:
        wanted = request.one("project")
        shown = [one for one in there if wanted in (None, one["project_name"])]
        return answer({"freshness": FRESH, "clusters": shown})

    client.daemon.answers["/v1/clusters"] = listed
    done = client.ml("k8s", "update-kubeconfig", "prod", "-p", "research", "-y", "--skip-validation")
    assert done.code == 0, done
    content = YAML(typ="safe", pure=True).load((client.folder / ".kube" / "config").read_text())
    return {one["name"]: one["cluster"]["server"].split("/")[2].partition(":")[0] for one in content["clusters"]}


def test_another_projects_cluster_of_the_same_name_keeps_its_entry(client: Client) -> None:
    file = client.folder / ".kube" / "config"
    file.write_text(HELD)
    mine, theirs = cluster("research", client.sshd.address), cluster("demo", ELSEWHERE)
    both = {"mithril:prod": ELSEWHERE, "mithril:research/prod": "127.0.0.1"}
    assert update(client, mine, theirs) == both
    before = file.read_text()
    assert update(client, mine) == both  # where it is once, it stays
    assert file.read_text() == before


def test_an_entry_whose_cluster_is_there_no_more_is_taken_over(client: Client) -> None:
    (client.folder / ".kube" / "config").write_text(HELD)
    assert update(client, cluster("research", client.sshd.address)) == {"mithril:prod": "127.0.0.1"}
