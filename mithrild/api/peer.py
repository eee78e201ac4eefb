"""Who is at the other end of a connection, and the refusal of everybody but the daemon's own user."""

from __future__ import annotations

import asyncio
import os
import struct
from socket import SO_PEERCRED, SOL_SOCKET
from typing import Protocol

from loguru import logger
from uvicorn.protocols.http.h11_impl import H11Protocol

_UCRED = struct.Struct("3i")  # pid, uid, gid (unix(7))


class _HasOptions(Protocol):
    def getsockopt(self, level: int, option: int, length: int, /) -> bytes: ...


def peer_uid(sock: _HasOptions) -> int:
    """The effective uid of the process that connected, as the kernel saw it at connect(2)."""
    uid: int = _UCRED.unpack(sock.getsockopt(SOL_SOCKET, SO_PEERCRED, _UCRED.size))[1]
    return uid


class PeerCheckedProtocol(H11Protocol):
    """uvicorn's HTTP protocol for our uid only: for `uvicorn.Config(http=PeerCheckedProtocol)`.

    The modes of the socket and its folder keep others out already; this holds when somebody loosens them.
    A daemon of root takes root alone.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        uid = peer_uid(transport.get_extra_info("socket"))
        if uid == os.geteuid():
            super().connection_made(transport)
            return
        logger.warning("refused a connection to the local API from uid {}", uid)
        self.transport = transport  # connection_lost wants it
        transport.abort()
