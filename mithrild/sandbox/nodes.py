"""The instances: what becomes of each one while its bid is allocated, preempted, relocated, paused or ended."""

from __future__ import annotations

from functools import partial
from random import Random

from mithrild.sandbox import lifecycle
from mithrild.sandbox.agenda import Agenda
from mithrild.sandbox.state import Bid, Instance, Registry, trim
from mithrild.sandbox.timeline import Timeline


class Nodes:
    """`ssh` is the address that every running instance gives as its own, None for one made up."""

    def __init__(self, registry: Registry, agenda: Agenda, timeline: Timeline, random: Random, ssh: str | None) -> None:
        self._registry = registry
        self._agenda = agenda
        self._timeline = timeline
        self._random = random
        self._ssh = ssh

    def create(self, bid: Bid, name: str, status: str = lifecycle.NEW) -> Instance:
        """A new instance of the bid. It boots if it is new."""
        instance = Instance(
            seq=len(self._registry.instances),
            fid=self._registry.fid("inst"),
            name=name,
            project=bid.project,
            created_by=bid.created_by,
            created_at=self._agenda.now,
            instance_type=bid.instance_type,
            region=bid.region,
            bid=bid.fid,
            boot_disk=bid.boot_disks.setdefault(name, self._disk(bid, name)),
        )
        self._open(instance, status)
        bid.instances.append(instance.fid)
        self._follow(instance, lifecycle.boot(status, scheduled=bid.temper.scheduled))
        return instance

    def create_reserved(self, name: str, project: str, user: str, region: str, kind: str) -> Instance:
        instance = Instance(
            seq=len(self._registry.instances),
            fid=self._registry.fid("inst"),
            name=name,
            project=project,
            created_by=user,
            created_at=self._agenda.now,
            instance_type=kind,
            region=region,
            bid=None,
            reservation=self._registry.fid("res"),
        )
        self._open(instance, lifecycle.RUNNING)
        return instance

    def staff(self, bid: Bid, fate: lifecycle.Fate | None = None) -> None:
        """Give an allocated bid all its instances: revive what it kept, replace or create the rest."""
        fate = fate or bid.temper.fate(bid.allocations)
        kept = self._registry.current(bid)
        if kept and fate == "replace":
            for instance in kept:
                self.set(instance, lifecycle.REPLACED)
            kept = []
        bid.instances = [instance.fid for instance in kept]
        for instance in kept:
            if fate == "move":
                instance.address = instance.private_ip = None
            self._follow(instance, lifecycle.revival(instance.status))
        names = {instance.name for instance in kept}
        for number in range(bid.quantity):
            if (name := f"{bid.name}-{number}") not in names:
                self.create(bid, name)

    def notify(self, bid: Bid, deadline: float) -> None:
        """Every instance learns that it stops at `deadline`."""
        for instance in self._occupied(bid):
            instance.before_notice = instance.status
            self.set(instance, lifecycle.PREEMPTING, end_time=deadline)

    def change_deadline(self, bid: Bid, deadline: float) -> None:
        for instance in self._registry.current(bid):
            if instance.status in lifecycle.NOTICED:
                instance.end_time = deadline

    def reprieve(self, bid: Bid) -> None:
        """Take the notice back: go on from where it came."""
        for instance in self._in(bid, lifecycle.PREEMPTING):
            status = lifecycle.after_reprieve(instance.before_notice)
            self.set(instance, status)
            self._follow(instance, lifecycle.boot(status, scheduled=bid.temper.scheduled))

    def preempt(self, bid: Bid) -> None:
        """The deadline has come."""
        by_way_of_stopping = bid.temper.preempts_by_way_of_stopping(bid.allocations)
        for instance in self._in(bid, lifecycle.PREEMPTING):
            if by_way_of_stopping:
                self._follow(instance, lifecycle.stop(lifecycle.PREEMPTED))
            else:
                self.set(instance, lifecycle.PREEMPTED)

    def relocate(self, bid: Bid, deadline: float) -> None:
        for instance in self._in(bid, lifecycle.RUNNING):
            self.set(instance, lifecycle.RELOCATING, end_time=deadline)

    def move(self, bid: Bid) -> None:
        """The deadline of a relocation has come: stop here, start on another host."""
        for instance in self._in(bid, lifecycle.RELOCATING):
            self._follow(instance, lifecycle.restart())
            instance.address = instance.private_ip = None

    def halt(self, bid: Bid, end: str) -> None:
        """Stop all instances on their owner's wish; they end up PAUSED or TERMINATED. The end of a bid is the end
        of its boot disks."""
        if end == lifecycle.TERMINATED:
            bid.boot_disks.clear()
        for instance in self._registry.current(bid):
            if instance.status in lifecycle.STOPPED:
                self.set(instance, end)
            else:
                self._follow(instance, lifecycle.stop(end))

    def start_reserved(self, instance: Instance) -> None:
        self.set(instance, lifecycle.CONFIRMED)
        self._follow(instance, lifecycle.boot(lifecycle.CONFIRMED, scheduled=False))

    def pause_reserved(self, instance: Instance) -> None:
        self._follow(instance, lifecycle.stop(lifecycle.PAUSED))

    def resume_boot(self, bid: Bid) -> None:
        """Go on with what a forced status had interrupted."""
        for instance in self._registry.current(bid):
            if instance.status in (lifecycle.NEW, lifecycle.CONFIRMED, lifecycle.SCHEDULED):
                self._follow(instance, lifecycle.boot(instance.status, scheduled=bid.temper.scheduled))
            elif instance.status in (lifecycle.INITIALIZING, lifecycle.STARTING):
                self._follow(instance, lifecycle.boot(instance.status, scheduled=False))

    def force(self, instance: Instance, status: str) -> None:
        """Any word at all. What was planned for the instance is off until its bid changes."""
        notice = self._agenda.now + self._agenda.scaled(lifecycle.NOTICE)
        instance.before_notice = instance.status
        self.set(instance, status, end_time=notice if status in lifecycle.NOTICED else None)

    def set(self, instance: Instance, status: str, *, end_time: float | None = None) -> None:
        """The one place where an instance changes its status. It cancels what was planned for it."""
        instance.turn += 1
        instance.end_time = end_time
        if instance.status == status:
            return
        before = instance.status
        self._registry.set_instance_status(instance, status)
        self._told(instance, before)

    def _open(self, instance: Instance, status: str) -> None:
        instance.status = status
        self._registry.add_instance(instance)
        self._told(instance, None)

    def _told(self, instance: Instance, before: str | None) -> None:
        now = self._agenda.now
        self._address(instance)
        instance.history.append((now, instance.status))
        trim(instance.history)
        self._timeline.add(
            now, "instance", instance.fid,
            bid=instance.bid, project=instance.project, before=before, after=instance.status,
        )  # fmt: skip

    def _address(self, instance: Instance) -> None:
        """Addresses appear when there is something to reach, and go with it."""
        status = instance.status
        if status in (lifecycle.STARTING, lifecycle.RUNNING) and instance.private_ip is None:
            instance.private_ip = f"10.{self._byte()}.{self._byte()}.{self._byte()}"
        if status == lifecycle.RUNNING and instance.address is None:
            # 203.0.113.0/24 is reserved for documentation: nobody is reached by mistake.
            host = f"203.0.113.{self._byte()}"
            instance.address = self._ssh or (f"{host}:2222" if instance.seq % 3 == 2 else host)

    @staticmethod
    def _disk(bid: Bid, name: str) -> str:
        return f"disk_{bid.fid.removeprefix('bid_')}_{name.rpartition('-')[2]}"

    def _byte(self) -> int:
        return self._random.randint(1, 254)

    def _follow(self, instance: Instance, plan: lifecycle.Plan) -> None:
        instance.turn += 1
        self._proceed(instance, plan, 0)

    def _proceed(self, instance: Instance, plan: lifecycle.Plan, step: int) -> None:
        while step < len(plan):
            wait, status = plan[step]
            if wait:
                self._agenda.after(wait, partial(self._arrive, instance, plan, step, instance.turn))
                return
            self.set(instance, status)
            step += 1

    def _arrive(self, instance: Instance, plan: lifecycle.Plan, step: int, turn: int) -> None:
        if instance.turn != turn:
            return
        self.set(instance, plan[step][1])
        self._proceed(instance, plan, step + 1)

    def _occupied(self, bid: Bid) -> list[Instance]:
        return [each for each in self._registry.current(bid) if each.status not in lifecycle.STOPPED]

    def _in(self, bid: Bid, status: str) -> list[Instance]:
        return [each for each in self._registry.current(bid) if each.status == status]


def visible_address(instance: Instance) -> str | None:
    """The address as the API shows it: null unless the instance can be reached at it."""
    reachable = (lifecycle.RUNNING, lifecycle.PREEMPTING, lifecycle.RELOCATING)
    return instance.address if instance.status in reachable else None


def visible_private_ip(instance: Instance) -> str | None:
    gone = instance.status in lifecycle.STOPPED or instance.status in lifecycle.FINAL
    return None if gone else instance.private_ip
