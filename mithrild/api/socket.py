"""The socket of the local API: where it lies, who may reach it, and whose it is.

We bind it ourselves: uvicorn's own `uds=` opens the socket file to every user of the machine.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from socket import AF_UNIX, SO_ACCEPTCONN, SOCK_STREAM, SOL_SOCKET
from socket import socket as Socket

from mithrild.errors import LockHeld, MithrildError
from mithrild.folder import private_folder
from mithrild.wire import socket_candidates

# sun_path of Linux has 108 bytes, the last of which is NUL (unix(7)).
PATH_LIMIT = 107
_BACKLOG = 128
# A daemon that lives accepts in the kernel at once, even while it is busy.
_PROBE_LIMIT = 1.0


@dataclass(slots=True)
class BoundSocket:
    """A listening Unix socket. `adopted`: systemd made it, and its file is not ours to unlink."""

    socket: Socket
    path: str
    adopted: bool
    _file: tuple[int, int] | None = None

    def close(self) -> None:
        """Unlinks the file if it still is the one we made, and closes the socket."""
        # In this order: the open socket keeps its inode, so its number cannot have gone to another file.
        if self._file is not None and _inode(self.path) == self._file:
            os.unlink(self.path)
        self._file = None
        self.socket.close()


def bind(env: Mapping[str, str], *, listen_fds: Sequence[int] = ()) -> BoundSocket:
    """Adopts the socket that systemd passed, else binds at the first usable path of `socket_candidates`.

    The socket file gets mode 0600, in a folder that only we may write to. Raises LockHeld if another daemon
    answers there, and MithrildError for a path or a folder that cannot be used.
    """
    if listen_fds:
        return _adopt(listen_fds)
    candidates = socket_candidates(dict(env))
    # The last candidate (the only one, if MITHRILD_SOCKET is set) is tried whatever stands there: its error
    # is the one that a person can do something about.
    path = next((path for path in candidates[:-1] if _has_runtime_folder(path)), candidates[-1])
    return _bind_at(os.path.abspath(path))


def _has_runtime_folder(path: str) -> bool:
    """Is this path in a runtime folder of ours (`$XDG_RUNTIME_DIR`)? The login makes that, never we."""
    runtime = os.path.dirname(os.path.dirname(path))
    try:
        found = os.stat(runtime)
    except OSError:
        return False
    return found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode) and os.access(runtime, os.W_OK | os.X_OK)


def _bind_at(path: str) -> BoundSocket:
    folder = os.path.dirname(path)
    # Bound under another name first: what appears under the real one has its mode already, and listens.
    temporary = os.path.join(folder, f".{os.getpid():x}")
    longest = max(len(os.fsencode(path)), len(os.fsencode(temporary)))
    if longest > PATH_LIMIT:
        raise MithrildError(
            f"the path of the socket is too long ({longest} bytes, at most {PATH_LIMIT}): {path}:"
            " set MITHRILD_SOCKET to a shorter one"
        )
    with private_folder(folder) as descriptor:
        # Two daemons that start at once would both see the dead socket of a third, and replace each other's.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(f"another daemon is starting at {path}") from None
        _demand_free(path)
        listener = Socket(AF_UNIX, SOCK_STREAM)
        try:
            if os.path.lexists(temporary):
                os.unlink(temporary)  # of a process of our number that died here
            listener.bind(temporary)
            os.chmod(temporary, 0o600)
            listener.listen(_BACKLOG)
            os.rename(temporary, path)
        except OSError as error:
            listener.close()
            if os.path.lexists(temporary):
                os.unlink(temporary)
            raise MithrildError(f"the socket {path} cannot be made: {error.strerror}") from None
        return BoundSocket(listener, path, adopted=False, _file=_inode(path))


def _demand_free(path: str) -> None:
    """Raises unless `path` holds nothing, or a socket that nobody listens on. Changes nothing."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise MithrildError(f"{path} is not a socket: move it away, or set MITHRILD_SOCKET to another path")
    with Socket(AF_UNIX, SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_LIMIT)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except (BlockingIOError, TimeoutError):
            pass  # its queue is full: somebody holds it open
        except OSError as error:
            raise MithrildError(
                f"the socket {path} cannot be asked whether it is in use ({error.strerror});"
                f" if it is not, type: rm {shlex.quote(path)}"
            ) from None
    raise LockHeld(f"another daemon answers at {path}: stop it first, or set MITHRILD_SOCKET to another path")


def _adopt(listen_fds: Sequence[int]) -> BoundSocket:
    if len(listen_fds) > 1:
        raise MithrildError(
            f"systemd passed {len(listen_fds)} sockets, and one is wanted: keep one ListenStream= in the socket unit"
        )
    try:
        socket = Socket(fileno=listen_fds[0])
    except OSError as error:
        raise MithrildError(f"what systemd passed is not a socket: {error.strerror}") from None
    # Whoever reaches a TCP socket would be let in: only a Unix socket says who its peer is.
    if socket.family != AF_UNIX or socket.type != SOCK_STREAM or not socket.getsockopt(SOL_SOCKET, SO_ACCEPTCONN):
        socket.detach()
        raise MithrildError(
            "systemd passed a socket that is no listening Unix stream socket:"
            " write ListenStream=%t/mithrild/mithrild.sock"
        )
    name = socket.getsockname()
    return BoundSocket(socket, name if isinstance(name, str) else os.fsdecode(name), adopted=True)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
