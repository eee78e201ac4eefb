"""The watch when several things go wrong at once, or at an awkward moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mithrild.errors import StoreError, Unreachable
from mithrild.fleet.model import Account, Cluster, Listing
from mithrild.store.database import Database
from mithrild.watcher.watch import DISK_AGAIN, KEY_AGAIN
from tests.integration.account_rig import Rig, with_rig
from tests.integration.sandbox_server import PROJECT


def test_a_disk_that_refuses_the_claim_is_no_foreign_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        def full(*_: object) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(Database, "claim_for", full)
            assert await rig.watch.poll() == DISK_AGAIN
        assert rig.foreign == []
        assert rig.watch.health.last_error == "the disk is full"
        await rig.watch.poll()
        assert rig.watch.health.key == "ok"
        assert rig.watch.health.last_error is None

    with_rig(tmp_path, story)


def test_what_one_project_saw_does_not_hide_that_the_disk_refused_another(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.config = replace(rig.config, projects=(PROJECT, "proj_research"))
        await rig.watch.poll()
        keep = rig.watch.recorder.record

        async def refuse(seen, **more):  # type: ignore[no-untyped-def]  # as the recorder's own
            if seen.project == PROJECT:
                raise StoreError("the disk is full")
            return await keep(seen, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rig.watch.recorder, "record", refuse)
            assert await rig.watch.poll() == DISK_AGAIN
        assert rig.watch.health.last_error == "the disk is full"

    with_rig(tmp_path, story)


def test_a_pause_that_one_listing_asks_for_is_kept_though_the_others_answer(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        await rig.fault(kind="status", path="/v2/instances", status=503, retry_after=90)
        await rig.watch.poll()
        rig.visitor.sandbox.faults.clear()
        rig.asked()
        await rig.clock.sleep(60)
        await rig.watch.poll()
        assert rig.asked() == ["/v2/spot/bids"] * 4
        assert "Fault on demand" in str(rig.watch.health.last_error)
        await rig.clock.sleep(31)
        await rig.watch.poll()
        assert "/v2/instances" in rig.asked()
        assert rig.watch.health.last_error is None

    with_rig(tmp_path, story)


def test_a_look_while_a_pause_lasts_puts_the_next_one_off_no_further(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        await rig.fault(kind="status", path="/v2/spot/bids", status=503, retry_after=700)
        assert await rig.watch.poll() >= 699
        rig.visitor.sandbox.faults.clear()
        for _ in range(3):
            await rig.clock.sleep(230)
            left = await rig.watch.poll()  # another beat was answered, and had it look
        assert 1 < left <= 10
        await rig.clock.sleep(left)
        await rig.watch.poll()
        assert rig.watch.health.reachable

    with_rig(tmp_path, story)


def test_an_old_key_that_answers_late_says_nothing_about_the_new_one(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        ask = rig.marketplace.me

        async def me() -> Account:
            account = await ask()
            rig.set_config(MITHRIL_API_KEY="fkey_wrong")  # the reload comes while /me is under way
            return account

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rig.marketplace, "me", me)
            await rig.watch.poll()
        keys: list[str] = [rig.watch.health.key]
        assert await rig.watch.poll() == KEY_AGAIN
        assert [*keys, rig.watch.health.key] == ["unknown", "refused"]

    with_rig(tmp_path, story)


def test_a_reload_while_only_me_is_away_goes_on_watching(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        rig.set_config()
        await rig.fault(kind="status", path="/v2/me", status=503)
        await rig.visitor.place("placed-meanwhile")
        await rig.watch.poll()
        assert rig.events() == ["bid.placed"]
        rig.visitor.sandbox.faults.clear()
        await rig.watch.poll()
        assert rig.watch.health.key == "ok"

    with_rig(tmp_path, story)


def test_a_reload_with_the_key_of_another_account_keeps_the_old_one(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        good, ask = rig.config.api_key, rig.marketplace.me
        used: list[object] = []

        async def me() -> Account:
            account = await ask()
            return account if used else replace(account, organization="org_of_somebody_else")

        def use_key(key: object) -> None:
            used.append(key)

        rig.set_config()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rig.marketplace, "me", me)
            patch.setattr(rig.marketplace, "use_key", use_key)
            assert await rig.watch.poll() < KEY_AGAIN
        assert used == [good]
        assert rig.foreign == []
        assert rig.watch.health.key == "ok"

    with_rig(tmp_path, story)


def test_a_refusal_is_an_answer_and_ends_an_outage(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.watch.poll()
        await rig.fault(kind="status", path="/v2/*", status=503)
        for _ in range(3):
            await rig.watch.poll()
            await rig.clock.sleep(120)
        assert rig.events() == ["marketplace.unreachable"]
        rig.visitor.sandbox.faults.clear()
        await rig.fault(kind="status", path="/v2/*", status=401)
        assert await rig.watch.poll() == KEY_AGAIN
        assert rig.watch.health.reachable
        assert rig.events() == ["marketplace.unreachable", "marketplace.recovered", "credentials.rejected"]

    with_rig(tmp_path, story)


def test_clusters_of_a_project_are_kept_though_those_of_another_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(rig: Rig) -> None:
        rig.config = replace(rig.config, projects=("proj_research", PROJECT))
        await rig.watch.poll()
        (_, _, clusters) = rig.watch.rounds.beats(rig.watch.pollers or [])
        ask = rig.marketplace.clusters

        async def troubled(project: str) -> Listing[Cluster]:
            if project == "proj_research":
                raise Unreachable("500")
            await asyncio.sleep(0.01)  # the failure comes first
            return await ask(project)

        monkeypatch.setattr(rig.marketplace, "clusters", troubled)
        for _ in range(2):
            await clusters.run()
        assert rig.watch.health.discarded == 2
        with rig.database.read() as connection:
            kept = connection.exec_driver_sql("select distinct project from clusters").scalars().all()
        assert kept == [PROJECT]

    with_rig(tmp_path, story)
