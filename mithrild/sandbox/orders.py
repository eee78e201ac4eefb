"""The bids: every way in which one changes its status, whoever makes it change."""

from __future__ import annotations

from collections.abc import Callable

from mithrild.sandbox import lifecycle
from mithrild.sandbox.agenda import Agenda
from mithrild.sandbox.lifecycle import BidEvent, BidStatus, Temper
from mithrild.sandbox.models import LaunchSpecification, PersistentDiskChange, dollars
from mithrild.sandbox.nodes import Nodes
from mithrild.sandbox.state import Bid, HistoryEvent, PricePeriod, Registry, trim
from mithrild.sandbox.timeline import Timeline


class Orders:
    """`price` gives what an instance of a bid costs an hour in its market at this moment, in cents."""

    def __init__(
        self,
        registry: Registry,
        agenda: Agenda,
        timeline: Timeline,
        nodes: Nodes,
        price: Callable[[Bid], int],
    ) -> None:
        self._registry = registry
        self._agenda = agenda
        self._timeline = timeline
        self._nodes = nodes
        self._price = price

    def place(
        self,
        *,
        name: str,
        project: str,
        user: str,
        region: str,
        instance_type: str,
        limit_cents: int,
        quantity: int,
        launch: LaunchSpecification,
        status: BidStatus = BidStatus.OPEN,
        age: float = 0.0,
    ) -> Bid:
        """Enter a bid that was placed `age` seconds ago and is in `status` now."""
        fid = self._registry.fid("bid")
        bid = Bid(
            seq=len(self._registry.bids),
            fid=fid,
            name=name,
            project=project,
            created_by=user,
            created_at=self._agenda.now - age,
            limit_cents=limit_cents,
            quantity=quantity,
            instance_type=instance_type,
            region=region,
            launch=launch,
            temper=Temper(fid),
            status=status,
        )
        self._registry.add_bid(bid)
        placed = HistoryEvent(bid.created_at, BidEvent.PLACED, user, limit_cents)
        bid.history.append(placed)
        if status == BidStatus.TERMINATED:
            bid.deactivated_at = bid.created_at + age / 2
            bid.history.append(HistoryEvent(bid.deactivated_at, BidEvent.TERMINATED, user))
        elif status == BidStatus.PAUSED:
            bid.history.append(HistoryEvent(bid.created_at + age / 2, BidEvent.PAUSED, user))
        elif status == BidStatus.ALLOCATED:
            bid.allocations = 1
            bid.history.append(HistoryEvent(self._agenda.now, BidEvent.ALLOCATED))
            self.charge(bid)
        self._timeline.add(
            self._agenda.now, "bid", fid, bid=fid, project=project, before=None, after=status
        )  # fmt: skip
        return bid

    def allocate(self, bid: Bid, fate: lifecycle.Fate | None = None) -> None:
        """Open to Allocated: the auction was won. `fate` overrides the bid's own temper."""
        self._become(bid, BidStatus.ALLOCATED, BidEvent.ALLOCATED)
        bid.allocations += 1
        self._nodes.staff(bid, fate)
        self.charge(bid)

    def preempt(self, bid: Bid, notice: float = lifecycle.NOTICE) -> None:
        """Allocated to Preempting, and to Open when the notice (nominal seconds) has run out."""
        self._become(bid, BidStatus.PREEMPTING, BidEvent.PREEMPTED)
        bid.relocating = False
        self._nodes.notify(bid, self._agenda.now + self._agenda.scaled(notice))
        self._when(bid, notice, self._run_out)

    def change_deadline(self, bid: Bid, notice: float) -> None:
        """Of a preemption or a relocation that is announced: `notice` nominal seconds from now."""
        bid.turn += 1
        self._nodes.change_deadline(bid, self._agenda.now + self._agenda.scaled(notice))
        self._when(bid, notice, self._move if bid.relocating else self._run_out)

    def reprieve(self, bid: Bid) -> None:
        """Preempting to Allocated: the auction was won again before the deadline."""
        self._become(bid, BidStatus.ALLOCATED, BidEvent.ALLOCATED)
        self._nodes.reprieve(bid)

    def relocate(self, bid: Bid, notice: float = lifecycle.NOTICE) -> None:
        """The running instances move to another host. The bid stays Allocated in the listing."""
        bid.turn += 1
        bid.relocating = True
        self._nodes.relocate(bid, self._agenda.now + self._agenda.scaled(notice))
        self._when(bid, notice, self._move)

    def pause(self, bid: Bid, user: str | None) -> None:
        self._become(bid, BidStatus.PAUSED, BidEvent.PAUSED, user)
        bid.relocating = False
        self._nodes.halt(bid, lifecycle.PAUSED)
        self._cost(bid, None)

    def resume(self, bid: Bid, user: str | None, fate: lifecycle.Fate | None = None) -> None:
        self._become(bid, BidStatus.OPEN, BidEvent.RESUMED, user)
        if bid.hold == "allocated":
            self.allocate(bid, fate)

    def terminate(self, bid: Bid, user: str | None) -> None:
        self._become(bid, BidStatus.TERMINATED, BidEvent.TERMINATED, user)
        bid.relocating = False
        bid.hold = None
        bid.deactivated_at = self._agenda.now
        self._nodes.halt(bid, lifecycle.TERMINATED)
        self._cost(bid, None)

    def change_limit(self, bid: Bid, limit_cents: int, user: str) -> None:
        if limit_cents == bid.limit_cents:
            return
        self._timeline.add(
            self._agenda.now, "bid", bid.fid, bid=bid.fid, project=bid.project, aspect="limit_price",
            before=dollars(bid.limit_cents), after=dollars(limit_cents),
        )  # fmt: skip
        bid.limit_cents = limit_cents
        self._note(bid, HistoryEvent(self._agenda.now, BidEvent.LIMIT_CHANGED, user, limit_cents))

    def change_memory(self, bid: Bid, memory_gb: int, user: str) -> None:
        if memory_gb == bid.launch.memory_gb:
            return
        bid.launch = bid.launch.model_copy(update={"memory_gb": memory_gb})
        event = HistoryEvent(self._agenda.now, BidEvent.MEMORY_ADJUSTED, user, memory_gb=memory_gb)
        self._note(bid, event)

    def change_volumes(self, bid: Bid, volumes: list[str], user: str) -> None:
        had = bid.launch.volumes
        bid.launch = bid.launch.model_copy(update={"volumes": volumes})
        for fid in [fid for fid in had if fid not in volumes]:
            change = PersistentDiskChange(removed=fid)
            self._note(bid, HistoryEvent(self._agenda.now, BidEvent.VOLUMES_REMOVED, user, disk=change))
        for fid in [fid for fid in volumes if fid not in had]:
            change = PersistentDiskChange(attached=fid)
            self._note(bid, HistoryEvent(self._agenda.now, BidEvent.VOLUMES_ATTACHED, user, disk=change))

    def charge(self, bid: Bid) -> None:
        """From now on an instance of the bid costs what its market asks, never more than the limit."""
        self._cost(bid, min(self._price(bid), bid.limit_cents))

    def _cost(self, bid: Bid, cents: int | None) -> None:
        last = bid.prices[-1] if bid.prices and bid.prices[-1].end is None else None
        if last is not None:
            if last.cents == cents:
                return
            last.end = self._agenda.now
        if cents is not None:
            bid.prices.append(PricePeriod(cents, self._agenda.now))
            trim(bid.prices)

    def _run_out(self, bid: Bid) -> None:
        self._become(bid, BidStatus.OPEN, None)
        self._nodes.preempt(bid)
        self._cost(bid, None)

    def _move(self, bid: Bid) -> None:
        self._nodes.move(bid)
        bid.relocating = False

    def _become(self, bid: Bid, status: BidStatus, event: BidEvent | None, user: str | None = None) -> None:
        """The one place where a bid changes its status. It cancels what was planned for it."""
        bid.turn += 1
        before = bid.status
        self._registry.set_bid_status(bid, status)
        self._timeline.add(
            self._agenda.now, "bid", bid.fid,
            bid=bid.fid, project=bid.project, before=before, after=status,
        )  # fmt: skip
        if event is not None:
            self._note(bid, HistoryEvent(self._agenda.now, event, user))

    def _note(self, bid: Bid, event: HistoryEvent) -> None:
        bid.history.append(event)
        trim(bid.history)

    def _when(self, bid: Bid, nominal: float, action: Callable[[Bid], None]) -> None:
        turn = bid.turn
        self._agenda.after(nominal, lambda: action(bid) if bid.turn == turn else None)
