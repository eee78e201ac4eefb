"""A bid before it is placed: what a person asks for, what will be sent, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mithrild.fleet.model import Auction, Quota
from mithrild.fleet.price import cents, dollars

MOST_INSTANCES = 10_000


@dataclass(frozen=True, slots=True)
class Wish:
    """A bid in the words of a person. `public_keys` are lines of the keys that the person has."""

    project: str  # a fid
    name: str
    instance_type: str
    region: str
    limit_price: str
    quantity: int
    ssh_keys: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    kubernetes_cluster: str | None = None
    startup_script: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A bid that is about to be placed. Everything is a fid, and the limit an integer number of cents."""

    project: str
    name: str
    instance_type: str
    region: str
    limit_cents: int
    quantity: int
    ssh_keys: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    kubernetes_cluster: str | None = None
    startup_script: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be placed, the market it goes to, and what is allowed and most likely not meant."""

    order: Order
    auction: Auction | None
    warnings: list[str] = field(default_factory=list)


class Unfit(ValueError):
    """What was asked for cannot be placed. `choices` are the words that could have stood in the place of `what`."""

    def __init__(self, message: str, choices: Iterable[str] = (), what: str = "") -> None:
        super().__init__(message)
        self.choices, self.what = tuple(choices), what


class NoSuch(Unfit):
    """Something that was named is not there at all."""


class NameTaken(Unfit):
    """Names stay taken in a project for good, also when their bid has ended."""


def limit(words: str) -> int:
    """`8`, `8.0` and `$8.0` as 800 cents an instance-hour."""
    value = cents(words)
    if value is None:
        raise Unfit(f"{words[:40]!r} is not a price in dollars and whole cents, such as 8 or $8.50")
    if value == 0:
        raise Unfit("a limit price must be above 0")
    return value


def check_quota(order: Order, quotas: Iterable[Quota]) -> None:
    """Raises Unfit where the bid asks for more than the project may ever have at once."""
    for quota in _of(order, quotas):
        if order.quantity > quota.total:
            raise Unfit(f"{order.quantity} instances are more than the project's quota of {quota.total}")


def warnings(order: Order, auction: Auction | None, quotas: Iterable[Quota] = ()) -> list[str]:
    """What is allowed, and most likely not meant."""
    said = []
    if auction is not None and auction.spot_price_cents is not None and order.limit_cents <= auction.spot_price_cents:
        said.append(
            f"the limit {dollars(order.limit_cents)} is not above the spot price {auction.spot_price}: "
            "the bid will wait until the price falls"
        )
    if auction is not None and order.quantity > auction.capacity:
        said.append(f"{order.quantity} instances are more than the capacity of {auction.capacity}: none will run")
    for quota in _of(order, quotas):
        if quota.used + order.quantity > quota.total >= order.quantity:
            said.append(f"{quota.used} of the quota of {quota.total} are in use: the bid waits for some to end")
    return said


def _of(order: Order, quotas: Iterable[Quota]) -> list[Quota]:
    """Those that count spot instances of the order's type."""
    return [
        quota
        for quota in quotas
        if quota.instance_type in (None, order.instance_type) and "spot" in quota.product_type.lower()
    ]
