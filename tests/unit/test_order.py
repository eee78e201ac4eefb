"""A bid before it is placed: its price, its quota, and what is most likely not meant."""

from __future__ import annotations

import pytest

from mithrild.fleet.model import Auction, Quota
from mithrild.fleet.order import Order, Unfit, check_quota, limit, warnings
from mithrild.fleet.price import dollars

ORDER = Order("proj_1", "train", "it_1", "us-central5-a", limit_cents=800, quantity=2)


@pytest.mark.parametrize(
    ("words", "cents"),
    [("8", 800), ("8.0", 800), ("$8.0", 800), ("$8.00", 800), ("0.01", 1), ("1,200", 120_000), (" $8 ", 800)],
)
def test_a_limit_is_dollars_and_whole_cents(words: str, cents: int) -> None:
    assert limit(words) == cents
    assert limit(dollars(cents)) == cents


@pytest.mark.parametrize("words", ["NaN", "inf", "-1", "", "8.005", "eight", "8$", "1e3", "0x8", "٨", "$", "9" * 30])
def test_what_is_no_price_is_refused_by_its_words(words: str) -> None:
    with pytest.raises(Unfit, match="is not a price in dollars"):
        limit(words)


@pytest.mark.parametrize("words", ["0", "$0.00", "0.0"])
def test_nothing_is_free(words: str) -> None:
    with pytest.raises(Unfit, match="above 0"):
        limit(words)


def auction(spot_cents: int | None, capacity: int) -> Auction:
    spot = None if spot_cents is None else dollars(spot_cents)
    return Auction("us-central5-a", "it_1", capacity, spot, spot_cents, None, None)


@pytest.mark.parametrize(
    ("market", "quotas", "said"),
    [
        (None, [], []),
        (auction(799, 2), [], []),
        (auction(None, 2), [], []),
        (auction(800, 2), [], ["is not above the spot price $8.00"]),
        (auction(799, 1), [], ["more than the capacity of 1"]),
        (auction(900, 1), [], ["is not above the spot price $9.00", "more than the capacity of 1"]),
        (auction(1, 9), [Quota("it_1", "Spot", total=4, used=3)], ["3 of the quota of 4 are in use"]),
        (auction(1, 9), [Quota(None, "spot instances", total=4, used=3)], ["3 of the quota of 4 are in use"]),
        (auction(1, 9), [Quota("it_2", "Spot", 4, 3), Quota("it_1", "Storage", 4, 3)], []),
    ],
)
def test_what_is_most_likely_not_meant_is_told(market: Auction | None, quotas: list[Quota], said: list[str]) -> None:
    told = warnings(ORDER, market, quotas)
    assert len(told) == len(said)
    assert all(words in line for words, line in zip(said, told, strict=True))


def test_more_than_a_project_may_ever_have_is_refused() -> None:
    check_quota(ORDER, [Quota("it_1", "Spot", total=2, used=2), Quota("it_2", "Spot", total=0, used=0)])
    with pytest.raises(Unfit, match="quota of 1"):
        check_quota(ORDER, [Quota("it_1", "Spot", total=1, used=0)])
