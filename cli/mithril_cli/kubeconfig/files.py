"""The kubeconfig on this machine: which file it is, and how it is read, saved and replaced."""

from __future__ import annotations

import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress

from mithril_cli.errors import Failure

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_BYTES = 10_000_000
LOCK_PATIENCE = 3.0  # seconds; kubectl holds its lock for a few milliseconds


def choose(env: Mapping[str, str]) -> str:
    """The file that is to be changed, as kubectl has it: of several, the first that exists, else the last.

    The first also goes before all others when kubectl reads them, so that what is in it holds.
    """
    named = [file for file in env.get("KUBECONFIG", "").split(os.pathsep) if file]
    if not named:
        named = [os.path.join(env.get("HOME") or os.path.expanduser("~"), ".kube", "config")]
    return os.path.abspath(next((file for file in named if os.path.exists(file)), named[-1]))


def read(file: str) -> bytes | None:
    """What is in the file; None if there is none. Raises Failure."""
    try:
        # Non-blocking, so that a named pipe in the file's place cannot hang us.
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise Failure(f"{file} is no file; nothing was changed")
            content = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}; nothing was changed") from None
    if len(content) > MOST_BYTES:
        raise Failure(f"{file} is larger than 10 MB; nothing was changed")
    return content


def change(file: str, before: bytes | None, after: bytes, *, backup: bool) -> str | None:
    """Put what is new into the file in place of `before`, and say where that was saved. Raises Failure.

    A link is kept, and what it leads to replaced. The file is its owner's before and after, and for nobody else to
    read; whoever reads it meanwhile finds the old one or the new one.
    """
    saved = None
    try:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        os.makedirs(os.path.dirname(os.path.realpath(file)), mode=0o700, exist_ok=True)
        with _locked(file):
            if read(file) != before:
                raise Failure(f"{file} was changed by another program meanwhile; it was left alone: try again")
            if backup and before is not None:
                saved = _save(file, before)
            _replace(os.path.realpath(file), after)
    except OSError as error:
        raise Failure(f"{file} cannot be changed: {error.strerror}; nothing was changed") from None
    return saved


@contextmanager
def _locked(file: str) -> Iterator[None]:
    """Hold the lock that kubectl, too, takes to change the file."""
    lock = f"{file}.lock"
    until = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > until:
                raise Failure(
                    f"another program is changing {file}, or died of it; nothing was changed. If none is, remove {lock}"
                ) from None
            time.sleep(0.05)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(lock)


def _save(file: str, content: bytes) -> str:
    """Beside the file as it is called, not beside what a link leads to: that may be where others look."""
    base = f"{file}.backup.{time.strftime('%Y%m%d_%H%M%S')}"
    place, number = base, 1
    while True:
        try:
            _write(place, content, os.path.realpath(file))
            return place
        except FileExistsError:
            number += 1
            place = f"{base}_{number}"


def _replace(target: str, content: bytes) -> None:
    folder = os.path.dirname(target)
    fresh = os.path.join(folder, f".{os.path.basename(target)}.{secrets.token_hex(8)}")
    _write(fresh, content, target)
    try:
        os.replace(fresh, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh)
        raise
    with suppress(OSError):  # the new name is there; that it stays through a power cut is a kindness
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write(file: str, content: bytes, like: str) -> None:
    """A new file with the owner of another, and only for them to read."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            _give(stream.fileno(), like)
            os.fsync(stream.fileno())
    except BaseException:
        with suppress(OSError):
            os.unlink(file)
        raise


def _give(descriptor: int, like: str) -> None:
    with suppress(FileNotFoundError):
        theirs, ours = os.stat(like), os.fstat(descriptor)
        if theirs.st_uid != ours.st_uid:
            os.fchown(descriptor, theirs.st_uid, theirs.st_gid)
        elif theirs.st_gid != ours.st_gid:
            with suppress(PermissionError):  # nobody of that group could read it anyway
                os.fchown(descriptor, -1, theirs.st_gid)
