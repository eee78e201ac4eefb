"""The demonstration: bids of the account, and the demand that gives them a whole life within a minute at speed 60.

Surges are rivals that take a whole market at the auctions named; cues are relocations. Auctions are counted from the
start, modulo PERIOD, so it goes on for ever. What random rivals bid in these markets stays below the demo bids.
"""

from __future__ import annotations

from dataclasses import dataclass

from mithrild.sandbox.auction import Offer
from mithrild.sandbox.catalog import PLACE_BY_KEY, PROJECT, SECOND_PROJECT

PERIOD = 20


@dataclass(frozen=True, slots=True)
class DemoBid:
    name: str
    project: str
    user: str
    region: str
    instance_type: str
    limit_cents: int
    quantity: int
    ssh_keys: tuple[str, ...]
    volumes: tuple[str, ...] = ()
    cluster: str | None = None
    age: float = 0.0
    """Seconds before the start at which it was placed."""
    paused: bool = False
    terminated: bool = False


BIDS = (
    DemoBid("first-try", PROJECT, "user_sam", "us-central1-b", "it_a100x1usc07", 90, 1, ("sshkey_admin",),
            age=12 * 86_400, terminated=True),
    DemoBid("train-old", PROJECT, "user_noor", "us-central5-a", "it_b200usc5a01", 1500, 2, ("sshkey_admin",),
            age=5 * 86_400, terminated=True),
    DemoBid("parked", SECOND_PROJECT, "user_jun", "us-east1-a", "it_h200use1a03", 1800, 1, ("sshkey_research",),
            age=2 * 86_400, paused=True),
    DemoBid("bargain", SECOND_PROJECT, "user_sam", "eu-central1-a", "it_h100euc1a05", 300, 2, ("sshkey_research",),
            age=86_400),
    DemoBid("train", PROJECT, "user_sam", "us-central5-a", "it_b200usc5a01", 2400, 2, ("sshkey_admin",),
            volumes=("vol_datasets",), cluster="clust_train", age=90),
    DemoBid("eval", PROJECT, "user_sam", "us-central1-a", "it_h100usc1a04", 1400, 1, ("sshkey_admin", "sshkey_ci"),
            age=60),
    DemoBid("notebook", PROJECT, "user_noor", "us-central2-a", "it_a100usc2a06", 700, 1, ("sshkey_admin",), age=30),
)  # fmt: skip
NAMES = frozenset(bid.name for bid in BIDS)


@dataclass(frozen=True, slots=True)
class Surge:
    """Auctions `first` to `last`, both included, of every period."""

    region: str
    instance_type: str
    first: int
    last: int
    limit_cents: int


SURGES = (
    # train: longer than the notice, so it stops and comes back under its own power.
    Surge("us-central5-a", "it_b200usc5a01", 3, 7, 3100),
    # eval: one auction only, so the next one reprieves it.
    Surge("us-central1-a", "it_h100usc1a04", 6, 6, 1900),
    # notebook: open at first, then allocated, relocated, and preempted when the period ends.
    Surge("us-central2-a", "it_a100usc2a06", 0, 8, 950),
    Surge("us-central2-a", "it_a100usc2a06", 17, 19, 950),
)
RELOCATIONS = {13: "notebook"}


def surge(key: tuple[str, str], tick: int, at: float) -> list[Offer]:
    """The scripted offers in one market (region, type) at auction number `tick`."""
    turn = tick % PERIOD
    return [
        Offer(f"surge-{number}", each.limit_cents, PLACE_BY_KEY[key].capacity, at)
        for number, each in enumerate(SURGES)
        if (each.region, each.instance_type) == key and each.first <= turn <= each.last
    ]
