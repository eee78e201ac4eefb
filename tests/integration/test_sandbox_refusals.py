"""How the sandbox says no, call by call: each request that the API's description rules out, and what comes back."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from tests.integration.api_description import DESCRIPTION, described, served, unreadable
from tests.integration.api_schema import faults
from tests.integration.sandbox_requests import NONSENSE, queries, unreadable_bodies, unreadable_queries
from tests.integration.sandbox_server import Visitor, visit
from tests.integration.sandbox_world import Ask, World

pytestmark = pytest.mark.skipif(not DESCRIPTION.exists(), reason="the API description is not beside the project")


def test_without_the_right_key_every_call_is_a_401() -> None:
    async def story(visitor: Visitor) -> None:
        world = await World.of(visitor)
        key = visitor.sandbox.key
        del visitor.http.headers["Authorization"]
        for ask in world.samples():
            # The key is looked at first: what else is wrong with the request is nobody's business.
            bare = replace(ask, query={}, body=None)
            for given in ({}, *({"Authorization": word} for word in (f"Bearer {NONSENSE}", key, f"Basic {key}", ""))):
                said(ask, await ask.send(visitor.http, **given), 401)
                said(bare, await bare.send(visitor.http, **given), 401)

    visit(story, demo=True)


def test_what_no_address_names_is_a_404() -> None:
    async def story(visitor: Visitor) -> None:
        asked = set()
        for ask in (await World.of(visitor)).samples():
            for name in ask.path:
                lost = replace(ask, path=ask.path | {name: NONSENSE})
                said(lost, await lost.send(visitor.http), 404)
                asked.add(name)
        assert {"bid_fid", "instance_fid", "cluster_fid"} <= asked

    visit(story, demo=True)


def test_what_cannot_be_read_is_a_422_that_names_it() -> None:
    async def story(visitor: Visitor) -> None:
        asked = 0
        for ask in (await World.of(visitor)).samples():
            for spoiled, where in (*unreadable_queries(ask), *unreadable_bodies(ask)):
                asked += 1
                response = await spoiled.send(visitor.http)
                assert response.status_code == 422, f"{spoiled}: {response.text}"
                assert faults(response.json(), unreadable()) == [], spoiled
                places = [fault["loc"][: len(where)] for fault in response.json()["detail"]]
                assert places == [where], f"{spoiled}: {response.text}"
        assert asked > 80

    visit(story, demo=True)


def test_what_the_marketplace_will_not_do_is_told_in_words() -> None:
    """Every refusal that the description names for a call, and those that MITHRIL.md tells of."""
    shown: set[tuple[str, int]] = set()

    async def story(visitor: Visitor) -> None:
        world = await World.of(visitor)
        samples = {ask.call.name: ask for ask in world.samples()}

        async def refused(status: int, call: str, body: object) -> None:
            ask = replace(samples[call], body=body)
            said(ask, await ask.send(visitor.http), status)
            shown.add((call, status))

        place, change, switch = "post /v2/spot/bids", "patch /v2/spot/bids/{bid_fid}", "patch /v2/instances"
        launch = {"volumes": [], "ssh_keys": [], "kubernetes_cluster": "clust_old"}
        new = samples[place].body
        await refused(409, place, new | {"launch_specification": launch})
        await refused(404, place, new | {"project": NONSENSE})
        await refused(409, change, {"volumes": []})
        await visitor.delete(f"/v2/spot/bids/{world.bid}")
        await refused(409, change, {"paused": True})

        spot, reserved = world.values["instance_fid"]
        await refused(501, switch, {"instances": [spot], "status": "STATUS_PAUSED"})
        await refused(501, switch, {"instances": [reserved, spot], "status": "STATUS_PAUSED"})
        await refused(404, switch, {"instances": [reserved, NONSENSE], "status": "STATUS_PAUSED"})
        await visitor.patch("/v2/instances", {"instances": [reserved], "status": "STATUS_PAUSED"})
        await refused(409, switch, {"instances": [reserved], "status": "STATUS_RUNNING"})

    visit(story, demo=True)
    named = {(name, status) for name in served() for status in described()[name].refusals - {401, 422}}
    assert named - shown == set()


def test_a_cursor_comes_back_as_it_is_or_in_quotes() -> None:
    async def story(visitor: Visitor) -> None:
        world = await World.of(visitor)
        paged = [ask for ask in world.samples() if any(each.name == "next_cursor" for each in queries(ask.call))]
        assert len(paged) >= 4
        for ask in paged:
            page = ask.asking("limit", 1)
            first = (await page.send(visitor.http)).json()
            cursor = first["next_cursor"]
            raw, quoted = [
                (await page.asking("next_cursor", word).send(visitor.http)).json()
                for word in (cursor, json.dumps(cursor))
            ]
            assert raw == quoted, ask
            assert raw != first, ask
            for wrong in (NONSENSE, f'"{NONSENSE}"'):
                response = await page.asking("next_cursor", wrong).send(visitor.http)
                assert response.status_code == 422, ask
                assert [fault["loc"] for fault in response.json()["detail"]] == [["query", "next_cursor"]]

    visit(story, demo=True)


def said(ask: Ask, response: httpx.Response, status: int) -> None:
    """Refused, with a text and nothing else."""
    assert response.status_code == status, f"{ask}: {response.text}"
    body = response.json()
    assert list(body) == ["detail"], ask
    assert isinstance(body["detail"], str), ask
    assert body["detail"], ask
