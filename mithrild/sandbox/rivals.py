"""The other bidders: demand that comes, goes and changes its mind. The same seed gives the same demand."""

from __future__ import annotations

import math
from random import Random

from mithrild.sandbox.auction import Offer
from mithrild.sandbox.catalog import Place

_WAVE = 45
"""Auctions in one wave of demand: about an hour and a half."""


class Rivals:
    """The rival bids of one market, moved once an auction."""

    def __init__(self, place: Place, random: Random) -> None:
        self._place = place
        self._random = random
        self._moves = random.randrange(_WAVE)
        self._count = 0
        self._offers: list[Offer] = []
        while self._demand() < place.capacity:
            self._arrive(0.0)

    def _demand(self) -> int:
        return sum(offer.quantity for offer in self._offers)

    def _arrive(self, at: float) -> None:
        self._count += 1
        limit = self._random.randint(self._place.low_cents, self._place.high_cents)
        quantity = self._random.choice((1, 1, 2, 2, 4, 8))
        self._offers.append(Offer(f"rival-{self._count}", limit, quantity, at))

    def move(self, at: float) -> list[Offer]:
        """The rivals' offers for the auction at `at` (seconds since the epoch)."""
        self._moves += 1
        self._offers = [
            Offer(offer.key, self._nudge(offer.limit_cents), offer.quantity, offer.placed_at)
            for offer in self._offers
            if self._random.random() > 0.06
        ]
        wave = 1.15 + 0.35 * math.sin(2 * math.pi * self._moves / _WAVE)
        wanted = self._place.capacity * (wave + self._random.uniform(-0.1, 0.1))
        while self._demand() < wanted:
            self._arrive(at)
        return self._offers

    def _nudge(self, cents: int) -> int:
        moved = round(cents * (1 + self._random.gauss(0, 0.03)))
        return min(max(moved, self._place.low_cents), self._place.high_cents)
