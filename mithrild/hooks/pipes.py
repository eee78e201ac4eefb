"""The two pipes of a command: what it reads, and what it prints. Neither blocks the loop, nor grows."""

from __future__ import annotations

import asyncio
import io
import os
from contextlib import ExitStack

from mithrild.hooks.kept import Kept

_CHUNK = 64 * 1024
# The most that a pipe may hold on Linux without privileges (/proc/sys/fs/pipe-max-size).
_PIPE_LIMIT = 1024 * 1024


def open_pipe(files: ExitStack) -> tuple[io.FileIO, io.FileIO]:
    """The reading and the writing end of a new pipe, closed with `files` at the latest."""
    read, write = os.pipe()
    return files.enter_context(io.FileIO(read, "r")), files.enter_context(io.FileIO(write, "w"))


class Feeder:
    """Writes the standard input of a command whenever its pipe has room."""

    def __init__(self, pipe: io.FileIO, data: bytes) -> None:
        self._pipe = pipe
        self._left = memoryview(data)
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_writer(pipe.fileno(), self._write)
        self._write()

    def _write(self) -> None:
        try:
            # write() of a full pipe is None.
            self._left = self._left[self._pipe.write(self._left[:_CHUNK]) or 0 :]
        except BrokenPipeError:
            self._left = self._left[:0]  # not to read its input is a command's good right
        if not self._left:
            self.close()

    def close(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_writer(self._pipe.fileno())
            self._pipe.close()


class Output:
    """Reads what a command prints for as long as it prints, and keeps the beginning and the end."""

    def __init__(self, pipe: io.FileIO) -> None:
        self._pipe = pipe
        self._kept = Kept()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(pipe.fileno(), self._read)

    def _read(self) -> bool:
        """Takes one chunk. False if there was none."""
        chunk: bytes | None = self._pipe.read(_CHUNK)
        if not chunk:
            if chunk is not None:
                self.close()
            return False
        self._kept.add(chunk)
        return True

    def take_the_rest(self) -> None:
        """Takes what is already in the pipe. No more: a child that left the group may print for ever."""
        for _ in range(_PIPE_LIMIT // _CHUNK):
            if self._pipe.closed or not self._read():
                return

    def kept(self) -> bytes:
        return self._kept.text()

    def close(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
