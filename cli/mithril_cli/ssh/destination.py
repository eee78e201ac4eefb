"""Where the marketplace says that a machine is, read as what `ssh` needs to know. Pure."""

from __future__ import annotations

from mithril_cli.ssh.errors import NotReached

USER = "ubuntu"  # whom the marketplace's images let in
PORT = 22

# What names of hosts and users are made of. `ssh` hands both to the shell of a ProxyCommand, and a word that
# begins with a dash would be an option to it: whatever else the marketplace may send is not dialled.
_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:%")
_USER = (_HOST | frozenset("@+")) - frozenset(":%")


class Destination:
    """A user at a host's port. The host of an IPv6 address has no brackets."""

    __slots__ = ("host", "port", "user")

    def __init__(self, host: str, port: int = PORT, user: str = USER) -> None:
        self.host = host
        self.port = port
        self.user = user

    @property
    def place(self) -> str:
        """Host and port."""
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
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address, each with or without `user@` before it.

    Raises NotReached for anything else.
    """
    user, at, place = text.strip().rpartition("@")
    host, port = _split(place)
    number = _port(port)
    if number is None or not _is_name(host, _HOST) or (at and not _is_name(user, _USER)):
        raise NotReached(f"{text[:200]!r} is no address that ssh could dial: the marketplace sent it")
    return Destination(host, number, user or USER)


def _split(place: str) -> tuple[str, str]:
    """The host, and the port as it was written."""
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return "", ""
        return host, rest[1:] if rest else str(PORT)
    host, colon, port = place.rpartition(":")
    if not colon or ":" in host:  # a second colon: an IPv6 address, all of it
        return place, str(PORT)
    return host, port


def _port(digits: str) -> int | None:
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0
    return number if 0 < number < 65_536 else None


def _is_name(word: str, of: frozenset[str]) -> bool:
    return bool(word) and len(word) < 256 and not word.startswith("-") and of.issuperset(word)
