"""Running commands and passing on what they print: one as it is, several at once, line by line."""

from __future__ import annotations

import os
import re
import select
import selectors
import signal
import subprocess

from mithril_cli import output
from mithril_cli.ssh.run import exit_code, not_run

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import NoReturn

    # Hears of each job that has ended: its index, its exit code, and the end of its standard error.
    Ended = Callable[[int, int, str], None]

CHUNK = 64 * 1024
LONGEST_LINE = 64 * 1024  # without an end; then it is passed on in pieces, and nothing grows without bounds
KEPT = 16 * 1024
LOOK = 1.0  # seconds; how often to see whether a program has ended that left its streams to a child of its own
GRACE = 2.0

# A progress bar goes back to the start of its line: for lines among those of others, that is an end too.
_LINE_END = re.compile(rb"\r?\n|\r(?=[^\n])")


class Lines:
    """Bytes as they come, given out line by line with a word before each."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = _LINE_END.split(self._rest + data)
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return b"".join([self._prefix + line + b"\n" for line in lines])

    def end(self) -> bytes:
        """What was left without a line's end, with one."""
        rest, self._rest = self._rest.removesuffix(b"\r"), b""
        return self._prefix + rest + b"\n" if rest else b""


class Job:
    """One program. With a prefix its streams are passed on in lines, and it is given nothing to read; without one
    it has our own input and output, and only its standard error goes through here."""

    def __init__(self, argv: Sequence[str], prefix: bytes | None) -> None:
        alone = prefix is None
        try:
            self.process = subprocess.Popen(
                argv,
                stdin=None if alone else subprocess.DEVNULL,
                stdout=None if alone else subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise not_run(error) from None
        self.tail = b""
        streams = [(self.process.stdout, 1), (self.process.stderr, 2)]
        self.open = {
            stream.fileno(): (sink, None if prefix is None else Lines(prefix)) for stream, sink in streams if stream
        }
        for number in self.open:
            os.set_blocking(number, False)

    def pass_on(self, number: int) -> bool:
        """Pass on what one of its streams has. False when there is nothing, now or ever again."""
        try:
            data = os.read(number, CHUNK)
        except BlockingIOError:
            return False
        sink, lines = self.open[number]
        if sink == 2:
            self.tail = (self.tail + data)[-KEPT:]
        if data:
            _write(sink, lines.feed(data) if lines else data)
            return True
        if lines:
            _write(sink, lines.end())
        del self.open[number]
        return False

    def leave(self) -> None:
        """Take what a program that has ended left in its streams, and look at them no more."""
        for number in list(self.open):
            while self.pass_on(number):
                pass
            sink, lines = self.open.pop(number, (0, None))
            if lines:
                _write(sink, lines.end())

    def close(self) -> None:
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def alone(argv: Sequence[str], ended: Ended) -> int:
    """Run a program with our own streams, and return its exit code."""
    return together([(argv, None)], ended)[0]


def together(programs: Sequence[tuple[Sequence[str], bytes | None]], ended: Ended) -> list[int]:
    """Run programs at once, each with what stands before its lines, and return their exit codes.

    They do not outlive us: what is still running when we are interrupted is ended.
    """
    output.flush()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(number, _leave)
    jobs: list[Job] = []
    try:
        for argv, prefix in programs:
            jobs.append(Job(argv, prefix))
        return _follow(jobs, ended)
    finally:
        _end(jobs)


def _follow(jobs: Sequence[Job], ended: Ended) -> list[int]:
    codes: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        for index, job in enumerate(jobs):
            for number in job.open:
                selector.register(number, selectors.EVENT_READ, index)
        while len(codes) < len(jobs):
            for key, _ in selector.select(LOOK):
                job = jobs[key.data]
                job.pass_on(key.fd)
                if key.fd not in job.open:
                    selector.unregister(key.fd)
            for index, job in enumerate(jobs):
                if index in codes or (job.open and job.process.poll() is None):
                    continue
                for number in job.open:
                    selector.unregister(number)
                job.leave()
                codes[index] = exit_code(job.process.wait())
                ended(index, codes[index], job.tail.decode("utf-8", "replace"))
    return [codes[index] for index in range(len(jobs))]


def _end(jobs: Sequence[Job]) -> None:
    """End what is still there: asked first, and then not asked."""
    for job in jobs:
        if job.process.poll() is None:
            job.process.terminate()
    for job in jobs:
        try:
            job.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            job.process.kill()
            job.process.wait()
        job.close()


def _write(sink: int, data: bytes) -> None:
    """All of it, before anything else is written: lines of several programs stay whole."""
    while data:
        try:
            data = data[os.write(sink, data) :]
        except BlockingIOError:  # `ssh` sets that on what it shares with us
            select.select([], [sink], [])


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
