"""What it means that the disk refuses, and what a person can do about it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mithrild.errors import DiskTrouble

KINDS: dict[int, DiskTrouble] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EROFS: "read-only",
    errno.EACCES: "read-only",
    errno.EPERM: "read-only",
}


@dataclass(frozen=True, slots=True)
class Disk:
    """How the disk does. `message` says what is wrong and what to do about it, `since` from when on nothing could be
    written. What waits in memory: new transitions, deliveries that changed, and `results`, ended tries of them.
    `reserve` is in bytes, 0 if there is none."""

    trouble: DiskTrouble | None = None
    since: datetime | None = None
    message: str | None = None
    transitions: int = 0
    deliveries: int = 0
    results: int = 0
    reserve: int = 0


def diagnose(error: BaseException | None, path: Path) -> tuple[DiskTrouble | None, str]:
    """(what is wrong with the disk, in one line what is wrong and what to do). (None, …): it is not the disk."""
    said = str(error)
    # Of a call that failed SQLite tells no errno, and "full" only for one of the several ways in which a disk is.
    match getattr(error, "sqlite_errorname", "").split("_")[1:]:
        case ["FULL"]:
            return "full", _words(errno.ENOSPC, path)
        case ["READONLY", "DBMOVED"]:
            return "broken", f"{said}: was the file moved away? start the daemon again"
        case ["READONLY", *_]:
            return "read-only", f"{said}: is {_mount(path)} mounted for reading alone?"
        case ["BUSY" | "LOCKED" | "PROTOCOL", *_]:
            return "locked", f"{said} by another program: end it, or have it commit (fuser -v {path} names it)"
        case ["IOERR" | "CANTOPEN", *_]:
            number = _try_out(path)
            if number is not None:
                return KINDS.get(number, "broken"), _words(number, path)
            return "broken", f"{said}: dmesg may say more"
        case ["CORRUPT" | "NOTADB", *_]:
            return "broken", f"{said}: stop the daemon, and move the file away to start a new record"
        case _:
            return None, said


def _try_out(path: Path) -> int | None:
    """The errno of writing some bytes beside the file, as far from the beginning as its end is; None if all is well."""
    probe = path.with_name(f"{path.name}-probe")
    try:
        end = max(file.stat().st_size for file in (path, path.with_name(f"{path.name}-wal")) if file.exists())
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(descriptor, bytes(4096), end)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            with suppress(OSError):
                probe.unlink()
    except (OSError, ValueError) as error:
        return error.errno if isinstance(error, OSError) else errno.ENOENT
    return None


def _words(number: int, path: Path) -> str:
    match number:
        case errno.ENOSPC:
            return f"the disk is full: free some space on {_mount(path)}"
        case errno.EDQUOT:
            return f"the disk quota is used up: free some space on {_mount(path)}"
        case errno.EFBIG:
            return f"a file may grow no further: raise the limit (ulimit -f, prlimit --fsize --pid {os.getpid()})"
        case errno.EROFS:
            return f"{os.strerror(number)}: is {_mount(path)} mounted for reading alone?"
        case _:
            return f"{os.strerror(number)}: may {path.parent} be written to?"


def _mount(path: Path) -> str:
    folder = path.parent
    with suppress(OSError):
        folder = folder.resolve()
    while not os.path.ismount(folder):
        folder = folder.parent
    return str(folder)
