"""One tick after another against a real sandbox: what is asked, what is concluded, what is not."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.errors import KeyRefused
from mithrild.store import read
from mithrild.store.record import Recorded, record
from mithrild.watcher.poller import DOUBTFUL_LOOKS
from tests.integration.sandbox_server import PROJECT
from tests.integration.watch_rig import Rig, with_rig


def test_first_sight_is_no_news_and_what_changes_afterwards_is(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        bid = await rig.visitor.running(quantity=2)
        assert (await rig.tick()).complete
        assert rig.events() == []
        assert rig.fleet().bids[bid].health == "running"
        await rig.visitor.force(bid, "preempt")
        await rig.tick()
        assert rig.events() == ["bid.preempting", "instance.preempting", "instance.preempting"]
        await rig.visitor.force(bid, "reprieve")
        await rig.tick()
        assert rig.events()[3:] == ["bid.reprieved", "instance.reprieved", "instance.reprieved"]
        await rig.tick()
        assert len(rig.events()) == 6

    with_rig(tmp_path, story)


def test_a_notice_is_followed_to_its_end_and_the_bid_comes_back(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        bid = await rig.visitor.running()
        await rig.tick()
        await rig.visitor.force(bid, "preempt")
        await rig.tick()
        with rig.database.read() as connection:
            rows = connection.exec_driver_sql("select subject, estimated, deadline from notices order by subject").all()
        assert [row[1] for row in rows] == [0, 0], "the marketplace told the deadline before the commit"
        assert rows[0][2] == rows[1][2]
        await rig.visitor.turn(400)
        await rig.tick()
        await rig.visitor.force(bid, "allocate")
        await rig.visitor.turn(600)
        await rig.tick()
        kinds = rig.events()
        assert kinds[:2] == ["bid.preempting", "instance.preempting"]
        assert "bid.reopened" in kinds
        assert kinds[-3:] == ["bid.allocated", "instance.running", "bid.running"]
        with rig.database.read() as connection:
            ends = connection.exec_driver_sql("select ended_how from notices").scalars().all()
        assert None not in ends
        assert "reprieved" not in ends

    with_rig(tmp_path, story)


def test_a_bid_that_leaves_the_listings_is_asked_for_by_its_fid(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        bid = await rig.visitor.running()
        await rig.tick()
        await rig.visitor.delete(f"/v2/spot/bids/{bid}")
        await rig.tick()
        assert rig.events()[0] == "bid.terminated"
        await rig.visitor.turn(600)
        await rig.tick()
        assert rig.events()[-1] == "instance.terminated"
        assert "bid.degraded" not in rig.events()
        rig.asked()
        await rig.tick()
        assert rig.asked() <= 5, "what has ended is not asked for again"

    with_rig(tmp_path, story)


def test_ten_thousand_terminated_bids_cost_nothing(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.visitor.running()
        await rig.tick()
        rig.asked()
        await rig.tick()
        alone = rig.asked()
        await rig.visitor.post("/sandbox/fleet", {"bids": 0, "instances_per_bid": 1, "terminated_bids": 10_000}, 201)
        await rig.tick()
        assert rig.asked() == alone == 5  # four statuses of bids, one page of instances
        assert rig.events() == []

    with_rig(tmp_path, story)


@pytest.mark.parametrize("status", ["STATUS_SCHEDULED", "STATUS_STOPPED", "STATUS_HIBERNATING"])
def test_an_instance_behind_a_word_that_no_filter_can_name_is_found_by_its_bid(tmp_path: Path, status: str) -> None:
    async def story(rig: Rig) -> None:
        bid = await rig.visitor.running()
        await rig.tick()
        (instance,) = rig.fleet().instances
        await rig.visitor.post(f"/sandbox/instances/{instance}/status", {"status": status})
        assert (await rig.tick()).complete
        assert rig.events() == [f"instance.{status.removeprefix('STATUS_').lower()}"]
        assert rig.fleet().instances[instance].value.status == status
        assert rig.fleet().bids[bid].value.status == "Allocated"

    with_rig(tmp_path, story)


def test_what_is_committed_while_the_poll_is_cancelled_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        await rig.tick()
        before = rig.told
        await rig.visitor.place("new")
        committing, go_on = threading.Event(), threading.Event()

        def slow(*args: Any, **more: Any) -> Recorded:
            committing.set()
            assert go_on.wait(10)
            return record(*args, **more)

        monkeypatch.setattr("mithrild.watcher.recorder.record", slow)
        polling = asyncio.create_task(rig.tick())
        assert await asyncio.to_thread(committing.wait, 10)
        polling.cancel()
        await asyncio.sleep(0)
        assert rig.told == before
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await polling
        assert rig.events() == ["bid.placed"]
        assert rig.told == before + 1

    with_rig(tmp_path, story)


def test_a_refused_key_proves_nothing_about_the_fleet(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.visitor.running()
        await rig.tick()
        await rig.fault("status", "/v2/*", status=401)
        with pytest.raises(KeyRefused):
            await rig.tick()
        await rig.no_faults()
        await rig.tick()
        assert rig.events() == []

    with_rig(tmp_path, story)


def test_only_two_404s_in_two_polls_make_a_bid_gone(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        bid = await rig.visitor.running()
        await rig.tick()
        await rig.fault("drop_item", "/v2/spot/bids", fid=bid)
        await rig.fault("status", f"/v2/spot/bids/{bid}", status=404)
        await rig.tick()
        assert rig.events() == []
        await rig.tick()
        assert rig.events() == ["bid.gone"]
        await rig.no_faults()
        await rig.tick()
        assert rig.events() == ["bid.gone", "bid.allocated", "bid.running"], "and when it is there again, it is"

    with_rig(tmp_path, story)


def test_a_hostile_name_is_kept_as_it_is(tmp_path: Path) -> None:
    name = "a\"b'c\n\x1b[31m$(reboot)`;|&<>\u202e é" + "x" * 3_000

    async def story(rig: Rig) -> None:
        await rig.tick()
        await rig.visitor.place(name)
        await rig.tick()
        (record,) = rig.fleet().bids.values()
        assert record.value.name == name
        with rig.database.read() as connection:
            body = connection.exec_driver_sql("select body from events").scalar_one()
        assert json.loads(body)["data"]["bid"]["name"] == name

    with_rig(tmp_path, story)


def test_a_thousand_bids_are_first_seen_and_then_followed(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await rig.visitor.post("/sandbox/fleet", {"bids": 300, "instances_per_bid": 4, "terminated_bids": 0}, 201)
        assert (await rig.tick()).complete
        assert len(rig.fleet().instances) == 1200
        rig.asked()
        await rig.tick()
        assert rig.asked() == 6, "three pages of allocated bids, three statuses without any; no instance is in flux"
        bid = next(iter(rig.fleet().bids))
        await rig.visitor.force(bid, "preempt")
        await rig.tick()
        assert sorted(rig.events()) == ["bid.preempting"] + ["instance.preempting"] * 4

    with_rig(tmp_path, story)


def test_a_bid_that_cannot_be_read_does_not_hide_the_ends_of_others(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        broken = await rig.visitor.running("broken")
        ending = await rig.visitor.running("ending")
        await rig.tick()
        await rig.fault("bad_item", "/v2/spot/bids", fid=broken)
        await rig.fault("not_json", f"/v2/spot/bids/{broken}")
        await rig.visitor.force(ending, "terminate")
        await rig.visitor.turn(600)
        tick = await rig.tick()
        assert tick.complete, tick.trouble
        assert tick.set_aside
        assert rig.events() == ["bid.terminated", "instance.terminated"]

    with_rig(tmp_path, story)


def test_instances_that_only_a_bid_knows_do_not_hold_up_the_first_sight_for_ever(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        bid = await rig.visitor.running(quantity=30)
        await rig.fault("empty_page", "/v2/instances")
        for _ in range(DOUBTFUL_LOOKS):
            tick = await rig.tick()
            assert "first sight of the fleet is taken again" in tick.trouble[0]
            assert rig.fleet().bids == {}
        assert (await rig.tick()).complete
        assert bid in rig.fleet().bids
        assert rig.fleet().instances == {}
        await rig.no_faults()
        await rig.tick()
        assert len(rig.fleet().instances) == 30

    with_rig(tmp_path, story)


@pytest.mark.parametrize(("ahead", "lie"), [(3600, 0), (0, -3600), (0, 3600), (0, 86_400)])
def test_a_deadline_is_kept_in_the_terms_of_our_own_clock(tmp_path: Path, ahead: int, lie: int) -> None:
    """The marketplace's clock may be ahead of ours, or a proxy may send a Date that is not the marketplace's."""

    async def story(rig: Rig) -> None:
        await rig.visitor.turn(ahead)
        if lie:
            await rig.fault("date_skew", seconds=lie)
        (bid,) = (await rig.visitor.post("/sandbox/fleet", {"bids": 1}, 201))["bids"]
        await rig.tick()
        await rig.visitor.force(bid, "preempt")
        await rig.tick()
        with rig.database.read() as connection:
            notices = read.open_notices(connection, PROJECT)
        for notice in notices.values():
            assert not notice.estimated
            assert abs(notice.deadline - notice.opened_at - timedelta(minutes=5)) < timedelta(seconds=10)

    with_rig(tmp_path, story)
