"""What can happen in a script: to the market, to the network, to the clocks, to the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from hypothesis import strategies as st

from tests.acceptance.fault_table import CALLS, KINDS, WAYS
from tests.crash.points import AT_START, POINTS
from tests.equivalence.life import ACTIVE
from tests.equivalence.world import World

Thing = TypeVar("Thing")
HOUR = 3600.0
# The marketplace's clock minus ours, in seconds: the same, a difference that nobody minds, and ten minutes either way.
AHEAD = [0.0, 3.0, 600.0, -600.0]
WRONG_DATES = ("ahead", "behind")


class Move(Protocol):
    async def happen(self, world: World) -> None: ...


def _one(things: Sequence[Thing], which: int) -> Thing | None:
    return things[which % len(things)] if things else None


@dataclass(frozen=True, slots=True)
class Watch:
    """The daemon polls so many times."""

    polls: int

    async def happen(self, world: World) -> None:
        await world.watch(self.polls)


@dataclass(frozen=True, slots=True)
class Away:
    """Time passes, and nobody looks."""

    seconds: float

    async def happen(self, world: World) -> None:
        await world.clock.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Asleep:
    """The machine sleeps, and looks on waking."""

    seconds: float = 8 * HOUR

    async def happen(self, world: World) -> None:
        await world.clock.suspend(self.seconds)
        if world.life is not None:
            world.life.look_at_once()


@dataclass(frozen=True, slots=True)
class Jump:
    """Our clock is set, and the daemon notices."""

    seconds: float

    async def happen(self, world: World) -> None:
        world.clock.set(self.seconds)
        if world.life is not None:
            world.life.look_at_once()


@dataclass(frozen=True, slots=True)
class Place:
    price: str = "$90.00"
    quantity: int = 1

    async def happen(self, world: World) -> None:
        world.placed += 1
        name = f"script-{world.placed}"
        await world.visitor.place(name, limit_price=self.price, instance_quantity=self.quantity)


@dataclass(frozen=True, slots=True)
class End:
    bid: int

    async def happen(self, world: World) -> None:
        if (bid := _one(world.bids(), self.bid)) is not None:
            await world.visitor.delete(f"/v2/spot/bids/{bid.fid}")


@dataclass(frozen=True, slots=True)
class Force:
    """What makes no sense at the moment the sandbox refuses; then nothing happens."""

    bid: int
    verb: str
    body: dict[str, object] = field(default_factory=dict)

    async def happen(self, world: World) -> None:
        if (bid := _one(world.bids(), self.bid)) is not None:
            answer = await world.visitor.http.post(f"/sandbox/bids/{bid.fid}/{self.verb}", json=self.body)
            assert answer.status_code in (200, 409), answer.text


@dataclass(frozen=True, slots=True)
class Limit:
    bid: int
    price: str

    async def happen(self, world: World) -> None:
        if (bid := _one(world.bids(), self.bid)) is not None:
            await world.visitor.http.patch(f"/v2/spot/bids/{bid.fid}", json={"limit_price": self.price})


@dataclass(frozen=True, slots=True)
class Cost:
    """What the market of a bid costs from now on, if it may cost so little; None gives it back to its rivals."""

    bid: int
    price: str | None

    async def happen(self, world: World) -> None:
        if (bid := _one(world.bids(), self.bid)) is not None:
            body = {"instance_type": bid.instance_type, "region": bid.region, "spot_price": self.price}
            answer = await world.visitor.http.post("/sandbox/prices", json=body)
            assert answer.status_code in (200, 409), answer.text


@dataclass(frozen=True, slots=True)
class Become:
    """An instance takes any status, said in any word."""

    instance: int
    word: str

    async def happen(self, world: World) -> None:
        if (instance := _one(world.instances(), self.instance)) is not None:
            await world.visitor.post(f"/sandbox/instances/{instance.fid}/status", {"status": f"STATUS_{self.word}"})
            world.by_word.add(world.market.timeline.newest)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, until it has met so many of the daemon's requests, or until the next calm."""

    kind: str
    way: str
    count: int | None

    async def happen(self, world: World) -> None:
        if self.way == "everything" and self.kind in WRONG_DATES and world.diary.first_sight is None:
            return  # nobody can know when a first look was of which every answer bears a wrong date
        if self.kind in WRONG_DATES:
            world.liars += len(CALLS) if self.way == "everything" else 1
        fault = WAYS[self.way].fault(KINDS[self.kind])
        body = {**fault, "method": "GET", "count": fault.get("count", self.count)}  # what a script does is no GET
        await world.visitor.post("/sandbox/faults", body, 201)


@dataclass(frozen=True, slots=True)
class Calm:
    """The faults are over."""

    async def happen(self, world: World) -> None:
        world.visitor.sandbox.faults.clear()


@dataclass(frozen=True, slots=True)
class Kill:
    """The daemon dies between two looks."""

    async def happen(self, world: World) -> None:
        await world.die()


@dataclass(frozen=True, slots=True)
class KillAt:
    """The daemon dies at this point of its work, or after so many polls."""

    point: str
    nth: int
    polls: int = 3

    async def happen(self, world: World) -> None:
        await world.die_at(self.point, self.nth, self.polls)


@dataclass(frozen=True, slots=True)
class Slay:
    """The same with a process of its own, and a real SIGKILL."""

    point: str
    nth: int
    polls: int = 3

    async def happen(self, world: World) -> None:
        await world.be_slain(self.point, self.nth, self.polls)


@dataclass(frozen=True, slots=True)
class Script:
    """`ahead`: the marketplace's clock minus ours, in seconds."""

    moves: list[Move]
    ahead: float = 0.0


_bids, _instances = st.integers(0, 5), st.integers(0, 11)
_prices = st.sampled_from(["$4.00", "$15.00", "$30.00", "$90.00"])
_words = ["NEW", "SCHEDULED", "STARTING", "RUNNING", "PREEMPTING", "RELOCATING", "STOPPED", "ERROR", "MYSTERY"]
_notices = st.sampled_from([{}, {}, {"notice_seconds": 0}, {"notice_seconds": 40}, {"notice_seconds": 900}])
_fates = st.sampled_from([{}, {"instances": "keep"}, {"instances": "move"}, {"instances": "replace"}])
_times = st.sampled_from([0.4, 1.0, 7.0, float(ACTIVE), 130.0, 400.0, 1500.0, 2 * HOUR, 9 * HOUR])

MARKET: st.SearchStrategy[Move] = st.one_of(
    st.builds(Place, price=_prices, quantity=st.integers(1, 2)),
    st.builds(End, _bids),
    st.builds(Force, _bids, st.sampled_from(["reprieve", "pause", "release"])),
    st.builds(Force, _bids, st.sampled_from(["preempt", "relocate"]), _notices),
    st.builds(Force, _bids, st.just("allocate"), _fates),
    st.builds(Limit, _bids, _prices),
    st.builds(Cost, _bids, st.one_of(st.none(), _prices)),
    st.builds(Become, _instances, st.sampled_from(_words)),
)
WATCHING: st.SearchStrategy[Move] = st.builds(Watch, st.integers(1, 4))
TIME: st.SearchStrategy[Move] = st.one_of(st.builds(Away, _times), st.builds(Away, _times), st.builds(Asleep))
CLOCKS: st.SearchStrategy[Move] = st.builds(Jump, st.sampled_from([4 * HOUR, -4 * HOUR]))
NETWORK: st.SearchStrategy[Move] = st.one_of(
    st.builds(
        Trouble,
        st.sampled_from(sorted(KINDS)),
        st.sampled_from(sorted(WAYS)),
        st.one_of(st.none(), st.integers(1, 8)),
    ),
    st.builds(Calm),
)
_points = st.sampled_from(sorted(POINTS.keys() - set(AT_START)))
DEATHS: st.SearchStrategy[Move] = st.one_of(
    st.builds(Kill), st.builds(KillAt, _points, st.integers(1, 3)), st.builds(KillAt, _points, st.integers(1, 3))
)


def scripts(*kinds: st.SearchStrategy[Move], longest: int = 20) -> st.SearchStrategy[Script]:
    """Scripts of these kinds of moves, and of looking and waiting, which everybody does most. What comes before the
    first look is never on record, so it is short."""
    moves = st.one_of(MARKET, MARKET, MARKET, WATCHING, WATCHING, TIME, *kinds)
    opening = st.lists(st.one_of(MARKET, *kinds), max_size=2)
    return st.builds(
        lambda before, after, ahead: Script([*before, Watch(1), *after], ahead),
        opening,
        st.lists(moves, min_size=3, max_size=longest),
        st.sampled_from(AHEAD),
    )
