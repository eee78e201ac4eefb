"""A machine to dial: an instance of a bid, or the control node of a cluster."""

from __future__ import annotations

from mithril_cli.ssh.argv import ssh_argv
from mithril_cli.ssh.destination import parse

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence


class Machine:
    """Where a machine is at this moment, and how it is dialled. Addresses change: make it right before dialling."""

    __slots__ = ("_identity", "_options", "destination", "fid", "known_hosts", "name", "number")

    def __init__(
        self,
        name: str,
        fid: str,
        address: str,
        known_hosts: str,
        identity: str | None = None,
        number: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.fid = fid
        self.number = number
        self.destination = parse(address)
        self.known_hosts = known_hosts
        self._identity = identity
        self._options = options

    def argv(self, command: Sequence[str] = (), options: Sequence[str] = ()) -> list[str]:
        return ssh_argv(
            self.destination,
            alias=self.fid,
            known_hosts=self.known_hosts,
            identity=self._identity,
            options=[*self._options, *options],
            command=command,
        )
