"""The blind second-price auction of one instance type in one region. Pure: offers in, outcome out.

Winners are a prefix of the offers by limit price, then age. The auction stops at the first offer that does not
fit, even if a smaller one behind it would: otherwise a winner could have a lower limit than a loser, and the
price, which is the highest losing limit, would be above what that winner agreed to pay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """One bid as the auction sees it. Prices are integer cents per instance-hour."""

    key: str
    limit_cents: int
    quantity: int
    placed_at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    winners: frozenset[str]
    price_cents: int
    """What every winner pays, and what the next one would have to exceed."""
    lowest_winning_cents: int | None
    allocated: int


def clear(capacity: int, offers: Iterable[Offer], minimum_cents: int) -> Outcome:
    """Allocate `capacity` instances. Every winner pays the highest losing limit, at least the minimum price."""
    ranked = sorted(offers, key=lambda offer: (-offer.limit_cents, offer.placed_at, offer.key))
    winners: list[Offer] = []
    allocated = 0
    price = minimum_cents
    for offer in ranked:
        if offer.limit_cents < minimum_cents or allocated + offer.quantity > capacity:
            price = max(minimum_cents, offer.limit_cents)
            break
        winners.append(offer)
        allocated += offer.quantity
    return Outcome(
        winners=frozenset(offer.key for offer in winners),
        price_cents=price,
        lowest_winning_cents=winners[-1].limit_cents if winners else None,
        allocated=allocated,
    )
