"""`ml` on a terminal that a test types into: what is shown is waited for, with a cap."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect

from tests.integration.cli_process import ML

PATIENCE = 30  # seconds, far beyond what anything here takes
UP, DOWN, ENTER, ESCAPE, CTRL_C, BACKSPACE = "\x1b[A", "\x1b[B", "\r", "\x1b", "\x03", "\x7f"
_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])")


class Terminal:
    """One command line, whose input, output and errors are a terminal; `out` sends its standard output to a file."""

    def __init__(
        self, env: Mapping[str, str], *args: str, out: Path | None = None, size: tuple[int, int] = (24, 100)
    ) -> None:
        argv = [*ML, *args]
        if out is not None:
            argv = ["/bin/sh", "-c", f"exec {shlex.join(argv)} > {shlex.quote(str(out))}"]
        self._child = pexpect.spawn(
            argv[0], argv[1:], env=dict(env), timeout=PATIENCE, dimensions=size, encoding="utf-8"
        )
        self.seen = ""

    def expect(self, text: str) -> str:
        """Waits until the text is shown, and returns what was shown before it."""
        self._child.expect_exact(text)
        before = str(self._child.before)
        self.seen += before + text
        return before

    def send(self, keys: str) -> None:
        self._child.send(keys)

    def interrupt(self) -> None:
        """What `kill -INT` does, as opposed to the key."""
        self._child.kill(signal.SIGINT)

    def end(self) -> int:
        """Waits for the end, and returns the exit code."""
        self._child.expect(pexpect.EOF)
        self.seen += str(self._child.before)
        self._child.close()
        assert self._child.exitstatus is not None, self._child.signalstatus
        return int(self._child.exitstatus)

    @property
    def text(self) -> str:
        """All that was shown, without the sequences that colour it and move about."""
        return _SEQUENCE.sub("", self.seen).replace("\r", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close(force=True)
