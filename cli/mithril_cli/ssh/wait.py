"""Waiting until the machines of a bid can be dialled, and saying what for."""

from __future__ import annotations

import time

from mithril_cli import answers, nodes, output, times
from mithril_cli.errors import ApiError, BrokenAnswer, Failure, NoDaemon
from mithril_cli.instance import wording
from mithril_cli.ssh import probe
from mithril_cli.ssh.machine import Machine
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mithril_cli.answers import Object

    Make = Callable[[Object, int], Machine]

PACE = 0.25  # seconds between two looks; a look is an answer from this machine
MOST_NAMED = 4


class TooLong(Failure):
    exit_code = wire.EXIT_TIMEOUT


class Party:
    """The nodes of one bid that are wanted, by number: one, or all (`number` is None), as the record has them now."""

    def __init__(self, bid: Object, number: int | None, project: str | None = None) -> None:
        self.bid = bid
        self.number = number
        self._project = project  # as it was typed, for what to type next
        self.name = answers.words(bid.get("name"))
        self._all = nodes.of(bid)

    @property
    def size(self) -> int:
        """How many nodes the bid has, or will have."""
        return max(len(self._all), nodes.count(self.bid))

    @property
    def wanted(self) -> list[tuple[int, Object]]:
        numbered = list(enumerate(self._all))
        return numbered if self.number is None else numbered[self.number : self.number + 1]

    @property
    def reachable(self) -> list[tuple[int, Object]]:
        return [(number, one) for number, one in self.wanted if nodes.address(one) is not None]

    @property
    def obstacles(self) -> list[str]:
        """What stands in the way, a few words for each node that cannot be dialled: `train-0: it is starting`."""
        told = [f"{_name(one)}: {trouble(one)}" for _, one in self.wanted if nodes.address(one) is None]
        if len(self.wanted) < (self.size if self.number is None else 1):
            have = f"{len(self._all)} of its {self.size} instances" if self._all else "no instance yet"
            told.append(f"{self.name}: it is {answers.status_word(self.bid.get('status'))}, and has {have}")
        return told

    def check(self, *, whole: bool) -> None:
        """Raises Failure where waiting would be for nothing: for all the nodes (`whole`), or for any of them."""
        if self.bid.get("gone") or self.bid.get("status") == "Terminated":
            raise Failure(f"{self.name} is terminated: there is nothing to log in to")
        if not self.obstacles or (self.reachable and not whole):
            return
        for _, one in self.wanted:
            if nodes.state(one) == "error":
                raise Failure(f"{_name(one)} is in ERROR and cannot be reached; see: {self._spelled('ml history')}")
        if self.bid.get("status") == "Paused":
            raise Failure(f"{self.name} is paused; to go on: {self._spelled('ml instance update')} --resume")

    def renewed(self, bid: Object) -> Party:
        """The same nodes, as the record has them by now."""
        return Party(bid, self.number, self._project)

    def _spelled(self, command: str) -> str:
        return wording.spelled(command, self.name, self._project)


def trouble(instance: Object) -> str:
    """Why an instance cannot be dialled."""
    state = nodes.state(instance)
    if state in nodes.REACHABLE:
        return f"it is {state}, and has no address"
    return "it is in ERROR" if state == "error" else f"it is {state}"


def until_ready(party: Party, make: Make, look: Callable[[], Object], patience: float) -> Party:
    """The nodes that are wanted, once each runs, has an address, and answers on SSH.

    `look` gives the bid as the record has it. What is waited for is said once, and again when it changes. Raises
    Failure where it will not come, and TooLong after `patience` seconds.
    """
    until = time.monotonic() + patience
    doors = probe.Doors()
    said = unread = ""
    while True:
        party.check(whole=True)
        machines = [make(one, number) for number, one in party.reachable]
        left = until - time.monotonic()
        obstacles = [*party.obstacles, *_silent(doors.closed(machines, max(left, PACE)))]
        if unread:
            obstacles.append(f"the daemon: {unread}")
        if not obstacles:
            return party
        told = "; ".join(obstacles[:MOST_NAMED])
        if len(obstacles) > MOST_NAMED:
            told += f"; and {len(obstacles) - MOST_NAMED} more"
        if told != said:
            output.note(f"waiting for {told}")
            said = told
        left = until - time.monotonic()
        if left <= 0:
            raise TooLong(f"waited {times.duration(patience)} for {told}")
        time.sleep(min(PACE, left))
        try:
            party, unread = party.renewed(look()), ""
        except (NoDaemon, BrokenAnswer, ApiError) as error:
            if isinstance(error, ApiError) and error.status < 500:
                raise
            unread = str(error)  # it has answered before, and may be restarting


def _silent(machines: Sequence[Machine]) -> list[str]:
    return [f"{one.name}: {one.destination.place} does not answer on SSH" for one in machines]


def _name(instance: Object) -> str:
    return answers.words(instance.get("name"))
