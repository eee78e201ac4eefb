"""One daemon for one state folder: a lock that the kernel lets go of however its holder ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from mithrild.errors import LockHeld, MithrildError
from mithrild.folder import private_folder

LOCK_NAME = "mithrild.lock"
# A daemon that was killed just as it started a hook leaves a child that holds the lock too, until it has become the
# hook's program: milliseconds, or more on a busy machine.
PATIENCE = 5.0
LOOK_EVERY = 0.05


class StateLock:
    """`with StateLock(folder):` holds the folder, which is made with mode 0700 if it is missing.

    The file stays when the lock is let go. Were it unlinked, one daemon could hold the old file, which nobody
    sees any more, and another the new one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock, and waits only for what a dead holder left behind. Raises LockHeld, which names the holder,
        or MithrildError."""
        if self._descriptor is not None:
            return
        path = self.folder / LOCK_NAME
        with private_folder(self.folder) as folder:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                descriptor = os.open(LOCK_NAME, flags, mode=0o600, dir_fd=folder)
            except OSError as error:
                raise MithrildError(f"the lock {path} cannot be opened: {error.strerror}") from None
        try:
            _lock(descriptor)
            os.fchmod(descriptor, 0o600)
            text = f"{os.getpid()}\n".encode()
            # Written over, then cut: a reader never finds the file empty.
            os.pwrite(descriptor, text, 0)
            os.ftruncate(descriptor, len(text))
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise LockHeld(
                f"another daemon (process {holder}) uses {self.folder}:"
                " stop it first, or choose another state folder with XDG_STATE_HOME"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise MithrildError(f"the lock {path} cannot be taken: {error.strerror}") from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Lets the lock go. Does nothing if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(descriptor: int) -> None:
    """Raises BlockingIOError if it is held, by somebody who lives or for too long."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _lives(_holder(descriptor)) or time.monotonic() > until:
                raise
            time.sleep(LOOK_EVERY)
        else:
            return


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).split(b"\n")[0].decode("ascii", "replace") or "unknown"


def _lives(holder: str) -> bool:
    """Whether there is such a process, or may be one: where /proc shows nothing, nobody can say."""
    return not holder.isdecimal() or Path("/proc", holder).exists() or not Path("/proc/self").exists()
