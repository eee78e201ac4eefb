"""The watch finds out when the auctions are, and looks just after them: against the sandbox's own market."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mithrild.fleet.auction_clock import NOMINAL
from tests.integration.account_rig import HandClock, Rig
from tests.integration.sandbox_server import REGION, TYPE, Visitor, visit

DEAR, CHEAP = "$30.00", "$0.01"


async def look_on(rig: Rig, minutes: float, enough: Callable[[], bool] = lambda: False) -> None:
    """The watch by itself, until it is enough, or for so long."""
    until = rig.clock.now() + timedelta(minutes=minutes)
    while rig.clock.now() < until and not enough():
        await rig.cadence.turn()


def with_market(folder: Path, story: Callable[[Rig], Awaitable[None]], ahead: float = 0, **env: str) -> None:
    """Both sides on one hand clock, the marketplace's so many seconds `ahead`."""
    clock = HandClock()

    async def run(visitor: Visitor) -> None:
        rig = Rig(visitor, folder, 15, clock, **env)
        rig.watch.begin()
        try:
            await story(rig)
        finally:
            await rig.aclose()

    visit(run, market=True, wall=lambda: clock.monotonic() + ahead)


def auctions_of(rig: Rig) -> list[float]:
    """When the auctions really were, by the marketplace's clock."""
    stall = rig.visitor.sandbox.market.stalls[REGION, TYPE]
    return [at for at, _ in stall.prices]


def test_a_bid_that_waits_is_seen_to_win_as_soon_as_it_does(tmp_path: Path) -> None:
    ahead = 600.0

    async def story(rig: Rig) -> None:
        bid = await rig.visitor.place("night-run", limit_price=CHEAP)
        await rig.clock.sleep(600)  # it was not bid just now
        assert rig.watch.health.rhythm is None
        await look_on(rig, 16, lambda: rig.watch.health.rhythm is not None)
        rhythm = rig.watch.health.rhythm
        assert rhythm is not None
        assert rhythm.period == pytest.approx(NOMINAL, rel=0.02)
        assert min(rhythm.since(auctions_of(rig)[-1]), rhythm.until(auctions_of(rig)[-1])) < 5
        await look_on(rig, 1)
        assert (rig.watch.health.pace, rig.watch.health.usual) == ("waiting", 30)
        await rig.visitor.patch(f"/v2/spot/bids/{bid['fid']}", {"limit_price": DEAR})
        await look_on(rig, 5, lambda: "bid.allocated" in rig.events())
        won, now = auctions_of(rig)[-1], rig.clock.monotonic() + ahead
        assert now - won < 8, "not half a minute later, as without the rhythm"

    with_market(tmp_path, story, ahead)


def test_an_idle_fleet_costs_no_more_than_it_did(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        await look_on(rig, 20)
        assert rig.watch.health.pace == "idle"
        spent = rig.watch.budget.total
        assert spent["prices"] <= 11
        assert spent["polls"] <= 5 * 42

    with_market(tmp_path, story)
