"""First sight, sameness, and what is not there: what a diff does not conclude."""

from __future__ import annotations

import pytest

from mithrild.fleet.diff import apply
from mithrild.fleet.model import Bid, Cluster, Fleet, Instance, Kind
from tests.unit.fleet_builders import Watch, bid, cluster, compare, fleet, instance, moment, snapshot, types


def test_what_is_there_at_first_sight_is_recorded_and_no_news() -> None:
    watch = Watch()
    everything: list[Kind] = ["bid", "instance", "cluster"]
    things = (
        bid("bid_1"),
        bid("bid_2", "Open"),
        bid("bid_3", "Preempting"),
        instance(),
        instance("inst_3", "STATUS_PREEMPTING", bid="bid_3"),
        cluster(),
    )
    assert watch.poll(snapshot(*things), first_sight=everything) == []
    assert [(one.subject, one.before, one.type, one.baseline) for one in watch.steps] == [
        ("bid_1", None, "bid.allocated", True),
        ("bid_2", None, "bid.placed", True),
        ("bid_3", None, "bid.preempting", True),
        ("inst_1", None, "instance.running", True),
        ("inst_3", None, "instance.preempting", True),
        ("clust_1", None, "cluster.available", True),
        ("bid_1", "none", "bid.running", True),
    ]
    assert not any(one.occurred_at for one in watch.steps), "an open bid may have been allocated since it was placed"
    assert watch.notices.keys() == {"bid_3", "inst_3"}
    assert watch.poll(snapshot(*things, at=5)) == []
    assert watch.poll(snapshot(bid(status="Paused"), at=10)) == ["bid.paused"]


def test_first_sight_is_of_one_kind_only() -> None:
    steps = compare(Fleet(), snapshot(bid(status="Open"), cluster()), first_sight=["cluster"]).transitions
    assert [(one.type, one.baseline) for one in steps] == [("bid.placed", False), ("cluster.available", True)]


def test_what_is_held_gives_nothing() -> None:
    things = (bid(volumes=("vol_1",)), instance(), cluster())
    changes = compare(fleet(*things, health="running"), snapshot(*things, at=60))
    assert not changes
    assert changes.records == Fleet()


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        (bid(), bid(ssh_keys=("key_2",))),
        (instance(), instance(ssh_destination="192.0.2.7:2222")),
        (cluster(), cluster(k8s_version="1.32")),
    ],
)
def test_a_detail_is_kept_and_is_no_event(held: Bid | Instance | Cluster, shown: Bid | Instance | Cluster) -> None:
    changes = compare(fleet(held), snapshot(shown))
    assert changes
    assert changes.transitions == ()
    assert apply(fleet(held), changes) == fleet(shown)


def test_what_has_ended_may_still_tell_when() -> None:
    late = bid(status="Terminated", deactivated_at=moment(-60))
    changes = compare(fleet(bid(status="Terminated")), snapshot(late))
    assert changes.transitions == ()
    assert changes.records.bids["bid_1"].value == late


@pytest.mark.parametrize("whole", [[], ["bid", "instance", "cluster"]])
def test_nothing_follows_from_what_a_listing_lacks(whole: list[Kind]) -> None:
    known = fleet(bid("bid_1"), bid("bid_2", "Open"), instance(), cluster(), health="running")
    changes = compare(known, snapshot(bid("bid_2", "Paused"), whole=whole))
    assert types(changes.transitions) == ["bid.paused"]
    assert changes.records == Fleet(bids={"bid_2": changes.records.bids["bid_2"]})


@pytest.mark.parametrize(
    ("kind", "thing"),
    [("bid", bid(status="Open")), ("instance", instance(bid=None)), ("cluster", cluster())],
)
def test_two_404s_in_a_row_make_a_thing_gone_and_only_once(kind: str, thing: Bid | Instance | Cluster) -> None:
    watch = Watch(fleet(thing))
    assert watch.poll(snapshot(at=5, absent=[thing.fid])) == []
    assert watch.poll(snapshot(at=10, absent=[thing.fid])) == [f"{kind}.gone"]
    assert watch.steps[-1].before == thing.status
    assert watch.steps[-1].after == "gone"
    assert watch.poll(snapshot(at=15, absent=[thing.fid])) == []


@pytest.mark.parametrize("shown", [bid(status="Open"), bid(status="Open", ssh_keys=("key_2",))])
def test_a_404_is_forgotten_when_the_thing_is_seen_again(shown: Bid) -> None:
    watch = Watch(fleet(bid(status="Open")))
    assert watch.poll(snapshot(at=5, absent=["bid_1"])) == []
    assert watch.poll(snapshot(shown, at=10)) == []
    assert watch.fleet.bids["bid_1"].misses == 0
    assert watch.poll(snapshot(at=15, absent=["bid_1"])) == []
    assert watch.poll(snapshot(at=20, absent=["bid_1"])) == ["bid.gone"]


def test_a_listing_that_shows_a_thing_outweighs_its_404() -> None:
    watch = Watch(fleet(bid(status="Open")))
    for at in (5, 10, 15):
        assert watch.poll(snapshot(bid(status="Open"), at=at, absent=["bid_1"])) == []


@pytest.mark.parametrize(
    "thing", [bid(status="Terminated"), instance(status="STATUS_REPLACED"), cluster(status="Terminated")]
)
def test_the_404_of_what_has_ended_adds_nothing(thing: Bid | Instance | Cluster) -> None:
    watch = Watch(fleet(thing))
    for at in (5, 10, 15):
        assert watch.poll(snapshot(at=at, absent=[thing.fid])) == []


@pytest.mark.parametrize(
    ("status", "type"),
    [("Open", "bid.reopened"), ("Allocated", "bid.allocated"), ("Terminated", "bid.terminated")],
)
def test_a_bid_that_comes_back(status: str, type: str) -> None:
    watch = Watch(fleet(bid(status="Open"), gone=["bid_1"]))
    assert watch.poll(snapshot(bid(status=status), at=30)) == [type]
    assert watch.steps[-1].before == "gone"
    record = watch.fleet.bids["bid_1"]
    assert (record.gone, record.misses, record.since) == (False, 0, moment(30))
    assert watch.poll(snapshot(bid(status=status), at=35)) == []


def test_an_instance_that_comes_back() -> None:
    watch = Watch(fleet(instance(bid=None), gone=["inst_1"]))
    assert watch.poll(snapshot(instance(bid=None), at=30)) == ["instance.running"]
    assert watch.steps[-1].before == "gone"
