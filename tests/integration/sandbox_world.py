"""A sandbox with something of everything in it, and for every call a request that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import httpx

from mithrild.sandbox.catalog import IMAGE, SECOND_PROJECT
from tests.integration.api_description import Call, described, served
from tests.integration.api_schema import Schema
from tests.integration.sandbox_server import PROJECT, REGION, TYPE, Visitor

MUCH = {
    "launch_specification": {
        "volumes": ["vol_datasets"], "ssh_keys": ["sshkey_admin"], "startup_script": "#!/bin/sh",
        "kubernetes_cluster": "clust_eval", "image_version": IMAGE, "memory_gb": 512,
    },
    "notification_email": "sam@sandbox.example",
}  # fmt: skip
"""All that a bid can have and need not."""


@dataclass(frozen=True, slots=True)
class Ask:
    call: Call
    path: dict[str, str]
    query: dict[str, Any]
    body: Any = None

    async def send(self, http: httpx.AsyncClient, **headers: str) -> httpx.Response:
        url = self.call.path.format(**self.path)
        return await http.request(self.call.method, url, params=self.query, json=self.body, headers=headers)

    def asking(self, name: str, value: object) -> Ask:
        return replace(self, query=self.query | {name: value})

    def __str__(self) -> str:
        return f"{self.call.name} {self.path} {self.query} {self.body}"


class World:
    """What the requests name. Whoever adds a route gives the values that it needs here."""

    def __init__(self, bid: str, instance: str, reserved: str) -> None:
        self.bid = bid
        self.values = {
            "project": [PROJECT, SECOND_PROJECT],
            "instance_type": [TYPE],
            "bid_fid": [bid],
            "instance_fid": [instance, reserved],
            "cluster_fid": ["clust_eval", "clust_old"],
            "ssh_key_fid": ["sshkey_laptop"],
        }
        """By the name of the parameter. Reads are done with all of them, the rest with the first."""
        place = {
            "project": PROJECT, "region": REGION, "instance_type": TYPE, "limit_price": "$8.00",
            "instance_quantity": 1, "launch_specification": {"volumes": [], "ssh_keys": []},
        }  # fmt: skip
        self.bodies: dict[str, list[Schema]] = {
            "post /v2/spot/bids": [place | {"name": "little"}, place | {"name": "much", **MUCH}],
            "patch /v2/spot/bids/{bid_fid}": [
                {"limit_price": "$31"},
                {"memory_gb": 256},
                {"paused": True, "volumes": ["vol_datasets"]},
                {"volumes": []},
                {"volumes": ["vol_datasets"]},
                {"paused": False},
            ],
            "patch /v2/instances": [
                {"instances": [reserved], "status": "STATUS_PAUSED"},
                {"instances": [reserved], "status": "STATUS_RUNNING"},
            ],
            "post /v2/ssh-keys": [{"project": PROJECT, "name": "posted"}],
            "patch /v2/ssh-keys/{ssh_key_fid}": [{"required": True}],
        }  # fmt: skip

    @classmethod
    async def of(cls, visitor: Visitor) -> World:
        """For `visit(..., demo=True)`: only the demonstration has a reserved instance."""
        bid = (await visitor.place("described", instance_quantity=3, **MUCH))["fid"]
        await visitor.force(bid, "allocate")
        await visitor.turn(600)
        instance = (await visitor.get(f"/v2/spot/bids/{bid}"))["instances"][0]
        (reserved,) = (await visitor.get("/v2/instances", project=SECOND_PROJECT))["data"]
        return cls(bid, instance, reserved["fid"])

    def asks(self, *methods: str) -> Iterator[Ask]:
        """All calls of these methods, each with all the bodies that it has."""
        for method in methods:
            for call in described().values():
                if call.method == method and call.name in served():
                    bodies = [None] if call.body is None else self.bodies[call.name]
                    for (path, query), body in product(self._addresses(call), bodies):
                        yield Ask(call, path, query, body)

    def samples(self) -> Iterator[Ask]:
        """Every call once."""
        found: dict[str, Ask] = {}
        for ask in self.asks("get", "post", "patch", "delete"):
            found.setdefault(ask.call.name, ask)
        return iter(found.values())

    def _addresses(self, call: Call) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        """Path and query, with nothing but what is required."""
        needed = [each for each in call.parameters if each.required]
        for values in product(*(self.values[each.name][: None if call.method == "get" else 1] for each in needed)):
            places: dict[str, dict[str, str]] = {"path": {}, "query": {}}
            for parameter, value in zip(needed, values, strict=True):
                places[parameter.place][parameter.name] = value
            yield places["path"], places["query"]
