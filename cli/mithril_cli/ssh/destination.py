"""Where the marketplace says that a machine is, read as what `ssh` needs to know. Pure."""

from __future__ import annotations

from mithril_cli.ssh.errors import NotReached
from mithrild import wire

USER = "ubuntu"  # whom the marketplace's images let in
PORT = 22  # of a machine for which neither the marketplace nor the user's configuration of ssh names another


class Destination:
    """A user at a host. The host of an IPv6 address has no brackets. `port` is None where none was named: then it is
    ssh's to choose, by the configuration of whoever dials."""

    __slots__ = ("host", "port", "user")

    def __init__(self, host: str, port: int | None = None, user: str = USER) -> None:
        self.host = host
        self.port = port
        self.user = user

    @property
    def place(self) -> str:
        """Host and port, as far as they are known."""
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """As ssh's own messages name it."""
        return f"{self.user}@{self.host}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Destination) and (self.host, self.port, self.user) == (
            other.host,
            other.port,
            other.user,
        )

    __hash__ = None  # type: ignore[assignment]  # nothing keeps them in sets

    def __repr__(self) -> str:
        return f"Destination({self.host!r}, {self.port}, {self.user!r})"


def parse(text: str) -> Destination:
    """An address of the marketplace's, in every form that wire.ssh_destination knows. Raises NotReached for others."""
    found = wire.ssh_destination(text)
    if found is None:
        raise NotReached(f"{text[:200]!r} is no address that ssh could dial: the marketplace sent it")
    user, host, port = found
    return Destination(host, port, user or USER)
