"""One daemon for one state folder: a lock that the kernel lets go of however its holder ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from mithrild.errors import LockHeld, MithrildError
from mithrild.folder import private_folder

LOCK_NAME = "mithrild.lock"


class StateLock:
    """`with StateLock(folder):` holds the folder, which is made with mode 0700 if it is missing.

    The file stays when the lock is let go. Were it unlinked, one daemon could hold the old file, which nobody
    sees any more, and another the new one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock without waiting. Raises LockHeld, which names the holder, or MithrildError."""
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
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(descriptor, 0o600)
            text = f"{os.getpid()}\n".encode()
            # Written over, then cut: a reader never finds the file empty.
            os.pwrite(descriptor, text, 0)
            os.ftruncate(descriptor, len(text))
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).split(b"\n")[0].decode("ascii", "replace") or "unknown"
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
