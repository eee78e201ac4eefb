"""Bids placed, changed and cancelled at a real sandbox, in good weather and in bad."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mithrild.errors import AnswerLost, KeyRefused, RequestRefused, Unreachable
from mithrild.fleet.model import Bid
from mithrild.fleet.order import NameTaken, Order, Unfit, Wish
from mithrild.store import inventory
from mithrild.watcher.desk import Desk
from tests.integration.sandbox_server import PROJECT, REGION, TYPE
from tests.integration.watch_rig import Rig, with_rig

WISH = Wish(PROJECT, "work", "h100-80gb.sxm.8x", REGION, "$30", quantity=2, ssh_keys=("laptop",))


class Shop:
    """A rig and its desk, and how often the desk wished that everything be looked at again."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.wishes = rig, 0
        self.desk = Desk(rig.marketplace, rig.database, rig.recorder, rig.clock, self._wish)

    def _wish(self) -> None:
        self.wishes += 1

    async def order(self, **changes: object) -> Order:
        return (await self.desk.plan(replace(WISH, **changes))).order  # type: ignore[arg-type]  # as the test says

    async def place(self) -> Bid:
        return (await self.desk.place(await self.order()))[0]

    def posted(self) -> int:
        return sum(one["method"] == "POST" for one in self.rig.sandbox.ledger.report()["last"])  # type: ignore[attr-defined]

    async def there(self) -> list[dict[str, object]]:
        """What the marketplace really has."""
        return await self.rig.visitor.pages("/v2/spot/bids", project=PROJECT)


def with_shop(folder: Path, story: Callable[[Shop], Awaitable[None]]) -> None:
    async def run(rig: Rig) -> None:
        await rig.tick()
        inventory.keep_types(rig.database, await rig.marketplace.instance_types())
        auctions = await rig.marketplace.auctions()
        inventory.keep_prices(rig.database, [seen.value for seen in auctions.items], rig.clock.now())
        await story(Shop(rig))

    with_rig(folder, run)


def test_what_is_placed_is_on_record_before_it_is_told(tmp_path: Path) -> None:
    async def story(shop: Shop) -> None:
        plan = await shop.desk.plan(WISH)
        assert plan.order.instance_type == TYPE
        assert plan.order.ssh_keys == ("sshkey_admin", "sshkey_laptop"), "the required one, and the one that was named"
        assert plan.auction is not None
        bid, adopted = await shop.desk.place(plan.order)
        assert not adopted
        assert shop.wishes == 1
        assert shop.rig.fleet().bids[bid.fid].value == bid
        assert shop.rig.events() == ["bid.placed"]
        await shop.rig.tick()
        assert shop.rig.events() == ["bid.placed"], "the poll shows what is known"

    with_shop(tmp_path, story)


def test_the_market_is_asked_for_when_none_is_on_record_yet(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        desk = Desk(rig.marketplace, rig.database, rig.recorder, rig.clock, lambda: None)
        assert (await desk.plan(WISH)).order.instance_type == TYPE

    with_rig(tmp_path, story)


@pytest.mark.parametrize("kind", ["lost_answer", "truncate", "status"])
def test_a_bid_whose_answer_was_lost_is_adopted_and_never_placed_twice(tmp_path: Path, kind: str) -> None:
    """A 502 may come from a gateway behind which the bid was placed; here it was not, and that stays unknown."""

    async def story(shop: Shop) -> None:
        order = await shop.order()
        await shop.rig.fault(kind, "/v2/spot/bids", method="POST", status=502)
        if kind == "status":
            with pytest.raises(AnswerLost, match="whether the bid 'work' was placed is not known"):
                await shop.desk.place(order)
            assert await shop.there() == []
        else:
            bid, adopted = await shop.desk.place(order)
            assert adopted
            (one,) = await shop.there()
            assert one["fid"] == bid.fid
            assert shop.rig.events() == ["bid.placed"]
        assert shop.posted() == 1

    with_shop(tmp_path, story)


def test_a_bid_that_was_lost_is_looked_for_while_the_marketplace_stumbles(tmp_path: Path) -> None:
    async def story(shop: Shop) -> None:
        order = await shop.order()
        await shop.rig.fault("lost_answer", "/v2/spot/bids", method="POST", count=1)
        await shop.rig.fault("status", "/v2/spot/bids", method="GET", status=500, count=5)
        _, adopted = await shop.desk.place(order)
        assert adopted
        assert len(await shop.there()) == 1

    with_shop(tmp_path, story)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 429, "retry_after": 60}, Unreachable),
        ({"kind": "status", "status": 401}, KeyRefused),
        ({"kind": "status", "status": 409}, RequestRefused),
        ({"kind": "status", "status": 501}, RequestRefused),
    ],
)
def test_what_was_surely_not_placed_is_told_so_and_not_looked_for(
    tmp_path: Path, fault: dict[str, object], error: type[Exception]
) -> None:
    async def story(shop: Shop) -> None:
        order = await shop.order()
        await shop.rig.fault(path="/v2/spot/bids", method="POST", **fault)  # type: ignore[arg-type]  # as the table says
        with pytest.raises(error) as caught:
            await shop.desk.place(order)
        assert not isinstance(caught.value, AnswerLost)
        assert shop.wishes == 0

    with_shop(tmp_path, story)


def test_a_marketplace_that_nobody_reaches_has_placed_nothing(tmp_path: Path) -> None:
    async def story(shop: Shop) -> None:
        order = await shop.order()
        shop.rig.marketplace._transport._root = "http://127.0.0.1:9/v2"  # nobody listens there
        with pytest.raises(Unreachable) as caught:
            await shop.desk.place(order)
        assert not isinstance(caught.value, AnswerLost)

    with_shop(tmp_path, story)


def test_a_name_stays_taken_also_by_a_bid_that_has_ended(tmp_path: Path) -> None:
    async def story(shop: Shop) -> None:
        bid = await shop.place()
        with pytest.raises(NameTaken, match="taken for good, by a bid that is open"):
            await shop.order()
        await shop.desk.cancel(bid)
        with pytest.raises(NameTaken, match="terminated"):
            await shop.order()

    with_shop(tmp_path, story)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limit_price": "inf"}, "is not a price"),
        ({"instance_type": "z80"}, "there is no type"),
        ({"region": "mars"}, "there is no region"),
        ({"quantity": 65}, "quota of 64"),
        ({"kubernetes_cluster": "nowhere"}, "does not exist"),
        ({"volumes": ("nothing",)}, "there is no volume"),
        ({"ssh_keys": ("nobody",)}, "has no SSH key"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_sent(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    async def story(shop: Shop) -> None:
        with pytest.raises(Unfit, match=said):
            await shop.order(**changes)
        assert shop.posted() == 0

    with_shop(tmp_path, story)


@pytest.mark.parametrize("fault", [None, "lost_answer", "truncate"])
def test_a_change_and_a_cancellation_are_asked_for_until_their_answer_comes(tmp_path: Path, fault: str | None) -> None:
    async def story(shop: Shop) -> None:
        bid = await shop.place()
        for method in ("PATCH", "DELETE"):
            if fault is not None:
                await shop.rig.fault(fault, "/v2/spot/bids/*", method=method, count=2)
        changed = await shop.desk.change(bid, limit_cents=3100, paused=True)
        assert (changed.limit_price, changed.status) == ("$31.00", "Paused")
        assert sorted(shop.rig.events()[1:]) == ["bid.limit_changed", "bid.paused"]
        ended = await shop.desk.cancel(bid)
        assert ended.status == "Terminated"
        assert shop.rig.fleet().bids[bid.fid].value.status == "Terminated"

    with_shop(tmp_path, story)
