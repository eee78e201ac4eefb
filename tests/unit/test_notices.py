"""Notices: opened and ended by the steps of their subject, with a deadline that is told or estimated."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mithrild.fleet.model import Bid, Instance, Notice
from mithrild.fleet.notices import follow, in_our_time, unconfirmed
from tests.unit.fleet_builders import Watch, bid, cluster, fleet, instance, moment, notice, snapshot

PREEMPTED = (
    bid(status="Preempting", instance_quantity=2),
    instance("inst_1", "STATUS_PREEMPTING"),
    instance("inst_2", "STATUS_PREEMPTING"),
)


def under_notice(*things: Bid | Instance) -> Watch:
    """A watch that has just seen these things under notice, at noon, and knows no deadline."""
    watch = Watch()
    watch.poll(snapshot(*things))
    return watch


def test_an_untold_deadline_is_estimated_at_five_minutes_from_first_sight() -> None:
    watch = Watch(fleet(bid(), instance()))
    watch.poll(snapshot(bid(status="Preempting"), instance(status="STATUS_PREEMPTING"), at=20))
    assert watch.last.opened == (
        Notice("bid_1", 1, "preemption", moment(20), moment(320), estimated=True),
        Notice("inst_1", 1, "preemption", moment(20), moment(320), estimated=True),
    )


@pytest.mark.parametrize(
    ("end_time", "ahead", "ours"),
    [
        (300, 0, 300),
        (300, 4, 300),  # whole seconds, and an answer's way
        (305, 6, 299),
        (3900, 3600, 300),  # an hour ahead, and so is what it tells
        (-3300, -3600, 300),
        (300, 3600, 300),  # only the Date is: by it the notice would have ended long ago
        (300, -3600, 300),
        (300, 86_400, 300),
        (90_000, 3600, 86_400),  # makes sense neither way: the Date is believed
        (300, 120, 180),  # makes sense both ways: likewise
    ],
)
def test_a_deadline_is_told_in_our_time(end_time: float, ahead: float, ours: float) -> None:
    assert in_our_time(moment(end_time), timedelta(seconds=ahead), moment(0)) == moment(ours)


def test_one_answer_tells_the_deadline_of_the_bid_and_all_its_instances() -> None:
    other = (bid("bid_9", "Preempting"), instance("inst_9", "STATUS_PREEMPTING", bid="bid_9"))
    watch = Watch()
    watch.poll(snapshot(*PREEMPTED, *other, deadlines={"inst_2": moment(280)}))
    told = {subject: (one.deadline, one.estimated) for subject, one in watch.notices.items()}
    assert told == {
        "bid_1": (moment(280), False),
        "inst_1": (moment(280), False),
        "inst_2": (moment(280), False),
        "bid_9": (moment(300), True),
        "inst_9": (moment(300), True),
    }


def test_an_instances_own_deadline_counts_before_its_siblings() -> None:
    watch = Watch()
    watch.poll(snapshot(*PREEMPTED, deadlines={"inst_1": moment(290), "inst_2": moment(280)}))
    deadlines = {subject: one.deadline for subject, one in watch.notices.items()}
    assert deadlines == {"bid_1": moment(280), "inst_1": moment(290), "inst_2": moment(280)}


@pytest.mark.parametrize("told", ["inst_1", "inst_2"])
def test_a_relocation_keeps_its_deadline_to_itself(told: str) -> None:
    things = (
        bid(status="Preempting"),
        instance("inst_1", "STATUS_RELOCATING"),
        instance("inst_2", "STATUS_PREEMPTING"),
    )
    watch = Watch()
    watch.poll(snapshot(*things, deadlines={told: moment(200)}))
    assert {subject: one.kind for subject, one in watch.notices.items()} == {
        "bid_1": "preemption",
        "inst_1": "relocation",
        "inst_2": "preemption",
    }
    for subject, one in watch.notices.items():
        mine = (told == "inst_1") is (subject == "inst_1")
        assert one.deadline == (moment(200) if mine else moment(300))
        assert one.estimated is not mine


def test_reserved_instances_share_no_deadline() -> None:
    reserved = [instance(fid, "STATUS_PREEMPTING", bid=None) for fid in ("inst_8", "inst_9")]
    watch = Watch()
    watch.poll(snapshot(*reserved, deadlines={"inst_8": moment(200)}))
    assert {fid: one.deadline for fid, one in watch.notices.items()} == {"inst_8": moment(200), "inst_9": moment(300)}


def test_the_deadline_of_an_instance_that_nobody_knows_tells_nothing() -> None:
    watch = Watch()
    watch.poll(snapshot(*PREEMPTED, deadlines={"inst_7": moment(200)}))
    assert {one.deadline for one in watch.notices.values()} == {moment(300)}


@pytest.mark.parametrize(
    ("before", "after", "seen_at", "how"),
    [
        ("STATUS_PREEMPTING", "STATUS_RUNNING", 100, "reprieved"),
        ("STATUS_PREEMPTING", "STATUS_RUNNING", 900, "running"),
        ("STATUS_PREEMPTING", "STATUS_STOPPING", 300, "stopping"),
        ("STATUS_PREEMPTING", "STATUS_PREEMPTED", 301, "preempted"),
        ("STATUS_PREEMPTING", "STATUS_TERMINATED", 100, "terminated"),
        ("STATUS_PREEMPTING", "STATUS_REPLACED", 100, "replaced"),
        ("STATUS_PREEMPTING", "STATUS_GLOWING", 100, "glowing"),
        ("STATUS_RELOCATING", "STATUS_RUNNING", 100, "running"),
        ("STATUS_RELOCATING", "STATUS_STOPPED", 301, "stopped"),
        ("Preempting", "Allocated", 100, "reprieved"),
        ("Preempting", "Allocated", 900, "allocated"),
        ("Preempting", "Open", 301, "open"),
        ("Preempting", "Paused", 100, "paused"),
        ("Preempting", "Terminated", 100, "terminated"),
    ],
)
def test_how_a_notice_ends(before: str, after: str, seen_at: float, how: str) -> None:
    of_bid = before == "Preempting"
    watch = under_notice(bid(status=before) if of_bid else instance(status=before, bid=None))
    [opened] = watch.notices.values()
    watch.poll(snapshot(bid(status=after) if of_bid else instance(status=after, bid=None), at=seen_at))
    assert watch.last.ended == (replace(opened, ended_at=moment(seen_at), ended_how=how),)
    assert watch.notices == {}


def test_a_notice_of_what_is_gone_has_ended() -> None:
    watch = under_notice(instance(status="STATUS_PREEMPTING", bid=None))
    watch.poll(snapshot(at=5, absent=["inst_1"]))
    assert "inst_1" in watch.notices
    watch.poll(snapshot(at=10, absent=["inst_1"]))
    assert [one.ended_how for one in watch.last.ended] == ["gone"]


def test_a_notice_that_turns_into_another_is_ended_and_opened() -> None:
    watch = under_notice(instance(status="STATUS_RELOCATING"))
    watch.poll(snapshot(instance(status="STATUS_PREEMPTING"), at=60))
    assert [(one.kind, one.ordinal, one.ended_how) for one in watch.last.ended] == [("relocation", 1, "preempting")]
    assert [(one.kind, one.ordinal, one.deadline) for one in watch.last.opened] == [("preemption", 2, moment(360))]


def test_notices_of_one_subject_are_numbered() -> None:
    watch = Watch()
    for turn in range(3):
        watch.poll(snapshot(instance(status="STATUS_PREEMPTING"), at=turn * 1000))
        assert [one.ordinal for one in watch.last.opened] == [turn + 1]
        watch.poll(snapshot(instance(status="STATUS_RUNNING"), at=turn * 1000 + 60))


def test_steps_of_other_aspects_and_kinds_leave_notices_alone() -> None:
    watch = under_notice(bid(status="Preempting"))
    dearer = bid(status="Preempting", limit_price="$9.00", limit_price_cents=900)
    assert watch.poll(snapshot(dearer, at=60)) == ["bid.limit_changed"]
    assert (watch.last.opened, watch.last.ended, watch.last.corrected) == ((), (), ())
    assert watch.poll(snapshot(cluster(status="Preempting"), at=65)) == ["cluster.preempting"]
    assert watch.notices.keys() == {"bid_1"}


@pytest.mark.parametrize(
    ("held", "estimated", "told", "corrected", "event"),
    [
        (300, True, 300, True, False),  # confirmed
        (300, True, 290, True, False),
        (300, True, 310, True, False),
        (300, True, 289, True, True),
        (300, True, 311, True, True),
        (300, False, 300, False, False),  # known already
        (300, False, 299, True, False),
        (300, False, 250, True, True),
        (300, False, 360, True, True),
    ],
)
def test_a_correction(held: float, estimated: bool, told: float, corrected: bool, event: bool) -> None:
    standing = notice(deadline=moment(held), estimated=estimated)
    known = fleet(bid(), instance(status="STATUS_PREEMPTING"))
    seen = snapshot(at=30, whole=[], deadlines={"inst_1": moment(told)})
    changes = follow((), known, seen, {"inst_1": standing}, {"inst_1": 1})
    after = replace(standing, deadline=moment(told), estimated=False)
    assert changes.corrected == ((after,) if corrected else ())
    assert (changes.opened, changes.ended) == ((), ())
    assert [
        (one.type, one.kind, one.subject, one.bid, one.aspect, one.before, one.after, one.observed_at)
        for one in changes.transitions
    ] == [
        (
            "instance.deadline_changed",
            "instance",
            "inst_1",
            "bid_1",
            "deadline",
            moment(held).isoformat(),
            moment(told).isoformat(),
            moment(30),
        )
    ][: int(event)]


def test_one_late_answer_corrects_the_bid_and_all_its_instances() -> None:
    watch = under_notice(*PREEMPTED)
    told = watch.poll(snapshot(at=2, whole=[], deadlines={"inst_2": moment(240)}))
    assert told == ["instance.deadline_changed", "instance.deadline_changed"]
    assert [one.subject for one in watch.steps[-2:]] == ["inst_1", "inst_2"]
    assert {one.subject: (one.deadline, one.estimated) for one in watch.last.corrected} == {
        "bid_1": (moment(240), False),
        "inst_1": (moment(240), False),
        "inst_2": (moment(240), False),
    }
    assert watch.poll(snapshot(at=4, whole=[], deadlines={"inst_2": moment(240)})) == []
    assert watch.last.corrected == ()


def test_a_notice_that_ends_is_not_corrected_in_the_same_poll() -> None:
    watch = under_notice(instance(status="STATUS_PREEMPTING", bid=None))
    seen = snapshot(instance(status="STATUS_STOPPING", bid=None), at=290, deadlines={"inst_1": moment(270)})
    assert watch.poll(seen) == ["instance.stopping"]
    assert watch.last.corrected == ()


@pytest.mark.parametrize(
    ("estimated", "asked"),
    [
        ([], []),
        # One of each preempted bid: for the bid itself, or for any of its instances.
        (["bid_1", "inst_1", "inst_2"], ["inst_1"]),
        (["bid_1"], ["inst_1"]),
        (["inst_2"], ["inst_2"]),
        (["bid_1", "bid_2", "inst_3"], ["inst_1", "inst_3"]),
        # Relocated ones each for themselves, though they are of one bid.
        (["inst_4", "inst_5"], ["inst_4", "inst_5"]),
        (["inst_5"], ["inst_5"]),
        # A bid's notice asks nothing of those that are relocated, or that run.
        (["bid_4", "inst_6"], []),
        # Reserved instances have no bid to share a deadline with.
        (["inst_7", "inst_8"], ["inst_7", "inst_8"]),
        (["bid_1", "inst_1", "inst_4", "inst_7"], ["inst_1", "inst_4", "inst_7"]),
    ],
)
def test_whom_to_ask_for_a_deadline(estimated: list[str], asked: list[str]) -> None:
    known = fleet(
        bid("bid_1"),
        bid("bid_2"),
        bid("bid_4"),
        instance("inst_8", "STATUS_PREEMPTING", bid=None),
        instance("inst_7", "STATUS_PREEMPTING", bid=None),
        instance("inst_6", "STATUS_RUNNING", bid="bid_4"),
        instance("inst_5", "STATUS_RELOCATING", bid="bid_4"),
        instance("inst_4", "STATUS_RELOCATING", bid="bid_4"),
        instance("inst_3", "STATUS_PREEMPTING", bid="bid_2"),
        instance("inst_2", "STATUS_PREEMPTING", bid="bid_1"),
        instance("inst_1", "STATUS_PREEMPTING", bid="bid_1"),
    )
    assert unconfirmed(known, estimated) == asked


def test_what_is_gone_is_not_asked() -> None:
    known = fleet(
        bid(),
        instance("inst_1", "STATUS_PREEMPTING"),
        instance("inst_2", "STATUS_PREEMPTING"),
        gone=["inst_1"],
    )
    assert unconfirmed(known, ["bid_1", "inst_2"]) == ["inst_2"]
