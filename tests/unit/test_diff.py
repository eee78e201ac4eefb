"""Every step of bids, instances and clusters: what the record held, what a poll saw, and the events of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from mithrild.fleet.diff import apply
from mithrild.fleet.model import Bid, Fleet, Transition
from tests.unit.fleet_builders import (
    NOON,
    bid,
    cluster,
    compare,
    fleet,
    instance,
    moment,
    notice,
    snapshot,
    types,
)

CREATED = moment(-3600)
Step = tuple[str | None, str, str, datetime | None]


def steps(transitions: tuple[Transition, ...], aspect: str = "status") -> list[Step]:
    return [(one.before, one.after, one.type, one.occurred_at) for one in transitions if one.aspect == aspect]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "Open", [(None, "Open", "bid.placed", CREATED)]),
        (
            None,
            "Allocated",
            [(None, "Open", "bid.placed", CREATED), ("Open", "Allocated", "bid.allocated", None)],
        ),
        (None, "Paused", [(None, "Open", "bid.placed", CREATED), ("Open", "Paused", "bid.paused", None)]),
        (
            None,
            "Preempting",
            [(None, "Open", "bid.placed", CREATED), ("Open", "Preempting", "bid.preempting", None)],
        ),
        (None, "Dozing", [(None, "Open", "bid.placed", CREATED), ("Open", "Dozing", "bid.dozing", None)]),
        ("Open", "Allocated", [("Open", "Allocated", "bid.allocated", None)]),
        ("Allocated", "Preempting", [("Allocated", "Preempting", "bid.preempting", None)]),
        ("Preempting", "Open", [("Preempting", "Open", "bid.reopened", None)]),
        ("Allocated", "Open", [("Allocated", "Open", "bid.reopened", None)]),
        ("Allocated", "Paused", [("Allocated", "Paused", "bid.paused", None)]),
        ("Paused", "Open", [("Paused", "Open", "bid.resumed", None)]),
        ("Paused", "Allocated", [("Paused", "Allocated", "bid.allocated", None)]),
        ("Open", "Dozing", [("Open", "Dozing", "bid.dozing", None)]),
        ("Dozing", "Dreaming", [("Dozing", "Dreaming", "bid.dreaming", None)]),
        ("Dozing", "Open", [("Dozing", "Open", "bid.reopened", None)]),
        # The end is final: who says otherwise lags behind.
        ("Terminated", "Open", []),
        ("Terminated", "Dozing", []),
        ("Open", "Open", []),
    ],
)
def test_a_bid(before: str | None, after: str, expected: list[Step]) -> None:
    known = Fleet() if before is None else fleet(bid(status=before))
    assert steps(compare(known, snapshot(bid(status=after))).transitions) == expected


@pytest.mark.parametrize("before", [None, "Open", "Allocated", "Preempting", "Paused", "Dozing"])
def test_a_terminated_bid_tells_its_own_time(before: str | None) -> None:
    ended = bid(status="Terminated", deactivated_at=moment(-60))
    known = Fleet() if before is None else fleet(bid(status=before))
    *_, last = steps(compare(known, snapshot(ended)).transitions)
    assert last == (before or "Open", "Terminated", "bid.terminated", moment(-60))


def test_the_present_status_counts_from_when_it_happened_where_that_is_known() -> None:
    ended = bid(status="Terminated", deactivated_at=moment(-60), limit_price="$9.00", limit_price_cents=900)
    changes = compare(fleet(bid(status="Open")), snapshot(ended))
    assert types(changes.transitions) == ["bid.terminated", "bid.limit_changed"]
    assert changes.records.bids["bid_1"].since == moment(-60)
    placed = compare(Fleet(), snapshot(bid(status="Open"), at=7)).records.bids["bid_1"]
    assert placed.since == CREATED
    won = compare(Fleet(), snapshot(bid(status="Allocated"), at=7)).records.bids["bid_1"]
    assert won.since == moment(7)


@pytest.mark.parametrize("other", [bid(limit_price="$9.00", limit_price_cents=900), bid(ssh_keys=("key_2",))])
def test_a_change_beside_the_status_leaves_its_age_alone(other: Bid) -> None:
    changes = compare(fleet(bid()), snapshot(other, at=60))
    assert changes.records.bids["bid_1"].since == NOON


@pytest.mark.parametrize(
    ("noticed", "seen_at", "type"),
    [
        (True, 299, "bid.reprieved"),
        (True, 300, "bid.reprieved"),
        (True, 301, "bid.allocated"),
        (False, 10, "bid.allocated"),
    ],
)
def test_a_reprieve_comes_before_the_deadline_of_a_notice(noticed: bool, seen_at: float, type: str) -> None:
    notices = [notice("bid_1", deadline=moment(300))] if noticed else []
    changes = compare(fleet(bid(status="Preempting")), snapshot(bid(), at=seen_at), notices=notices)
    assert steps(changes.transitions) == [("Preempting", "Allocated", type, None)]


def priced(words: str, cents: int | None = None) -> Bid:
    return bid(limit_price=words, limit_price_cents=cents)


@pytest.mark.parametrize(
    ("before", "after", "aspect", "expected"),
    [
        (priced("$8.00", 800), priced("$9.50", 950), "limit_price", ("$8.00", "$9.50", "bid.limit_changed", None)),
        # The same money in other words is no change; other words, of which nobody knows the money, are one.
        (priced("$8.00", 800), priced("$8", 800), "limit_price", None),
        (priced("dear"), priced("dearer"), "limit_price", ("dear", "dearer", "bid.limit_changed", None)),
        (priced("dear"), priced("$8.00", 800), "limit_price", ("dear", "$8.00", "bid.limit_changed", None)),
        (priced("$8.00", 800), priced("dear"), "limit_price", ("$8.00", "dear", "bid.limit_changed", None)),
        (bid(memory_gb=64), bid(memory_gb=128), "memory", ("64", "128", "bid.memory_changed", None)),
        (bid(memory_gb=None), bid(memory_gb=64), "memory", ("", "64", "bid.memory_changed", None)),
        (bid(memory_gb=64), bid(memory_gb=None), "memory", ("64", "", "bid.memory_changed", None)),
        (bid(), bid(volumes=("v2", "v1")), "volumes", ("", "v1,v2", "bid.volumes_changed", None)),
        (bid(volumes=("v1",)), bid(), "volumes", ("v1", "", "bid.volumes_changed", None)),
        (bid(volumes=("v1", "v2")), bid(volumes=("v2", "v1")), "volumes", None),
    ],
)
def test_a_bid_that_is_changed(before: Bid, after: Bid, aspect: str, expected: Step | None) -> None:
    changes = compare(fleet(before), snapshot(after))
    assert steps(changes.transitions, aspect) == ([expected] if expected else [])
    assert len(changes.transitions) == bool(expected)
    assert apply(fleet(before), changes).bids["bid_1"].value == after


def test_everything_at_once_is_one_step_an_aspect() -> None:
    after = bid(status="Paused", limit_price="$9.00", limit_price_cents=900, memory_gb=64, volumes=("vol_1",))
    changes = compare(fleet(bid()), snapshot(after))
    assert types(changes.transitions) == [
        "bid.paused",
        "bid.limit_changed",
        "bid.memory_changed",
        "bid.volumes_changed",
    ]


@pytest.mark.parametrize(
    ("before", "after", "type"),
    [
        (None, "STATUS_SCHEDULED", "instance.scheduled"),
        (None, "STATUS_RUNNING", "instance.running"),
        ("STATUS_NEW", "STATUS_CONFIRMED", "instance.confirmed"),
        ("STATUS_CONFIRMED", "STATUS_SCHEDULED", "instance.scheduled"),
        ("STATUS_SCHEDULED", "STATUS_INITIALIZING", "instance.initializing"),
        ("STATUS_INITIALIZING", "STATUS_STARTING", "instance.starting"),
        ("STATUS_STARTING", "STATUS_RUNNING", "instance.running"),
        ("STATUS_RUNNING", "STATUS_PREEMPTING", "instance.preempting"),
        ("STATUS_RUNNING", "STATUS_RELOCATING", "instance.relocating"),
        ("STATUS_PREEMPTING", "STATUS_STOPPING", "instance.stopping"),
        ("STATUS_STOPPING", "STATUS_STOPPED", "instance.stopped"),
        ("STATUS_PREEMPTING", "STATUS_PREEMPTED", "instance.preempted"),
        ("STATUS_PREEMPTED", "STATUS_STARTING", "instance.starting"),
        ("STATUS_STOPPED", "STATUS_SCHEDULED", "instance.scheduled"),
        ("STATUS_PREEMPTED", "STATUS_REPLACED", "instance.replaced"),
        ("STATUS_RUNNING", "STATUS_PAUSED", "instance.paused"),
        ("STATUS_RUNNING", "STATUS_ERROR", "instance.error"),
        ("STATUS_RUNNING", "STATUS_TERMINATED", "instance.terminated"),
        ("STATUS_RUNNING", "STATUS_GLOWING", "instance.glowing"),
        ("STATUS_RUNNING", "STATUS_RUNNING", None),
    ],
)
def test_an_instance(before: str | None, after: str, type: str | None) -> None:
    known = Fleet() if before is None else fleet(instance(status=before))
    changes = compare(known, snapshot(instance(status=after)))
    assert steps(changes.transitions) == ([] if type is None else [(before, after, type, None)])


@pytest.mark.parametrize(
    ("before", "after", "seen_at", "type"),
    [
        ("STATUS_PREEMPTING", "STATUS_RUNNING", 300, "instance.reprieved"),
        ("STATUS_PREEMPTING", "STATUS_RUNNING", 301, "instance.running"),
        ("STATUS_PREEMPTING", "STATUS_STARTING", 100, "instance.starting"),
        # A relocation is no preemption, so that one which is called off is no reprieve.
        ("STATUS_RELOCATING", "STATUS_RUNNING", 100, "instance.running"),
    ],
)
def test_an_instance_under_notice(before: str, after: str, seen_at: float, type: str) -> None:
    known = fleet(instance(status=before))
    changes = compare(known, snapshot(instance(status=after), at=seen_at), notices=[notice(deadline=moment(300))])
    assert types(changes.transitions) == [type]


def test_an_instance_that_comes_back_under_a_new_fid() -> None:
    known = fleet(bid(), instance("inst_1", "STATUS_PREEMPTED"))
    seen = snapshot(bid(), instance("inst_1", "STATUS_REPLACED"), instance("inst_2", "STATUS_STARTING"))
    told = [(one.subject, one.type, one.bid) for one in compare(known, seen).transitions]
    assert told == [("inst_1", "instance.replaced", "bid_1"), ("inst_2", "instance.starting", "bid_1")]


def test_what_every_step_carries() -> None:
    reserved = instance("inst_9", "STATUS_STOPPED", bid=None)
    seen = snapshot(bid(status="Paused"), reserved, cluster(status="Pending"), at=10)
    known = fleet(bid(), replace(reserved, status="STATUS_RUNNING"), cluster())
    steps = compare(known, seen).transitions
    assert [(one.kind, one.subject, one.bid) for one in steps] == [
        ("bid", "bid_1", "bid_1"),
        ("instance", "inst_9", None),
        ("cluster", "clust_1", None),
    ]
    for one in steps:
        assert (one.project, one.observed_at, one.window_start) == ("proj_1", moment(10), moment(5))
        assert (one.provenance, one.baseline, one.aspect) == ("observed", False, "status")


def test_the_oldest_comes_first_whatever_the_listing_says() -> None:
    young, old, twin = (bid(fid, "Open", created_at=moment(at)) for fid, at in (("a", -1), ("c", -9), ("b", -1)))
    for order in ((young, old, twin), (twin, old, young)):
        assert [one.subject for one in compare(Fleet(), snapshot(*order)).transitions] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("before", "after", "type", "occurred_at"),
    [
        (None, "Pending", "cluster.pending", CREATED),
        (None, "Available", "cluster.available", None),
        ("Pending", "Available", "cluster.available", None),
        ("Available", "Pending", "cluster.pending", None),
        ("Available", "Terminated", "cluster.terminated", moment(-60)),
        ("Available", "Melting", "cluster.melting", None),
        ("Terminated", "Available", None, None),
    ],
)
def test_a_cluster(before: str | None, after: str, type: str | None, occurred_at: datetime | None) -> None:
    known = Fleet() if before is None else fleet(cluster(status=before))
    seen = snapshot(cluster(status=after, deleted_at=moment(-60) if after == "Terminated" else None))
    expected = [] if type is None else [(before, after, type, occurred_at)]
    assert steps(compare(known, seen).transitions) == expected
