"""Which machines are left alone for now: a circuit for each that is dialled, those on the way included.

A try that was not let in before its time was up counts as one failure, however often it knocked: a machine that is
just starting is knocked at as ever. What has a deadline, or was asked for, is tried all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from mithrild.clock import Clock
from mithrild.fleet.circuit import FIRST
from mithrild.hooks.circuits import Circuits
from mithrild.hooks.ssh_route import Hop


class LeftAlone(Exception):
    """It was not dialled. `seconds`: when to ask again."""

    def __init__(self, hop: Hop) -> None:
        super().__init__(f"{hop} is left alone for now: the last tries were not let in")
        self.seconds = FIRST


class Hosts:
    def __init__(self, clock: Clock) -> None:
        self._circuits = Circuits(clock)
        self._looked_at: dict[str, str] = {}  # target -> the try that sees whether it is back

    def admit(self, hops: Sequence[Hop], visitor: str, *, urgent: bool) -> None:
        """Raises LeftAlone if one of them is not to be dialled by this try now."""
        for hop in hops:
            target = _target(hop)
            admitted = self._circuits.admits(target)
            if admitted == "all" or urgent:
                continue
            if admitted == "urgent" or self._looked_at.setdefault(target, visitor) != visitor:
                raise LeftAlone(hop)

    def let_in(self, hops: Sequence[Hop]) -> None:
        for hop in hops:
            self._circuits.note(_target(hop), "done")

    def kept_out(self, hop: Hop) -> None:
        """A whole try came to nothing at this one."""
        self._circuits.note(_target(hop), "retry")

    def leave(self, visitor: str) -> None:
        """A try has ended."""
        self._looked_at = {target: by for target, by in self._looked_at.items() if by != visitor}


def _target(hop: Hop) -> str:
    return f"ssh {hop.host}:{hop.port}"
