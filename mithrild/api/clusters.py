"""/v1/clusters. The join command is a secret: it is asked for when a person wants it, and never kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from loguru import logger
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import fleet, views
from mithrild.api.answers import Json, Parts, Refusal, answer, freshness
from mithrild.errors import MarketplaceError
from mithrild.fleet.completeness import is_live
from mithrild.fleet.event import stamp
from mithrild.fleet.lifecycle import word
from mithrild.fleet.model import Cluster, Instance, Record
from mithrild.store import read

# The vendor's count of a cluster's active nodes: those that run, or are on their way to it.
_ACTIVE = frozenset(
    f"STATUS_{each}" for each in ("NEW", "CONFIRMED", "SCHEDULED", "INITIALIZING", "STARTING", "RUNNING")
)


def list_clusters(parts: Parts, request: Request) -> Response:
    everything = request.query_params.get("all") == "1"
    with parts.database.read() as connection:
        project = fleet.scope(connection, parts, request)
        held = read.fleet(connection, project, ended=True)
        around = fleet.background(connection)
        fresh = freshness(connection, parts)
    shown = [
        _view(record, held.instances, around)
        for record in held.clusters.values()
        if everything or is_live(record.value.status, record.gone)
    ]
    shown.sort(key=lambda view: (view["name"], view["fid"]))
    return answer({"freshness": fresh, "clusters": shown})


async def show_cluster(parts: Parts, request: Request) -> Response:
    """One cluster and its instances. With `join=1` the marketplace is asked for its join command."""

    def look() -> Json:
        with parts.database.read() as connection:
            record = find_cluster(connection, parts, request)
            held = read.fleet(connection, record.value.project, ended=True)
            around = fleet.background(connection)
            members = [held.instances[fid] for fid in record.value.instances if fid in held.instances]
            return {
                "freshness": freshness(connection, parts),
                "cluster": _view(record, held.instances, around),
                "instances": [views.instance_view(one, around) for one in members],
            }

    body = await asyncio.to_thread(look)
    cluster = body["cluster"]
    cluster["ssh_keys"] = await _names(parts, cluster)
    if request.query_params.get("join") == "1":
        secret = await parts.desk.join_command(cluster["fid"])
        cluster["join_command"] = secret.get_secret_value() if secret else None
    return answer(body)


async def _names(parts: Parts, cluster: Json) -> list[Json]:
    """The keys of a cluster with their names, as far as the marketplace tells them."""
    names: dict[str, str] = {}
    if cluster["ssh_keys"] and parts.health.reachable and parts.health.key == "ok":
        try:
            names = {key.fid: key.name for key in await parts.desk.ssh_keys(cluster["project"])}
        except MarketplaceError as error:
            logger.debug("the names of SSH keys are not known: {}", error)
    return [{"fid": fid, "name": names.get(fid)} for fid in cluster["ssh_keys"]]


def find_cluster(connection: Connection, parts: Parts, request: Request) -> Record[Cluster]:
    """The cluster of a name or fid. A live one stands before ended ones of its name; the newest of those is next."""
    wanted = request.path_params["cluster"]
    project = fleet.scope(connection, parts, request)
    held = read.fleet(connection, project, ended=True).clusters.values()
    found = [one for one in held if wanted in (one.value.fid, one.value.name)]
    exact = [one for one in found if one.value.fid == wanted]
    live = [one for one in found if is_live(one.value.status, one.gone)]
    choices = exact or live or sorted(found, key=lambda one: one.value.created_at)[-1:]
    if not choices:
        fleet.ask_again_if_nothing_is_known(connection, parts)
        raise Refusal("not_found", f"no cluster is called {wanted[:200]!r}; `ml k8s list --all` shows all there are")
    if len(choices) > 1:
        listed = [{"fid": one.value.fid, "project": one.value.project} for one in choices]
        places = ", ".join(f"{one['fid']} in {one['project']}" for one in listed)
        message = f"{len(choices)} clusters are called {wanted[:200]!r} ({places}): name one by its fid"
        raise Refusal("ambiguous", message, choices=listed)
    return choices[0]


def _view(
    record: Record[Cluster], instances: Mapping[str, Record[Instance]], around: views.Background
) -> dict[str, Any]:
    cluster = record.value
    return {
        "fid": cluster.fid,
        "name": cluster.name,
        "project": cluster.project,
        "project_fid": cluster.project,
        "project_name": around.projects.get(cluster.project),
        "region": cluster.region,
        "status": cluster.status,
        "state": "gone" if record.gone else word(cluster.status),
        "since": stamp(record.since),
        "created_at": stamp(cluster.created_at),
        "deleted_at": stamp(cluster.deleted_at),
        "kube_host": cluster.kube_host,
        "k8s_version": cluster.k8s_version,
        "join_command": None,
        "ssh_keys": list(cluster.ssh_keys),
        "instances": list(cluster.instances),
        "active_instances": _count_active(cluster.instances, instances),
        "total_instances": len(cluster.instances),
    }


def _count_active(fids: Iterable[str], instances: Mapping[str, Record[Instance]]) -> int:
    held = (instances[fid] for fid in fids if fid in instances)
    return sum(one.value.status in _ACTIVE and not one.gone for one in held)
