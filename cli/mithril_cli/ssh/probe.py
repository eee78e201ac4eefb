"""Does something answer on SSH? A look at the banner alone: nobody logs in, and no key is offered."""

from __future__ import annotations

import errno
import os
import select
import socket
import time

from mithril_cli.ssh.destination import PORT, Destination
from mithril_cli.ssh.errors import NotReached
from mithril_cli.ssh.run import capture

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mithril_cli.ssh.machine import Machine

PATIENCE = 3.0  # seconds for all that are asked at once
BANNER = b"SSH-"
MOST = 8192  # a server may say a few lines before its banner
CONFIG_PATIENCE = 10.0


class Doors:
    """Which machines can be dialled by now. One that has answered at its address is not asked again."""

    def __init__(self) -> None:
        self._open: dict[str, Destination] = {}  # fid -> the destination that answered
        self._ways: dict[str, tuple[Destination, Destination | None]] = {}  # fid -> where it is, and the way there

    def closed(self, machines: Sequence[Machine], patience: float) -> list[Machine]:
        """Those that do not answer within `patience` seconds, or `PATIENCE` if that is shorter."""
        asked = {}
        for one in machines:
            if self._open.get(one.fid) != one.destination:
                if (way := self._way(one)) is None:
                    self._open[one.fid] = one.destination
                else:
                    asked[one.fid] = way
        found = answering(asked, min(patience, PATIENCE))
        self._open.update({one.fid: one.destination for one in machines if one.fid in found})
        return [one for one in machines if one.fid in asked.keys() - found]

    def _way(self, machine: Machine) -> Destination | None:
        where, way = self._ways.get(machine.fid, (None, None))
        if where != machine.destination:
            way = way_to(machine)
            self._ways[machine.fid] = (machine.destination, way)
        return way


def way_to(machine: Machine) -> Destination | None:
    """What is dialled by the user's configuration; None for a way round by another machine: then only `ssh` itself
    can tell whether somebody answers."""
    argv = machine.argv()
    code, told, said = capture([argv[0], "-G", *argv[1:]], CONFIG_PATIENCE)
    if code:
        # Something is wrong with that configuration, and it will be so for every dial.
        raise NotReached(said.strip().splitlines()[-1] if said.strip() else "ssh cannot read its configuration")
    lines = (line.partition(" ") for line in told.decode("utf-8", "replace").splitlines())
    settings = {word: value for word, _, value in lines}
    if any(settings.get(word, "none") not in ("", "none") for word in ("proxyjump", "proxycommand")):
        return None
    port = settings.get("port", "")
    return Destination(settings.get("hostname") or machine.destination.host, int(port) if port.isdigit() else PORT)


def answering(places: Mapping[str, Destination], patience: float = PATIENCE) -> set[str]:
    """The keys of those destinations whose port shows the banner of an SSH server within `patience` seconds."""
    until = time.monotonic() + patience
    poll = select.poll()
    dialled: dict[int, tuple[socket.socket, str]] = {}
    heard: dict[int, bytes] = {}
    found: set[str] = set()
    try:
        for key, place in places.items():
            for sock in _dial(place):
                dialled[sock.fileno()] = (sock, key)
                heard[sock.fileno()] = b""
                poll.register(sock, select.POLLIN)
        while heard and (left := until - time.monotonic()) > 0:
            for number, _ in poll.poll(left * 1000):
                sock, key = dialled[number]
                piece = _read(sock)
                heard[number] += piece
                shown = any(line.startswith(BANNER) for line in heard[number].split(b"\n"))
                if shown:
                    found.add(key)
                if shown or not piece or len(heard[number]) > MOST:
                    poll.unregister(number)
                    del heard[number]
    finally:
        for sock, _ in dialled.values():
            sock.close()
    return found


def _dial(destination: Destination) -> list[socket.socket]:
    """Connections that are being made: one to each address that the host's name stands for."""
    begun = []
    try:
        places = socket.getaddrinfo(destination.host, destination.port or PORT, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    for family, kind, protocol, _, place in places:
        try:
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except OSError:
            continue
        if sock.connect_ex(place) in (0, errno.EINPROGRESS):
            begun.append(sock)
        else:
            sock.close()
    return begun


def _read(sock: socket.socket) -> bytes:
    try:
        return os.read(sock.fileno(), MOST)
    except OSError:  # refused, reset, no route
        return b""
