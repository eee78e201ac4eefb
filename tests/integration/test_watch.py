"""The watch of an account in bad times: a key that is refused, a marketplace that is away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mithrild.errors import Unreachable
from mithrild.fleet.model import Bid, Listing, Project
from mithrild.store import inventory, read
from mithrild.watcher.watch import KEY_AGAIN
from tests.integration.account_rig import Rig, with_rig
from tests.integration.sandbox_server import PROJECT


def test_a_new_key_is_taken_at_once(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.watch.begin()
        assert await rig.watch.poll() == KEY_AGAIN
        rig.set_config(MITHRIL_API_KEY=rig.visitor.sandbox.key)
        await rig.watch.poll()
        assert rig.watch.health.key == "ok"

    with_rig(tmp_path, story, MITHRIL_API_KEY="fkey_wrong")


def test_a_key_of_another_organization_is_told_to_the_one_in_charge(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.database.claim_for(rig.config.api_url, "org_of_somebody_else")
        await rig.watch.poll()
        assert "another account" in str(rig.foreign[0])
        assert rig.events() == []

    with_rig(tmp_path, story)


def test_an_unknown_project_is_named_with_those_there_are(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        assert "sees no project 'nowhere'" in str(rig.watch.health.last_error)
        assert PROJECT in str(rig.watch.health.last_error)

    with_rig(tmp_path, story, MITHRIL_PROJECT="nowhere")


def test_after_a_reload_the_key_is_judged_anew_and_everything_goes_on(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.watch.begin()
        await rig.watch.poll()
        rig.watch.new_key()
        rig.asked()
        await rig.watch.poll()
        assert rig.asked()[0] == "/v2/me"
        assert rig.watch.health.key == "ok"
        rig.database.claim_for(rig.config.api_url, "org_sandbox")
        rig.watch.new_key()
        await rig.fault(kind="status", path="/v2/me", status=401)
        assert await rig.watch.poll() == KEY_AGAIN
        assert rig.events() == ["credentials.rejected"]
        rig.visitor.sandbox.faults.clear()
        await rig.watch.poll()
        await rig.fault(kind="status", path="/v2/*", status=401)
        await rig.watch.poll()
        assert rig.events() == ["credentials.rejected", "credentials.rejected"], "a second refusal is news again"

    with_rig(tmp_path, story)


def test_a_listing_that_is_closed_to_us_is_no_refused_key(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        await rig.fault(kind="status", path="/v2/spot/bids", status=403)
        for _ in range(3):
            assert await rig.watch.poll() < KEY_AGAIN
        assert rig.watch.health.key == "ok"
        assert rig.events() == []

    with_rig(tmp_path, story)


def test_a_project_in_trouble_does_not_hide_another(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.config = replace(rig.config, projects=(PROJECT, "proj_research"))
        await rig.watch.poll()
        honest = rig.marketplace.bids

        async def troubled(project: str, status: str) -> Listing[Bid]:
            if project == "proj_research":
                raise Unreachable("500")
            return await honest(project, status)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rig.marketplace, "bids", troubled)
            await rig.visitor.place("placed-meanwhile")
            wait = await rig.watch.poll()
        assert rig.events() == ["bid.placed"]
        assert wait <= rig.config.poll.idle.total_seconds()
        assert rig.watch.health.discarded == 1

    with_rig(tmp_path, story)


def test_a_restart_needs_no_answer_but_me_before_it_looks_at_bids(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        inventory.keep_projects(rig.database, [Project(PROJECT, "demo")])
        for path in ("/v2/projects", "/v2/instance-types", "/v2/spot/availability", "/v2/kubernetes/*"):
            await rig.fault(kind="status", path=path, status=500)
        await rig.watch.poll()
        with rig.database.read() as connection:
            assert read.projects(connection)[0]["baseline_at"] is not None

    with_rig(tmp_path, story)
