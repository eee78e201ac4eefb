"""The auction: examples worked by hand, and what must hold for every one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mithrild.sandbox.auction import Offer, clear


def offer(key: str, limit: int, quantity: int = 1, placed_at: float = 0.0) -> Offer:
    return Offer(key, limit, quantity, placed_at)


def test_winners_pay_the_highest_losing_limit() -> None:
    outcome = clear(2, [offer("a", 900), offer("b", 700), offer("c", 500), offer("d", 400)], 100)
    assert outcome.winners == {"a", "b"}
    assert outcome.price_cents == 500
    assert outcome.lowest_winning_cents == 700
    assert outcome.allocated == 2


def test_without_a_loser_the_price_is_the_minimum() -> None:
    outcome = clear(4, [offer("a", 900), offer("b", 700)], 100)
    assert outcome.winners == {"a", "b"}
    assert outcome.price_cents == 100


def test_nobody_at_all() -> None:
    outcome = clear(4, [], 100)
    assert outcome.winners == frozenset()
    assert (outcome.price_cents, outcome.lowest_winning_cents, outcome.allocated) == (100, None, 0)


def test_a_bid_for_several_instances_gets_all_or_nothing() -> None:
    outcome = clear(4, [offer("a", 900, 2), offer("b", 800, 3)], 100)
    assert outcome.winners == {"a"}
    assert outcome.price_cents == 800
    assert outcome.allocated == 2


def test_it_stops_at_the_first_that_does_not_fit() -> None:
    """A smaller bid behind it would fit, but would then pay 800, above its limit."""
    outcome = clear(4, [offer("a", 900, 2), offer("b", 800, 3), offer("c", 700, 1)], 100)
    assert outcome.winners == {"a"}


def test_equal_limits_are_served_oldest_first() -> None:
    outcome = clear(1, [offer("young", 500, placed_at=20.0), offer("old", 500, placed_at=10.0)], 100)
    assert outcome.winners == {"old"}
    assert outcome.price_cents == 500


def test_a_loser_raises_the_price_without_winning() -> None:
    before = clear(1, [offer("a", 900), offer("b", 300)], 100)
    after = clear(1, [offer("a", 900), offer("b", 600)], 100)
    assert before.winners == after.winners == {"a"}
    assert (before.price_cents, after.price_cents) == (300, 600)


def test_below_the_minimum_nobody_wins_even_where_there_is_room() -> None:
    outcome = clear(9, [offer("a", 99), offer("b", 100)], 100)
    assert outcome.winners == {"b"}
    assert outcome.price_cents == 100


limits = st.integers(min_value=1, max_value=50)
quantities = st.integers(min_value=1, max_value=6)
markets = st.lists(st.tuples(limits, quantities, st.integers(0, 3)), max_size=12).map(
    lambda rows: [Offer(f"bid{at}", limit, size, float(age)) for at, (limit, size, age) in enumerate(rows)]
)
capacities = st.integers(min_value=0, max_value=16)
minimums = st.integers(min_value=1, max_value=20)


@given(capacities, markets, minimums)
def test_nobody_pays_above_the_limit(capacity: int, offers: list[Offer], minimum: int) -> None:
    outcome = clear(capacity, offers, minimum)
    assert all(each.limit_cents >= outcome.price_cents for each in offers if each.key in outcome.winners)
    assert outcome.price_cents >= minimum


@given(capacities, markets, minimums)
def test_no_loser_has_a_higher_limit_than_a_winner(capacity: int, offers: list[Offer], minimum: int) -> None:
    outcome = clear(capacity, offers, minimum)
    winning = [each.limit_cents for each in offers if each.key in outcome.winners]
    losing = [each.limit_cents for each in offers if each.key not in outcome.winners]
    assert not winning or not losing or max(losing) <= min(winning)


@given(capacities, markets, minimums)
def test_no_more_is_given_away_than_there_is(capacity: int, offers: list[Offer], minimum: int) -> None:
    outcome = clear(capacity, offers, minimum)
    given_away = sum(each.quantity for each in offers if each.key in outcome.winners)
    assert given_away == outcome.allocated <= capacity


@given(capacities, markets, minimums, st.data())
def test_raising_a_limit_never_loses_an_allocation(
    capacity: int, offers: list[Offer], minimum: int, data: st.DataObject
) -> None:
    winners = [each for each in offers if each.key in clear(capacity, offers, minimum).winners]
    if not winners:
        return
    raised = data.draw(st.sampled_from(winners))
    more = data.draw(st.integers(min_value=1, max_value=60))
    changed = [replace(each, limit_cents=each.limit_cents + more) if each is raised else each for each in offers]
    assert raised.key in clear(capacity, changed, minimum).winners


@given(capacities, markets, minimums)
def test_the_order_in_which_offers_are_read_does_not_matter(capacity: int, offers: list[Offer], minimum: int) -> None:
    assert clear(capacity, offers[::-1], minimum) == clear(capacity, offers, minimum)
