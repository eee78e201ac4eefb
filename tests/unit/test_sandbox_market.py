"""The marketplace stepped by a hand-turned clock."""

from __future__ import annotations

import pytest

from mithrild.sandbox import lifecycle
from mithrild.sandbox.catalog import PROJECT
from mithrild.sandbox.lifecycle import BidStatus
from mithrild.sandbox.market import Market
from mithrild.sandbox.models import LaunchSpecification
from mithrild.sandbox.state import Bid, Instance
from mithrild.sandbox.timeline import Step

START = 1_790_000_000.0
H100 = ("us-central1-a", "it_h100usc1a04")


class HandClock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> float:
        return self.time


class Town:
    """A marketplace, and the hand that turns its clock."""

    def __init__(self, *, speed: float = 1.0, seed: int = 7, running: bool = False, demo: bool = False) -> None:
        self.hand = HandClock()
        self.market = Market(speed=speed, seed=seed, running=running, demo=demo, wall=self.hand)

    def turn(self, seconds: float) -> None:
        self.hand.time += seconds
        self.market.catch_up()

    def place(self, limit_cents: int = 100_000, quantity: int = 2, name: str = "work") -> Bid:
        return self.market.orders.place(
            name=name, project=PROJECT, user="user_sam", region=H100[0], instance_type=H100[1],
            limit_cents=limit_cents, quantity=quantity, launch=LaunchSpecification(volumes=[], ssh_keys=[]),
        )  # fmt: skip

    def instances(self, bid: Bid) -> list[Instance]:
        return [self.market.registry.instance_by_fid[fid] for fid in bid.instances]

    def status(self, bid: Bid) -> str:
        return bid.status

    def statuses(self, bid: Bid) -> set[str]:
        return {each.status for each in self.instances(bid)}

    def running(self) -> Bid:
        bid = self.place()
        self.market.orders.allocate(bid)
        self.turn(200)
        assert self.statuses(bid) == {lifecycle.RUNNING}
        return bid

    def steps(self, subject: str) -> list[Step]:
        return [step for step in self.market.timeline.after(0, 100_000) if step.subject == subject]


def test_no_instance_before_the_bid_is_allocated() -> None:
    town = Town()
    bid = town.place()
    assert town.status(bid) == "Open"
    assert bid.instances == []
    assert town.market.registry.instances == []


def test_a_new_instance_boots_step_by_step() -> None:
    town = Town()
    bid = town.place(quantity=1)
    town.market.orders.allocate(bid)
    town.turn(200)
    words = [word for _, word in town.instances(bid)[0].history if word != lifecycle.SCHEDULED]
    assert words == [
        lifecycle.NEW, lifecycle.CONFIRMED, lifecycle.INITIALIZING, lifecycle.STARTING, lifecycle.RUNNING,
    ]  # fmt: skip


def test_some_bids_boot_by_way_of_scheduled_and_some_do_not() -> None:
    assert lifecycle.SCHEDULED in [word for _, word in lifecycle.boot(lifecycle.NEW, scheduled=True)]
    assert lifecycle.SCHEDULED not in [word for _, word in lifecycle.boot(lifecycle.NEW, scheduled=False)]
    assert {lifecycle.Temper(f"bid_{n}").scheduled for n in range(50)} == {True, False}


def test_one_long_turn_dates_each_step_as_many_short_ones_do() -> None:
    histories = []
    for turns, length in ((1, 400.0), (400, 1.0)):
        town = Town()
        bid = town.place(quantity=1)
        town.market.orders.allocate(bid)
        for _ in range(turns):
            town.turn(length)
        histories.append(town.instances(bid)[0].history)
    assert histories[0] == histories[1]


def test_a_preemption_gives_five_minutes_and_then_stops() -> None:
    town = Town()
    bid = town.running()
    noticed = town.hand.time
    town.market.orders.preempt(bid)
    assert town.status(bid) == "Preempting"
    assert town.statuses(bid) == {lifecycle.PREEMPTING}
    assert {each.end_time for each in town.instances(bid)} == {noticed + 300}
    town.turn(299)
    assert town.statuses(bid) == {lifecycle.PREEMPTING}
    town.turn(1)
    assert town.status(bid) == "Open"
    town.turn(30)
    assert town.statuses(bid) == {lifecycle.PREEMPTED}
    assert {each.end_time for each in town.instances(bid)} == {None}
    assert [step.at for step in town.steps(bid.fid) if step.after == "Open"][-1] == noticed + 300


def test_a_reprieve_takes_the_notice_back_without_a_stop() -> None:
    town = Town()
    bid = town.running()
    town.market.orders.preempt(bid)
    town.turn(120)
    town.market.orders.reprieve(bid)
    assert town.status(bid) == "Allocated"
    assert town.statuses(bid) == {lifecycle.RUNNING}
    assert {each.end_time for each in town.instances(bid)} == {None}
    town.turn(1000)
    assert town.status(bid) == "Allocated"
    assert [word for _, word in town.instances(bid)[0].history][-2:] == [
        lifecycle.PREEMPTING,
        lifecycle.RUNNING,
    ]


def test_an_instance_noticed_while_it_booted_boots_on_after_a_reprieve() -> None:
    town = Town()
    bid = town.place(quantity=1)
    town.market.orders.allocate(bid)
    town.turn(15)
    before = town.instances(bid)[0].status
    assert before in (lifecycle.CONFIRMED, lifecycle.SCHEDULED)
    town.market.orders.preempt(bid)
    town.market.orders.reprieve(bid)
    assert town.statuses(bid) == {before}
    town.turn(200)
    assert town.statuses(bid) == {lifecycle.RUNNING}


def test_a_second_notice_is_not_cut_short_by_the_first() -> None:
    town = Town()
    bid = town.running()
    town.market.orders.preempt(bid)
    town.turn(200)
    town.market.orders.reprieve(bid)
    town.market.orders.preempt(bid)
    town.turn(150)
    assert town.status(bid) == "Preempting"
    town.turn(150)
    assert town.status(bid) == "Open"


def test_a_relocation_is_no_preemption() -> None:
    town = Town()
    bid = town.running()
    places = [(each.fid, each.address) for each in town.instances(bid)]
    town.market.orders.relocate(bid)
    assert town.status(bid) == "Allocated"
    assert bid.relocating
    assert town.statuses(bid) == {lifecycle.RELOCATING}
    town.turn(300)
    assert town.statuses(bid) == {lifecycle.STOPPING}
    town.turn(100)
    assert town.statuses(bid) == {lifecycle.RUNNING}
    assert [each.fid for each in town.instances(bid)] == [fid for fid, _ in places]
    assert [each.address for each in town.instances(bid)] != [address for _, address in places]
    assert [step.after for step in town.steps(bid.fid)] == ["Open", "Allocated"]


def test_a_preemption_overtakes_a_relocation() -> None:
    town = Town()
    bid = town.running()
    town.market.orders.relocate(bid)
    town.turn(100)
    town.market.orders.preempt(bid)
    assert not bid.relocating
    town.turn(200)
    assert town.statuses(bid) == {lifecycle.PREEMPTING}
    town.turn(130)
    assert town.statuses(bid) == {lifecycle.PREEMPTED}


@pytest.mark.parametrize("fate", ["keep", "move", "replace"])
def test_what_becomes_of_instances_when_their_bid_is_allocated_again(fate: lifecycle.Fate) -> None:
    town = Town()
    bid = town.running()
    before = [(each.fid, each.name, each.address) for each in town.instances(bid)]
    old = town.instances(bid)
    town.market.orders.preempt(bid)
    town.turn(400)
    town.market.orders.allocate(bid, fate)
    town.turn(200)
    assert town.statuses(bid) == {lifecycle.RUNNING}
    after = [(each.fid, each.name, each.address) for each in town.instances(bid)]
    assert [name for _, name, _ in after] == [name for _, name, _ in before]
    assert ([fid for fid, _, _ in after] == [fid for fid, _, _ in before]) is (fate != "replace")
    assert (after == before) is (fate == "keep")
    assert {each.status for each in old} == {lifecycle.REPLACED if fate == "replace" else lifecycle.RUNNING}


def test_every_fate_comes_about_by_itself() -> None:
    temper = lifecycle.Temper("bid_x")
    assert {temper.fate(count) for count in range(3)} == {"keep", "move", "replace"}
    assert {temper.preempts_by_way_of_stopping(count) for count in range(2)} == {True, False}


@pytest.mark.parametrize("fate", ["keep", "move", "replace"])
def test_boot_disks_outlive_a_preemption_and_end_with_the_bid(fate: lifecycle.Fate) -> None:
    town = Town()
    bid = town.running()
    disks = {each.name: each.boot_disk for each in town.instances(bid)}
    assert len(set(disks.values())) == 2
    town.market.orders.preempt(bid)
    town.turn(400)
    town.market.orders.allocate(bid, fate)
    assert {each.name: each.boot_disk for each in town.instances(bid)} == disks
    town.market.orders.terminate(bid, None)
    assert bid.boot_disks == {}


def test_pause_and_resume() -> None:
    town = Town()
    bid = town.running()
    town.market.orders.pause(bid, "user_sam")
    assert town.statuses(bid) == {lifecycle.STOPPING}
    town.turn(20)
    assert town.statuses(bid) == {lifecycle.PAUSED}
    town.market.orders.resume(bid, "user_sam")
    assert town.status(bid) == "Open"
    assert town.statuses(bid) == {lifecycle.PAUSED}
    assert [event.kind.value for event in bid.history] == ["Placed", "Allocated", "Paused", "Resumed"]


def test_termination_is_final() -> None:
    town = Town()
    bid = town.running()
    town.market.orders.preempt(bid)
    town.turn(10)
    town.market.orders.terminate(bid, "user_sam")
    assert town.statuses(bid) == {lifecycle.STOPPING}
    town.turn(1000)
    assert town.status(bid) == "Terminated"
    assert bid.deactivated_at == START + 210
    assert town.statuses(bid) == {lifecycle.TERMINATED}
    assert list(town.market.registry.unended_bids()) == []


def test_speed_compresses_durations_and_not_the_clock() -> None:
    town = Town(speed=60)
    bid = town.place()
    town.market.orders.allocate(bid)
    town.turn(3)
    assert town.statuses(bid) == {lifecycle.RUNNING}
    town.market.orders.preempt(bid)
    assert {each.end_time for each in town.instances(bid)} == {START + 3 + 5}
    town.turn(5)
    assert town.status(bid) == "Open"


def test_a_new_speed_takes_hold_of_what_is_under_way() -> None:
    town = Town()
    bid = town.running()
    town.market.orders.preempt(bid)
    town.turn(180)
    town.market.change_speed(60)
    assert [each.end_time for each in town.instances(bid)] == pytest.approx([town.hand.time + 2] * 2)
    town.turn(1.9)
    assert town.status(bid) == "Preempting"
    town.turn(0.2)
    assert town.status(bid) == "Open"


def test_a_clock_set_back_undoes_nothing_and_dates_nothing_earlier() -> None:
    town = Town()
    bid = town.running()
    town.hand.time -= 3600
    town.market.catch_up()
    town.market.orders.preempt(bid)
    times = [step.at for step in town.market.timeline.after(0, 1000)]
    assert times == sorted(times)


def test_the_auction_allocates_preempts_and_reprieves() -> None:
    town = Town(running=True)
    bid = town.place(quantity=1)
    town.turn(20)
    assert town.status(bid) == "Allocated"
    stall = town.market.stalls[H100]
    assert bid.prices[-1].cents == stall.outcome.price_cents
    # One cent is below the minimum price: it cannot win.
    town.market.orders.change_limit(bid, 1, "user_sam")
    town.turn(120)
    assert town.status(bid) == "Preempting"
    town.market.orders.change_limit(bid, 100_000, "user_sam")
    town.turn(120)
    assert town.status(bid) == "Allocated"
    kinds = [step.after for step in town.steps(bid.fid) if step.aspect == "status"]
    assert kinds == ["Open", "Allocated", "Preempting", "Allocated"]
    assert [step.after for step in town.steps(bid.fid) if step.aspect == "limit_price"] == ["$0.01", "$1000.00"]


def test_a_price_that_is_set_is_what_winners_pay_until_it_is_given_back() -> None:
    town = Town(running=True)
    bid = town.place(quantity=1, limit_cents=5000)
    stall = town.market.stalls[H100]
    town.market.ask_price([stall], 4999)
    assert town.status(bid) == "Allocated", "at once, not at the next auction"
    assert (stall.outcome.price_cents, bid.prices[-1].cents) == (4999, 4999)
    town.turn(1200)
    assert stall.outcome.price_cents == 4999
    town.market.ask_price([stall], 5000)
    assert town.status(bid) == "Preempting", "a price must be exceeded, not met"
    town.market.ask_price([stall], None)
    town.turn(1200)
    assert stall.outcome.price_cents < 2000
    assert town.status(bid) == "Allocated"


@pytest.mark.parametrize(("hold", "status"), [("allocated", "Allocated"), ("preempted", "Open")])
def test_the_auction_leaves_a_held_bid_alone(hold: str, status: str) -> None:
    town = Town(running=True)
    bid = town.place(quantity=1, limit_cents=1 if hold == "allocated" else 100_000)
    if hold == "allocated":
        town.market.orders.allocate(bid)
        bid.hold = "allocated"
    else:
        bid.hold = "preempted"
    town.turn(3000)
    assert town.status(bid) == status
    bid.hold = None
    town.turn(600)
    assert town.status(bid) != status


def test_nobody_pays_above_the_limit_and_prices_join_up() -> None:
    town = Town(running=True, demo=True)
    town.turn(20_000)
    paid = [(bid, period) for bid in town.market.registry.bids for period in bid.prices]
    assert paid
    assert all(period.cents <= bid.limit_cents for bid, period in paid)
    for bid in town.market.registry.bids:
        for one, other in zip(bid.prices, bid.prices[1:], strict=False):
            assert one.end is not None
            assert one.start <= one.end <= other.start


def test_the_same_seed_tells_the_same_story_and_another_seed_another() -> None:
    def story(seed: int) -> list[Step]:
        town = Town(seed=seed, running=True, demo=True)
        town.turn(10_000)
        return town.market.timeline.after(0, 100_000)

    first = story(7)
    assert len(first) > 100
    assert story(7) == first
    assert story(8) != first


def test_histories_and_the_timeline_tell_the_same() -> None:
    town = Town(running=True, demo=True)
    town.turn(20_000)
    instances = town.market.registry.instances
    assert {lifecycle.REPLACED, lifecycle.PREEMPTED} <= {word for each in instances for _, word in each.history}
    for instance in instances:
        steps = town.steps(instance.fid)
        assert [(step.at, step.after) for step in steps] == instance.history
        assert [step.before for step in steps] == [None, *(step.after for step in steps[:-1])]


def test_the_demonstration_shows_a_whole_life_within_45_seconds() -> None:
    town = Town(speed=60, seed=7, running=True, demo=True)
    town.turn(45)
    steps = town.market.timeline.after(0, 100_000)
    names = {bid.fid: bid.name for bid in town.market.registry.bids}
    lives: dict[str, list[str]] = {}
    for step in steps:
        if step.kind == "bid":
            lives.setdefault(names[step.subject], []).append(step.after)
    assert lives["train"] == ["Open", "Allocated", "Preempting", "Open", "Allocated"]
    assert lives["eval"] == ["Open", "Allocated", "Preempting", "Allocated"]
    assert "Open" in lives["notebook"][1:]
    seen = {(step.before, step.after) for step in steps if step.kind == "instance"}
    assert (lifecycle.PREEMPTING, lifecycle.RUNNING) in seen
    assert (lifecycle.STARTING, lifecycle.RUNNING) in seen
    assert (lifecycle.RUNNING, lifecycle.RELOCATING) in seen
    assert ("Pending", "Available") in {(step.before, step.after) for step in steps if step.kind == "cluster"}


def test_a_long_sleep_is_made_up_for_within_bounds() -> None:
    town = Town(speed=600, running=True, demo=True)
    town.turn(86_400)
    assert town.market.ticks < 600
    assert town.market.agenda.now == START + 86_400


def test_a_fleet_is_held_in_place() -> None:
    town = Town(running=True)
    live = town.market.fleet(20, 4, 50)
    assert len(live) == 20
    town.turn(3000)
    assert {bid.status for bid in live} == {BidStatus.ALLOCATED}
    assert all(town.statuses(bid) == {lifecycle.RUNNING} for bid in live)
    lanes = town.market.registry.bid_lanes
    assert (len(lanes[PROJECT, "Allocated"]), len(lanes[PROJECT, "Terminated"])) == (20, 50)
