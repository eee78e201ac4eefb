"""Real processes of `ml`: with pipes, or on a terminal of a given size."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass

ML = [sys.executable, "-m", "mithril_cli.main"]
PATIENCE = 60.0  # seconds, far beyond what anything here takes


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def ml(env: Mapping[str, str], *args: str) -> Done:
    """One command line, with pipes for its streams."""
    done = subprocess.run(
        [*ML, *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def ml_on_terminal(env: Mapping[str, str], *args: str, columns: int = 200, typed: str = "", prompt: str = "") -> Done:
    """One command line whose three streams are a terminal. `out` is what a person sees there.

    `typed` is what they type, once `prompt` has been shown. The terminal is the session's own, so that Ctrl-C works.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*ML, *args],
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    seen = b""
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            if typed and prompt.encode() in seen:
                os.write(ours, typed.encode())
                typed = ""
            if not select.select([ours], [], [], PATIENCE)[0]:
                break
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: the other side has closed its end
                break
            if not piece:
                break
            seen += piece
        return Done(process.wait(PATIENCE), seen.decode(), "")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
