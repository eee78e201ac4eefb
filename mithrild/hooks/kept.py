"""What is kept of what a command prints: the beginning and the end, however much there is between them."""

from __future__ import annotations

HALF = 32 * 1024  # bytes of the beginning, and as many of the end


class Kept:
    def __init__(self, half: int = HALF) -> None:
        self._half = half
        self._head, self._tail = bytearray(), bytearray()
        self._total = 0

    def add(self, chunk: bytes) -> None:
        self._total += len(chunk)
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > self._half:
            del self._tail[: -self._half]

    def text(self) -> bytes:
        left_out = self._total - len(self._head) - len(self._tail)
        line = f"\n[{left_out} bytes left out]\n".encode() if left_out else b""
        return bytes(self._head) + line + bytes(self._tail)
