"""What the daemon and systemd tell each other: sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3).

Everything here does nothing, and is no error, where systemd did not start us. The first call of any function
takes systemd's variables out of `os.environ`: a hook that inherited NOTIFY_SOCKET could speak for the daemon.
"""

from __future__ import annotations

import os
import socket
import time

from loguru import logger

_VARIABLES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)
_FIRST_LISTEN_FD = 3  # SD_LISTEN_FDS_START
# systemd reads its socket at once. One that does not must not hold up the loop for longer than this.
_SEND_LIMIT = 1.0

_taken: dict[str, str] = {}


def notify_ready() -> None:
    """The start, or a reload, is complete."""
    _notify("READY=1")


def notify_stopping(seconds: float) -> None:
    """The stop begins, and may take so long: systemd's own limit knows nothing of the hooks' grace."""
    _notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def notify_reloading() -> None:
    """A reload begins; `notify_ready` ends it."""
    _notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def notify_status(text: str) -> None:
    """One line for `systemctl status`."""
    _notify("STATUS=" + " ".join(text.split()))


def notify_watchdog() -> None:
    _notify("WATCHDOG=1")


def watchdog_interval() -> float | None:
    """Seconds between two calls of `notify_watchdog`: half of what systemd allows. None: no watchdog."""
    microseconds = _number("WATCHDOG_USEC")
    if not microseconds or _number("WATCHDOG_PID") not in (None, os.getpid()):
        return None
    return microseconds / 2 / 1_000_000


def listen_fds() -> list[int]:
    """The sockets that systemd opened for this process, as file descriptors that no hook inherits."""
    if _number("LISTEN_PID") != os.getpid():
        return []
    descriptors = list(range(_FIRST_LISTEN_FD, _FIRST_LISTEN_FD + (_number("LISTEN_FDS") or 0)))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return descriptors


def _take(name: str) -> str | None:
    for variable in _VARIABLES:
        value = os.environ.pop(variable, None)
        if value is not None:
            _taken[variable] = value
    return _taken.get(name)


def _number(name: str) -> int | None:
    text = _take(name) or ""
    return int(text) if text.isascii() and text.isdecimal() else None


def _notify(message: str) -> None:
    address = _take("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SEND_LIMIT)
            sender.sendto(message.encode(), address)
    except OSError as error:
        logger.warning("systemd was not told {}: {}", message.split("\n")[0], error)
