"""The marketplace as a whole: it is stepped to a time and does all that was due until then, in order.

Nothing here reads a clock by itself except `catch_up`, so a test can turn the time by hand.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random

from mithrild.sandbox import catalog, lifecycle, scenario
from mithrild.sandbox.agenda import Agenda
from mithrild.sandbox.auction import Offer, Outcome, clear
from mithrild.sandbox.catalog import Place
from mithrild.sandbox.lifecycle import BidStatus, ClusterStatus
from mithrild.sandbox.models import LaunchSpecification
from mithrild.sandbox.nodes import Nodes
from mithrild.sandbox.orders import Orders
from mithrild.sandbox.rivals import Rivals
from mithrild.sandbox.state import Bid, Cluster, Registry
from mithrild.sandbox.timeline import Timeline

PRICES_KEPT = 5_000
BACKLOG = 500
"""Auctions made up for at most after a long sleep. The ones before them nobody saw."""
_PAST_AUCTIONS = 48
_PAST_EVERY = 1800.0
_RELOCATES_ONE_IN = 150


class Stall:
    """One market: a place, its rivals, and what its auctions brought.

    `asked` is a price (cents) set from outside. Then a rival whose demand no capacity meets stands in the place of
    all others: what bids above it wins, and pays it.
    """

    def __init__(self, place: Place, random: Random) -> None:
        self.place = place
        self.rivals = Rivals(place, random)
        self.outcome = Outcome(frozenset(), place.minimum_cents, None, 0)
        self.asked: int | None = None
        self.prices: deque[tuple[float, int]] = deque(maxlen=PRICES_KEPT)

    def clear(self, at: float, offers: list[Offer], scripted: list[Offer]) -> Outcome:
        """Hold the auction at `at`: the account's offers, against the scripted ones and the rivals'."""
        others = [*self.rivals.move(at), *scripted]
        if self.asked is not None:
            others = [Offer("asked", self.asked, self.place.capacity + 1, 0.0)]
        offers = [*others, *offers]
        self.outcome = clear(self.place.capacity, offers, self.place.minimum_cents)
        self.prices.append((at, self.outcome.price_cents))
        return self.outcome


class Market:
    """`running=False` holds no auctions: then nothing moves but what the control API and the clients move.

    `demo=False` leaves the account without bids. `wall` gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        seed: int = 0,
        ssh: str | None = None,
        running: bool = True,
        demo: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.seed = seed
        self.running = running
        self.agenda = Agenda(speed=speed, wall=wall)
        self.started_at = self.agenda.now
        self.timeline = Timeline()
        self.registry = Registry(_random(seed, "fids"))
        self.nodes = Nodes(self.registry, self.agenda, self.timeline, _random(seed, "addresses"), ssh)
        self.orders = Orders(self.registry, self.agenda, self.timeline, self.nodes, self._price)
        self.stalls = {place.key: Stall(place, _random(seed, place.auction)) for place in catalog.PLACES}
        self.ticks = 0
        self._chance = _random(seed, "chance")
        self._scripted: set[str] = set()
        for past in range(_PAST_AUCTIONS, 0, -1):
            for stall in self.stalls.values():
                stall.clear(self.started_at - past * _PAST_EVERY, [], [])
        self._open_clusters(ssh)
        if demo:
            self._open_demo()
        self.agenda.after(lifecycle.FIRST_AUCTION, self._auctions)

    def catch_up(self) -> None:
        """Do all that is due by now."""
        self.step(self.agenda.clock())

    def step(self, now: float) -> None:
        """Do all that is due until `now`, in seconds since the epoch on the marketplace's clock."""
        self.agenda.run(now)

    def advance(self, seconds: float) -> None:
        self.agenda.advance(seconds)
        self.catch_up()

    def change_speed(self, speed: float) -> None:
        """What is under way takes the new pace for what is left of it, deadlines included."""
        self.catch_up()
        factor = self.agenda.change_speed(speed)
        now = self.agenda.now
        for bid in self.registry.unended_bids():
            for instance in self.registry.current(bid):
                if instance.end_time is not None:
                    instance.end_time = now + (instance.end_time - now) * factor

    def allocated(self, key: tuple[str, str]) -> int:
        """Instances of a market that are taken, by rivals or by the account, at most its capacity."""
        stall = self.stalls[key]
        return min(stall.outcome.allocated, stall.place.capacity)

    def ask_price(self, stalls: list[Stall], cents: int | None) -> None:
        """From now on these markets cost so much an instance-hour; None gives them back to their rivals."""
        for stall in stalls:
            stall.asked = cents
            self._auction(stall, self.ticks)

    def fleet(
        self, bids: int, instances_per_bid: int, terminated_bids: int, project: str = catalog.PROJECT
    ) -> list[Bid]:
        """Enter many bids at once: running ones, held in place, and ended ones. Returns the running ones."""
        launch = LaunchSpecification(volumes=[], ssh_keys=[catalog.SSH_KEYS[0].fid])
        first = len(self.registry.bids)
        live: list[Bid] = []
        for number in range(terminated_bids + bids):
            place = catalog.PLACES[number % len(catalog.PLACES)]
            ended = number < terminated_bids
            bid = self.orders.place(
                name=f"fleet-{first + number:06}",
                project=project,
                user=catalog.ME.fid,
                region=place.region,
                instance_type=place.instance_type,
                limit_cents=place.high_cents,
                quantity=max(1, instances_per_bid),
                launch=launch,
                status=BidStatus.TERMINATED if ended else BidStatus.ALLOCATED,
            )
            if ended:
                continue
            bid.hold = "allocated"
            for node in range(instances_per_bid):
                self.nodes.create(bid, f"{bid.name}-{node}", lifecycle.RUNNING)
            live.append(bid)
        return live

    def _price(self, bid: Bid) -> int:
        return self.stalls[bid.market].outcome.price_cents

    def _auctions(self) -> None:
        every = self.agenda.scaled(lifecycle.AUCTION_EVERY)
        due = self.agenda.now + every
        self.agenda.at(max(due, self.agenda.target - BACKLOG * every), self._auctions)
        if not self.running:
            return
        tick, self.ticks = self.ticks, self.ticks + 1
        for stall in self.stalls.values():
            self._auction(stall, tick)
        self._relocations(tick)

    def _auction(self, stall: Stall, tick: int) -> None:
        """A held bid takes no part: it neither needs a place nor gives one up, until it is released."""
        now, key = self.agenda.now, stall.place.key
        ours = [bid for bid in self.registry.live_bids[key].values() if bid.status != BidStatus.PAUSED]
        offers = [Offer(bid.fid, bid.limit_cents, bid.quantity, bid.created_at) for bid in ours if bid.hold is None]
        scripted = scenario.surge(key, tick, now) if self._scripted else []
        outcome = stall.clear(now, offers, scripted)
        for bid in ours:
            won = bid.fid in outcome.winners
            if bid.hold is None and won and bid.status == BidStatus.OPEN:
                self.orders.allocate(bid)
            elif bid.hold is None and won and bid.status == BidStatus.PREEMPTING:
                self.orders.reprieve(bid)
            elif bid.hold is None and not won and bid.status == BidStatus.ALLOCATED:
                self.orders.preempt(bid)
            if bid.status == BidStatus.ALLOCATED:
                self.orders.charge(bid)

    def _relocations(self, tick: int) -> None:
        scripted = scenario.RELOCATIONS.get(tick % scenario.PERIOD)
        for bid in list(self.registry.unended_bids()):
            if bid.hold is not None or bid.status != BidStatus.ALLOCATED or bid.relocating:
                continue
            if bid.fid in self._scripted:
                if bid.name == scripted:
                    self.orders.relocate(bid)
            elif self._chance.random() * _RELOCATES_ONE_IN < 1:
                self.orders.relocate(bid)

    def _open_clusters(self, ssh: str | None) -> None:
        for seed in catalog.CLUSTERS:
            cluster = Cluster(
                fid=seed.fid,
                name=seed.name,
                project=seed.project,
                region=seed.region,
                created_at=self.agenda.now - seed.age,
                status=ClusterStatus.PENDING,
                ssh_keys=[key.fid for key in catalog.SSH_KEYS if key.project == seed.project][:1],
                user=catalog.ME.fid,
            )
            self.registry.clusters[cluster.fid] = cluster
            self._set_cluster(cluster, ClusterStatus(seed.status), ssh, first=True)
            if seed.ripens:
                self.agenda.after(lifecycle.CLUSTER_READY, partial(self._ripen, cluster, ssh))

    def _ripen(self, cluster: Cluster, ssh: str | None) -> None:
        if cluster.status == ClusterStatus.PENDING:
            self._set_cluster(cluster, ClusterStatus.AVAILABLE, ssh)

    def _set_cluster(self, cluster: Cluster, status: ClusterStatus, ssh: str | None, *, first: bool = False) -> None:
        before = None if first else cluster.status
        cluster.status = status
        if status == ClusterStatus.AVAILABLE:
            host = f"198.51.100.{10 + list(self.registry.clusters).index(cluster.fid)}"
            cluster.kube_host = ssh or host
            cluster.join_command = f"kubeadm join {host}:6443 --token sandbox.{cluster.name}"
        elif status == ClusterStatus.TERMINATED:
            cluster.deleted_at = cluster.created_at + 86_400
        self.timeline.add(
            self.agenda.now, "cluster", cluster.fid,
            bid=None, project=cluster.project, before=before, after=status,
        )  # fmt: skip

    def _open_demo(self) -> None:
        for seed in scenario.BIDS:
            launch = LaunchSpecification(
                volumes=list(seed.volumes), ssh_keys=list(seed.ssh_keys), kubernetes_cluster=seed.cluster
            )
            status = BidStatus.OPEN
            if seed.terminated:
                status = BidStatus.TERMINATED
            elif seed.paused:
                status = BidStatus.PAUSED
            bid = self.orders.place(
                name=seed.name, project=seed.project, user=seed.user, region=seed.region,
                instance_type=seed.instance_type, limit_cents=seed.limit_cents, quantity=seed.quantity,
                launch=launch, status=status, age=seed.age,
            )  # fmt: skip
            self._scripted.add(bid.fid)
        self.nodes.create_reserved(
            "reserved-0", catalog.SECOND_PROJECT, "user_jun", "us-east1-a", "it_h200use1a03"
        )  # fmt: skip


def _random(seed: int, purpose: str) -> Random:
    """A source of its own for each purpose, so that more draws for one leave the others as they were."""
    return Random(f"{seed} {purpose}")  # noqa: S311  # a repeatable market, not a secret
