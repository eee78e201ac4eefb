"""What a whole listing lacks, and how much absence is believed at once."""

from __future__ import annotations

import pytest

from mithrild.fleet.completeness import Missing, believable, is_live, missing
from mithrild.fleet.model import Kind
from tests.unit.fleet_builders import bid, cluster, fleet, instance, snapshot

KNOWN = fleet(
    bid("bid_2"),
    bid("bid_1"),
    instance("inst_2"),
    instance("inst_1", "STATUS_STOPPED"),
    cluster(),
)


def test_what_whole_listings_lack_is_named_in_order() -> None:
    assert missing(KNOWN, snapshot()) == Missing(("bid_1", "bid_2"), ("inst_1", "inst_2"), ("clust_1",))


def test_what_is_shown_in_any_status_is_not_missing() -> None:
    seen = snapshot(bid("bid_2", "Terminated"), instance("inst_1", "STATUS_TERMINATED"), cluster(status="Melting"))
    assert missing(KNOWN, seen) == Missing(("bid_1",), ("inst_2",), ())


@pytest.mark.parametrize(
    ("whole", "lacking"),
    [
        ([], Missing()),
        (["bid"], Missing(bids=("bid_1", "bid_2"))),
        (["instance"], Missing(instances=("inst_1", "inst_2"))),
        (["cluster"], Missing(clusters=("clust_1",))),
    ],
)
def test_half_a_listing_lacks_nothing(whole: list[Kind], lacking: Missing) -> None:
    assert missing(KNOWN, snapshot(whole=whole)) == lacking


@pytest.mark.parametrize("status", ["STATUS_TERMINATED", "STATUS_REPLACED"])
def test_what_has_ended_or_is_gone_is_not_missed(status: str) -> None:
    ended = fleet(
        bid(status="Terminated"),
        bid("bid_2", "Open"),
        instance(status=status),
        cluster(status="Terminated"),
        gone=["bid_2"],
    )
    assert missing(ended, snapshot()) == Missing()


def test_an_instance_that_only_its_bid_names_is_missed() -> None:
    """It hides behind a status that no filter can name."""
    seen = snapshot(bid("bid_1", instances=("inst_7", "inst_1", "inst_2")), bid("bid_2"), instance("inst_2"))
    assert missing(KNOWN, seen).instances == ("inst_1", "inst_7")


def test_an_instance_that_has_ended_is_not_missed_though_its_bid_names_it() -> None:
    known = fleet(bid(), instance(status="STATUS_TERMINATED"))
    assert missing(known, snapshot(bid(instances=("inst_1",)))) == Missing()


def test_what_a_bid_names_is_not_asked_for_while_instances_are_half_listed() -> None:
    assert missing(fleet(bid()), snapshot(bid(instances=("inst_7",)), whole=["bid"])) == Missing()


@pytest.mark.parametrize(
    ("status", "gone", "live"),
    [
        ("Open", False, True),
        ("Paused", False, True),
        ("Dozing", False, True),
        ("Terminated", False, False),
        ("Open", True, False),
        ("STATUS_ERROR", False, True),
        ("STATUS_STOPPED", False, True),
        ("STATUS_REPLACED", False, False),
        ("STATUS_TERMINATED", True, False),
    ],
)
def test_what_lives(status: str, gone: bool, live: bool) -> None:
    assert is_live(status, gone) is live


@pytest.mark.parametrize(
    ("live", "absent", "believed"),
    [
        (0, 0, True),
        (1, 1, True),
        (3, 3, True),
        (100, 3, True),
        (4, 4, False),
        (7, 4, False),
        (8, 4, True),
        (9, 5, False),
        (100, 50, True),
        (100, 51, False),
        (100, 100, False),
    ],
)
def test_how_much_absence_is_believed_at_once(live: int, absent: int, believed: bool) -> None:
    assert believable(live, absent) is believed
