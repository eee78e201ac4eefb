"""A reserve of disk space: a file that is given up when the disk is full, so that news can still be written."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# What a notice for 250 bids of 4 instances with three hooks each adds to the log and then to the file is 8 MiB (of
# 1,000 such bids 31 MiB). This holds it twice.
SIZE = 16 * 1024 * 1024


class Reserve:
    """The file at `path`. Really allocated: a sparse file holds nothing free."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self._path, self._size = path, size

    @property
    def allocated(self) -> int:
        """What would be freed, 0 where there is no reserve."""
        with suppress(OSError):
            return self._path.stat().st_blocks * 512
        return 0

    def make(self) -> bool:
        """Makes the file where it is missing and there is room for it *twice*; whether it is new. A disk with just
        enough room would else be filled by the reserve itself, to be given up with the next commit."""
        if self.allocated >= self._size or self._room() < 2 * self._size:
            return False
        made = False
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                # Of quotas and limits the file system's count of free blocks knows nothing: only trying tells.
                os.posix_fallocate(descriptor, 0, 2 * self._size)
                os.ftruncate(descriptor, self._size)
                os.fsync(descriptor)
                made = True
            finally:
                os.close(descriptor)
        except OSError:
            pass
        if not made:
            self.give_up()
        return made

    def give_up(self) -> bool:
        """Frees the space. False where there was none to free."""
        freed = self.allocated > 0
        with suppress(OSError):
            self._path.unlink()
            return freed
        return False

    def _room(self) -> int:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize
