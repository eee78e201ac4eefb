"""What the record does not hold, asked of a real sandbox: how much is asked for, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mithrild.errors import KeyRefused, MarketplaceError, Unreachable
from mithrild.health import Health
from mithrild.watcher import archive
from mithrild.watcher.archive import Archive
from tests.integration.sandbox_server import PROJECT
from tests.integration.watch_rig import Rig, with_rig

RESEARCH = "proj_research"


def with_archive(
    folder: Path, story: Callable[[Rig, Archive, Health], Awaitable[None]], ended: int = 0, *, demo: bool = False
) -> None:
    async def run(rig: Rig) -> None:
        if ended:
            await rig.visitor.post("/sandbox/fleet", {"terminated_bids": ended}, 201)
        rig.asked()
        health = Health(key="ok")
        await story(rig, Archive(rig.marketplace, rig.budget, health, rig.clock), health)

    with_rig(folder, run, demo=demo)


@pytest.mark.parametrize(
    ("most", "come", "requests"), [(None, 230, 3), (5, 5, 1), (100, 100, 1), (101, 200, 2), (1000, 230, 3)]
)
def test_the_newest_come_first_and_no_more_pages_than_are_wanted(
    tmp_path: Path, most: int | None, come: int, requests: int
) -> None:
    async def story(rig: Rig, old: Archive, _: Health) -> None:
        listing = await old.ended([PROJECT], most)
        assert (len(listing.items), listing.broken, rig.asked()) == (come, None, requests)
        times = [one.value.created_at for one in listing.items]
        assert times == sorted(times, reverse=True)
        newest = await rig.visitor.pages("/v2/spot/bids", status="Terminated")
        assert [one.value.fid for one in listing.items] == [one["fid"] for one in newest[:come]]

    with_archive(tmp_path, story, 230)


def test_what_is_known_to_be_away_is_not_asked(tmp_path: Path) -> None:
    async def story(rig: Rig, old: Archive, health: Health) -> None:
        for away, error in (
            ({"reachable": False, "last_error": "it is away"}, Unreachable),
            ({"key": "refused", "key_message": "it is away"}, KeyRefused),
        ):
            for name, value in away.items():
                setattr(health, name, value)
            assert (await old.ended([PROJECT], None)).broken == "it is away"
            with pytest.raises(error, match="it is away"):
                await old.find([PROJECT], "x")
        assert rig.asked() == 0

    with_archive(tmp_path, story, 3)


def test_what_came_before_a_failure_is_kept_and_the_failure_told(tmp_path: Path) -> None:
    async def story(rig: Rig, old: Archive, _: Health) -> None:
        await rig.fault("cursor_loop", "/v2/spot/bids")
        listing = await old.ended([PROJECT], None)
        assert 100 <= len(listing.items) < 230
        assert "repeated cursor" in str(listing.broken)

    with_archive(tmp_path, story, 230)


def test_a_marketplace_that_does_not_answer_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PATIENCE", 0.2)

    async def story(rig: Rig, old: Archive, _: Health) -> None:
        await rig.fault("delay", "/v2/*", seconds=600)
        listing = await old.ended([PROJECT], None)
        assert (listing.items, listing.broken) == ((), "it takes too long to wait for the marketplace")
        with pytest.raises(Unreachable, match="has not answered within"):
            await old.find([PROJECT], "x")

    with_archive(tmp_path, story, 3)


def test_a_listing_leaves_the_polls_their_share_of_the_budget(tmp_path: Path) -> None:
    async def story(rig: Rig, old: Archive, _: Health) -> None:
        rig.budget.cap = 10
        before = rig.clock.ahead
        listing = await old.ended([PROJECT], None)
        assert (len(listing.items), listing.broken, rig.asked()) == (830, None, 9)
        assert rig.clock.ahead - before > 50  # six at once; the others a minute after those, and no earlier
        assert rig.budget.spent() <= 6

    with_archive(tmp_path, story, 830)


def test_the_first_page_waits_for_no_more_than_any_question(tmp_path: Path) -> None:
    async def story(rig: Rig, old: Archive, _: Health) -> None:
        rig.budget.cap = 10
        for _taken in range(8):
            await rig.budget.take()
        before = rig.clock.ahead
        listing = await old.ended([PROJECT], None)
        assert (len(listing.items), listing.broken, rig.clock.ahead - before) == (3, None, 0.0)

    with_archive(tmp_path, story, 3)


def test_a_budget_that_is_spent_otherwise_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LISTING", 0.2)

    async def story(rig: Rig, old: Archive, _: Health) -> None:
        rig.budget.cap = 1
        await rig.budget.take()
        monkeypatch.setattr(rig.clock, "monotonic", lambda: 0.0)  # it stands still
        listing = await old.ended([PROJECT], None)
        assert (listing.items, listing.broken) == ((), "it takes too long to wait for the request budget")
        assert rig.asked() == 0

    with_archive(tmp_path, story, 3)


def test_one_bid_is_found_by_name_and_by_fid_inside_the_projects_alone(tmp_path: Path) -> None:
    async def story(rig: Rig, old: Archive, _: Health) -> None:
        (by_name,) = await old.find([PROJECT], "train-old")
        assert (by_name.status, rig.asked()) == ("Terminated", 1)
        assert await old.find([PROJECT], by_name.fid) == [by_name]
        assert await old.find([RESEARCH], by_name.fid) == await old.find([RESEARCH], "train-old") == []
        assert await old.find([RESEARCH, PROJECT], "train-old") == [by_name]
        for strange in ("nosuch", "", "..", "a/b?c", "\udce4", "x" * 100_000):
            assert await old.find([PROJECT], strange) == []
        assert await old.instances(by_name) == []

    with_archive(tmp_path, story, demo=True)


def test_the_machines_of_an_ended_bid_are_told(tmp_path: Path) -> None:
    async def story(rig: Rig, old: Archive, _: Health) -> None:
        fid = await rig.visitor.running("work", 2)
        await rig.visitor.force(fid, "terminate")
        await rig.visitor.turn(600)
        (bid,) = await old.find([PROJECT], "work")
        machines = await old.instances(bid)
        assert {(one.name, one.status) for one in machines} == {
            ("work-0", "STATUS_TERMINATED"),
            ("work-1", "STATUS_TERMINATED"),
        }
        await rig.fault("status", "/v2/instances", status=500)
        with pytest.raises(MarketplaceError):
            await old.instances(bid)

    with_archive(tmp_path, story)


def test_nothing_of_it_enters_the_record(tmp_path: Path) -> None:
    async def story(rig: Rig, old: Archive, _: Health) -> None:
        await rig.tick()
        await old.ended([PROJECT], None)
        await old.find([PROJECT], "train-old")
        await rig.tick()
        assert "train-old" not in {one.value.name for one in rig.fleet().bids.values()}
        assert rig.events() == []

    with_archive(tmp_path, story, demo=True)
