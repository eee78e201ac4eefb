"""Whether instances answer on SSH. Nobody logs in, so no key is needed."""

from __future__ import annotations

import os
from contextlib import suppress

from mithril_cli import answers, nodes
from mithril_cli.ssh import probe
from mithril_cli.ssh.destination import PORT
from mithril_cli.ssh.errors import NotReached
from mithril_cli.ssh.machine import Machine

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.answers import Object


class Reach:
    """Which instances have answered, and where: one that was moved since has to answer again."""

    def __init__(self) -> None:
        self._at: dict[str, str] = {}  # fid -> the address at which it answered

    def among(self, instances: Sequence[Object]) -> int:
        """How many of these have answered where they are now."""
        return sum(self._at.get(fid) == address for fid, address in _places(instances).items())

    def look(self, instances: Sequence[Object], patience: float) -> None:
        """Asks those that have not answered, all at once, for `patience` seconds at most.

        One that does not answer there is asked where the user's configuration of ssh has it. One that is reached by way
        of another host counts: only `ssh` itself could tell.
        """
        silent = {fid: address for fid, address in _places(instances).items() if self._at.get(fid) != address}
        machines = {}
        for fid, address in silent.items():
            with suppress(NotReached):  # an address that nobody can dial: it may yet get another
                machines[fid] = Machine(fid, fid, address, os.devnull)
        found = probe.answering({fid: one.destination for fid, one in machines.items()}, patience)
        elsewhere = {}
        for fid in machines.keys() - found:
            with suppress(NotReached):  # no `ssh` here, or one that cannot read its configuration
                way, place = probe.way_to(machines[fid]), machines[fid].destination
                if way is None:
                    found.add(fid)
                elif (way.host, way.port) != (place.host, place.port or PORT):
                    elsewhere[fid] = way
        found |= probe.answering(elsewhere, patience)
        self._at |= {fid: silent[fid] for fid in found}


def _places(instances: Sequence[Object]) -> dict[str, str]:
    return {answers.words(one.get("fid")): place for one in instances if (place := nodes.address(one))}
