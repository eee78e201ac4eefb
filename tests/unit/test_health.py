"""`bid.running` and `bid.degraded`: told at their edges only, over polls in a row."""

from __future__ import annotations

from mithrild.fleet.model import Bid, Instance
from tests.unit.fleet_builders import Watch, bid, cluster, instance, moment, snapshot

TWO = bid(instance_quantity=2)


def two(first: str, second: str) -> tuple[Instance, Instance]:
    return instance("inst_1", f"STATUS_{first}"), instance("inst_2", f"STATUS_{second}")


def running() -> Watch:
    watch = Watch()
    watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING")), first_sight=["bid", "instance"])
    return watch


def test_a_bid_runs_when_all_that_is_wanted_runs_and_is_told_once() -> None:
    watch = Watch()
    watch.poll(snapshot(TWO, *two("STARTING", "STARTING")))
    assert watch.poll(snapshot(TWO, *two("RUNNING", "STARTING"), at=5)) == ["instance.running"]
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=10)) == ["instance.running", "bid.running"]
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=15)) == []
    told = watch.steps[-1]
    assert (told.aspect, told.before, told.after, told.subject) == ("health", "none", "running", "bid_1")


def test_a_bid_that_never_ran_is_not_degraded() -> None:
    watch = Watch()
    watch.poll(snapshot(TWO, *two("RUNNING", "STARTING")))
    assert watch.poll(snapshot(TWO, *two("RUNNING", "ERROR"), at=5)) == ["instance.error"]
    assert watch.poll(snapshot(TWO, *two("RUNNING", "ERROR"), at=10)) == []


def test_a_bid_is_degraded_a_poll_after_its_instance_failed_and_runs_again_when_that_does() -> None:
    watch = running()
    assert watch.poll(snapshot(TWO, *two("RUNNING", "ERROR"), at=5)) == ["instance.error"]
    assert watch.poll(snapshot(TWO, *two("RUNNING", "ERROR"), at=10)) == ["bid.degraded"]
    assert watch.poll(snapshot(TWO, *two("RUNNING", "ERROR"), at=15)) == []
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=20)) == ["instance.running", "bid.running"]
    assert watch.steps[-1].before == "degraded"


def test_a_bid_that_is_being_terminated_is_not_degraded() -> None:
    """Its instances end first, or at once, or it does: bids and instances come from two requests."""
    ended = bid(instance_quantity=2, status="Terminated")
    watch = running()
    assert watch.poll(snapshot(TWO, *two("TERMINATED", "RUNNING"), at=5)) == ["instance.terminated"]
    assert watch.poll(snapshot(ended, *two("TERMINATED", "TERMINATED"), at=10)) == [
        "bid.terminated",
        "instance.terminated",
    ]
    assert watch.poll(snapshot(ended, *two("TERMINATED", "TERMINATED"), at=15)) == []
    watch = running()
    assert watch.poll(snapshot(ended, *two("RUNNING", "RUNNING"), at=5)) == ["bid.terminated"]
    assert "bid.degraded" not in watch.poll(snapshot(*two("TERMINATED", "TERMINATED"), at=10))


def test_a_poll_that_does_not_show_the_bid_does_not_call_it_degraded() -> None:
    watch = running()
    watch.poll(snapshot(TWO, *two("TERMINATED", "RUNNING"), at=5))
    assert watch.poll(snapshot(cluster(), at=6, whole=["cluster"])) == ["cluster.available"]
    assert watch.poll(snapshot(at=7, whole=[], deadlines={"inst_2": moment(300)})) == []
    assert watch.poll(snapshot(TWO, at=8, whole=["bid"])) == ["bid.degraded"]


def test_a_reprieve_is_no_second_running() -> None:
    watch = running()
    noticed = bid(instance_quantity=2, status="Preempting")
    assert watch.poll(snapshot(noticed, *two("PREEMPTING", "PREEMPTING"), at=5)) == [
        "bid.preempting",
        "instance.preempting",
        "instance.preempting",
    ]
    assert watch.poll(snapshot(noticed, *two("PREEMPTING", "PREEMPTING"), at=10)) == []
    assert watch.poll(snapshot(TWO, *two("PREEMPTING", "RUNNING"), at=100)) == ["bid.reprieved", "instance.reprieved"]
    assert watch.poll(snapshot(TWO, *two("PREEMPTING", "RUNNING"), at=105)) == []
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=110)) == ["instance.reprieved"]
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=115)) == []


def test_after_a_preemption_a_bid_runs_anew_without_having_been_degraded() -> None:
    watch = running()
    told: list[str] = []
    for at, status, words in (
        (5, "Preempting", ("PREEMPTING", "PREEMPTING")),
        (306, "Preempting", ("STOPPING", "STOPPING")),
        (311, "Open", ("PREEMPTED", "PREEMPTED")),
        (400, "Allocated", ("STARTING", "STARTING")),
        (405, "Allocated", ("STARTING", "STARTING")),
        (500, "Allocated", ("RUNNING", "RUNNING")),
    ):
        told += watch.poll(snapshot(bid(status=status, instance_quantity=2), *two(*words), at=at))
    assert [type for type in told if type.startswith("bid.")] == [
        "bid.preempting",
        "bid.reopened",
        "bid.allocated",
        "bid.running",
    ]


def test_a_bid_found_running_after_its_deadline_has_started_anew() -> None:
    """Nobody was looking while its machines stopped and came back: that is no reprieve, and so it is told."""
    watch = running()
    watch.poll(snapshot(bid(instance_quantity=2, status="Preempting"), *two("PREEMPTING", "PREEMPTING"), at=5))
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=1200)) == [
        "bid.allocated",
        "instance.running",
        "instance.running",
        "bid.running",
    ]
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=1205)) == []


def test_a_bid_allocated_after_its_deadline_is_starting_and_not_degraded() -> None:
    watch = running()
    watch.poll(snapshot(bid(instance_quantity=2, status="Preempting"), *two("PREEMPTING", "PREEMPTING"), at=5))
    watch.poll(snapshot(TWO, *two("STARTING", "STARTING"), at=1200))
    assert watch.poll(snapshot(TWO, *two("STARTING", "STARTING"), at=1205)) == []
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=1210))[-1] == "bid.running"


def test_during_a_relocation_a_bid_is_not_degraded_until_its_machine_stops() -> None:
    watch = running()
    assert watch.poll(snapshot(TWO, *two("RELOCATING", "RUNNING"), at=5)) == ["instance.relocating"]
    assert watch.poll(snapshot(TWO, *two("RELOCATING", "RUNNING"), at=10)) == []
    assert watch.poll(snapshot(TWO, *two("STOPPING", "RUNNING"), at=306)) == ["instance.stopping"]
    assert watch.poll(snapshot(TWO, *two("STOPPING", "RUNNING"), at=311)) == ["bid.degraded"]
    assert watch.poll(snapshot(TWO, *two("RUNNING", "RUNNING"), at=400)) == ["instance.running", "bid.running"]


def test_a_bid_that_loses_one_machine_to_a_notice_is_degraded_when_that_has_run_out() -> None:
    watch = running()
    watch.poll(snapshot(TWO, *two("PREEMPTING", "RUNNING"), at=5))
    assert watch.poll(snapshot(TWO, *two("STOPPED", "RUNNING"), at=306)) == ["instance.stopped"]
    assert watch.poll(snapshot(TWO, *two("STOPPED", "RUNNING"), at=311)) == ["bid.degraded"]


def test_an_instance_that_was_replaced_does_not_count() -> None:
    watch = Watch()
    one: Bid = bid()
    watch.poll(snapshot(one, instance("inst_1", "STATUS_REPLACED"), instance("inst_2", "STATUS_STARTING")))
    assert watch.poll(snapshot(one, instance("inst_2"), at=5)) == ["instance.running", "bid.running"]


def test_a_bid_whose_instance_is_gone_is_degraded_in_the_next_poll() -> None:
    watch = running()
    for at in (5, 10):
        told = watch.poll(snapshot(TWO, instance("inst_1"), at=at, absent=["inst_2"]))
    assert told == ["instance.gone"]
    assert watch.poll(snapshot(TWO, instance("inst_1"), at=15)) == ["bid.degraded"]


def test_a_bid_that_is_gone_has_no_health_and_may_run_again() -> None:
    watch = Watch()
    watch.poll(snapshot(bid(), instance()), first_sight=["bid", "instance"])
    for at in (5, 10):
        told = watch.poll(snapshot(instance(), at=at, absent=["bid_1"]))
    assert told == ["bid.gone"]
    assert watch.fleet.bids["bid_1"].health == "none"
    assert watch.poll(snapshot(bid(), instance(), at=15)) == ["bid.allocated", "bid.running"]
