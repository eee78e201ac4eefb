"""Listens for the rhythm of the auctions: in prices, and in the times that the marketplace tells of our own bids."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mithrild.clock import Clock
from mithrild.fleet.auction_clock import KEPT, MEMORY, NOMINAL, Rhythm, Trace, infer
from mithrild.fleet.model import Auction
from mithrild.health import Health
from mithrild.store import read
from mithrild.store.database import Database

REMEMBERED = timedelta(seconds=MEMORY * NOMINAL)

Prices = dict[tuple[str, str], str | None]  # (region, instance type) -> what it costs, in the marketplace's words


class Auctions:
    """Keeps `health.rhythm`. Times are by the marketplace's clock, so that a jump of ours moves none of them."""

    def __init__(self, database: Database, clock: Clock, health: Health) -> None:
        self._database, self._clock, self._health = database, clock, health
        self._moves: deque[Trace] = deque(maxlen=KEPT)  # of prices, each between two looks
        self._prices: Prices = {}
        self._looked_at: float | None = None

    @property
    def _ahead(self) -> timedelta:
        return self._health.ahead or timedelta()

    def theirs(self, ours: datetime) -> float:
        """A moment of our clock by the marketplace's, in seconds since the epoch."""
        return (ours + self._ahead).timestamp()

    async def saw(self, auctions: Sequence[Auction], asked_at: datetime) -> None:
        """A look at the market, which was begun at `asked_at` and has just ended."""
        ended = self.theirs(self._clock.now())
        prices = {(one.region, one.instance_type): one.spot_price for one in auctions}
        moved = any(price != self._prices[key] for key, price in prices.items() if key in self._prices)
        if moved and self._looked_at is not None and self._looked_at < ended:
            self._moves.append(Trace(self._looked_at, ended))
        self._prices, self._looked_at = prices, self.theirs(asked_at)
        self._health.rhythm = await asyncio.to_thread(self._infer, ended)

    def _infer(self, now: float) -> Rhythm | None:
        since = datetime.fromtimestamp(now, UTC) - self._ahead - REMEMBERED
        with self._database.read_kept() as connection:
            moments = [moment.timestamp() for moment in read.auction_moments(connection, since)]
        return infer([*self._moves, *(Trace(moment, moment) for moment in moments)], now)
