"""The keys by which machines are recognised: those of instances by their fid, in the file that `ml ssh` keeps too.

A key is accepted once. The file is the user's own `ssh`'s as well, so lines are only ever added to it, each in one
write, and what stands there is read anew whenever the file has changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Keys = dict[str, str]  # kind -> the key in base64


@dataclass
class _Read:
    """What a file held when its size and time were `mark`."""

    mark: tuple[int, int] | None = None
    plain: dict[str, Keys] = field(default_factory=dict)
    hashed: list[tuple[bytes, bytes, str, str]] = field(default_factory=list)  # salt, name's hash, kind, key


class HostKeys:
    """`path` is where new keys go; `others` are looked into too, and never written to."""

    def __init__(self, path: Path, *others: Path) -> None:
        self._path = path
        self._files = {file: _Read() for file in (path, *others)}
        self._lock = threading.Lock()

    def known(self, name: str) -> Keys:
        """What a machine may show. Empty if it was never seen. ssh writes names in lower case."""
        with self._lock:
            for file, held in self._files.items():
                _refresh(file, held)
                if found := held.plain.get(name.lower(), {}) | _hashed(held, name.lower()):
                    return found
        return {}

    def accept(self, name: str, kind: str, key: str) -> None:
        """Raises OSError if it cannot be kept: what is not kept is not accepted."""
        with self._lock:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            line = f"{name.lower()} {kind} {key}\n".encode()
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)


def fingerprint(key: str) -> str:
    """As `ssh` shows it."""
    digest = hashlib.sha256(base64.b64decode(key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _refresh(path: Path, held: _Read) -> None:
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            mark = (found.st_size, found.st_mtime_ns)
            if mark == held.mark:
                return
            text = file.read().decode("utf-8", "replace")
    except OSError:
        mark, text = (0, 0), ""
    held.mark, held.plain, held.hashed = mark, {}, []
    for names, kind, key in _lines(text):
        for name in names:
            if name.startswith("|1|"):
                salt, _, digest = name[3:].partition("|")
                held.hashed.append((_bytes(salt), _bytes(digest), kind, key))
            else:
                held.plain.setdefault(name.lower(), {})[kind] = key


def _lines(text: str) -> Iterator[tuple[list[str], str, str]]:
    for line in text.splitlines():
        parts = line.split()
        # Comments, and markers (@revoked, @cert-authority): neither is the key of one machine.
        if len(parts) >= 3 and parts[0][0] not in "#@" and _bytes(parts[2]):
            yield parts[0].split(","), parts[1], parts[2]


def _hashed(held: _Read, name: str) -> Keys:
    return {
        kind: key
        for salt, digest, kind, key in held.hashed
        if hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
    }


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
