"""The folders that only their owner may write to: for the state, the lock and the socket."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mithrild.errors import MithrildError


@contextmanager
def private_folder(folder: str | Path) -> Iterator[int]:
    """Opens a folder, made with mode 0700 if it is missing, and gives its file descriptor.

    Raises MithrildError if it cannot be made or opened, belongs to another user, or may be written to by
    others: who may write to it may replace what lies in it.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise MithrildError(f"the folder {folder} cannot be used: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        quoted = shlex.quote(str(folder))
        if found.st_uid != os.geteuid():
            raise MithrildError(
                f"the folder {folder} belongs to uid {found.st_uid}, not to you (uid {os.geteuid()}):"
                f" remove it, or type: sudo chown {os.geteuid()} {quoted}"
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            shared = found.st_mode & stat.S_ISVTX or Path(folder).resolve() == Path.home()
            advice = "choose a folder of its own" if shared else f"type: chmod 700 {quoted}"
            raise MithrildError(f"others may write to the folder {folder}; {advice}")
        yield descriptor
    finally:
        os.close(descriptor)
