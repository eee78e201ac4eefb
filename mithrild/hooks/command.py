"""Runs one command of a hook, and always comes back with a result: no shell, bounded time, bounded memory."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Literal

from mithrild.hooks.group import end_group, group_members, signal_group, wait_for_group
from mithrild.hooks.pipes import Feeder, Output, open_pipe

Outcome = Literal["done", "retry", "failed", "interrupted"]

# A command's children may outlive it for this many seconds before they are ended.
_CHILDREN_GRACE = 0.5
# A process that has been killed is reaped in milliseconds; one that hangs in the kernel never is.
_REAP_LIMIT = 2.0

_VARIABLES = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "TZ",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "WAYLAND_DISPLAY",
    }
)

# The machine is short of something, or the file is just being written: no fault of the command.
_PASSING_ERRORS = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended.

    `interrupted` means that we ended it because the daemon stops: nobody can know whether it had finished.
    `exit_code` and `signal` say how the main process ended; both are None if it was never started, or could
    not be ended. `output` is standard output and error together, at most 64 KiB and one line. `reason` is one
    line for people, None where there is nothing to say. `seconds` is the time from start to result.
    """

    outcome: Outcome
    exit_code: int | None
    signal: int | None
    output: bytes
    reason: str | None
    seconds: float


def minimal_environment(base: Mapping[str, str]) -> dict[str, str]:
    """What a hook inherits: enough to find programs, its home and the desktop, and no secret of ours."""
    return {name: value for name, value in base.items() if name in _VARIABLES or name.startswith("LC_")}


async def run_command(
    argv: Sequence[str],
    *,
    stdin: bytes,
    env: Mapping[str, str],
    timeout: float,
    kill_after: float = 5.0,
    stop: asyncio.Event | None = None,
) -> CommandResult:
    """Runs `argv` in a session of its own, with `stdin` to read and `env` as its whole environment.

    After `timeout` seconds, or once `stop` is set, its process group gets SIGTERM, and SIGKILL `kill_after`
    seconds later. Whatever it leaves behind in its group is ended too. Nothing is raised for a command that
    cannot be started: that is a result. Cancelling kills the group before the cancellation goes on.
    """
    begun = time.monotonic()
    if stop is not None and stop.is_set():
        return CommandResult("interrupted", None, None, b"", "not started: the daemon is stopping", 0.0)
    with ExitStack() as files:
        # Pipes of our own, not asyncio's: with those, wait() of Python 3.11 comes back only when every
        # holder of a pipe has closed it, and a child that left the group may hold one for days.
        try:
            child_stdin, feeding = open_pipe(files)
            printing, child_stdout = open_pipe(files)
            process = await _start(argv, child_stdin, child_stdout, env)
        except (OSError, ValueError) as error:
            judged = _why_not_started(argv[0], env, error)
            return CommandResult(judged[0], None, None, b"", judged[1], time.monotonic() - begun)
        child_stdin.close()
        child_stdout.close()
        feeder, output = Feeder(feeding, stdin), Output(printing)
        files.callback(feeder.close)
        files.callback(output.close)
        ending = await _see_to_its_end(process, timeout, kill_after, stop)
        output.take_the_rest()
    outcome, reason = _judge(process.returncode, ending, timeout)
    code = process.returncode
    return CommandResult(
        outcome,
        exit_code=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        output=output.kept(),
        reason=reason,
        seconds=time.monotonic() - begun,
    )


async def _start(
    argv: Sequence[str], stdin: io.FileIO, stdout: io.FileIO, env: Mapping[str, str]
) -> asyncio.subprocess.Process:
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *argv,
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
    )
    try:
        # wait() does not hand a cancellation on. Cancelled halfway, asyncio would kill the process and
        # nothing else of its group.
        await asyncio.wait({starting})
    except asyncio.CancelledError:
        with suppress(OSError, ValueError):
            process = await starting
            signal_group(process.pid, signal.SIGKILL)
            await process.wait()
        raise
    return starting.result()


@dataclass(frozen=True, slots=True)
class _Ending:
    cut_short: Literal["timeout", "stop"] | None
    left_behind: int
    not_ended: int


async def _see_to_its_end(
    process: asyncio.subprocess.Process, timeout: float, kill_after: float, stop: asyncio.Event | None
) -> _Ending:
    """Waits for the process, then for its group, of which nothing is left when this returns or raises."""
    group = process.pid
    exit_ = asyncio.create_task(process.wait())
    settled = False
    try:
        cut_short = await _until_exit(exit_, timeout, stop)
        left_behind: list[int] = []
        if cut_short is None:
            left_behind = await wait_for_group(group, _CHILDREN_GRACE) if group_members(group) else []
            if group in left_behind:
                # The leader has been reaped, so a process of its number is a stranger's: our group is empty.
                left_behind = []
        not_ended = await end_group(group, kill_after) if cut_short or left_behind else []
        settled = True
        return _Ending(cut_short, len(left_behind), len(not_ended))
    finally:
        if not settled:
            signal_group(group, signal.SIGKILL)
        await asyncio.wait({exit_}, timeout=_REAP_LIMIT)
        exit_.cancel()


async def _until_exit(
    exit_: asyncio.Task[int], timeout: float, stop: asyncio.Event | None
) -> Literal["timeout", "stop"] | None:
    stopping = asyncio.create_task(stop.wait()) if stop is not None else None
    try:
        awaited: set[asyncio.Task[int] | asyncio.Task[Literal[True]]] = {exit_}
        if stopping is not None:
            awaited.add(stopping)
        await asyncio.wait(awaited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if stopping is not None:
            stopping.cancel()
    if exit_.done():
        return None
    return "stop" if stop is not None and stop.is_set() else "timeout"


def _judge(code: int | None, ending: _Ending, timeout: float) -> tuple[Outcome, str | None]:
    outcome: Outcome
    reason: str | None
    if ending.cut_short == "stop":
        outcome, reason = "interrupted", "the daemon is stopping: ended"
    elif ending.cut_short == "timeout":
        outcome, reason = "failed", f"took longer than {_words(timeout)}: ended"
    elif code is None or code < 0:
        outcome, reason = "failed", f"ended by signal {-code}" if code else "ended, nobody knows how"
    elif code == 0:
        outcome, reason = "done", None
    elif code == os.EX_TEMPFAIL:
        outcome, reason = "retry", f"asked to be tried again (exit code {code})"
    else:
        outcome, reason = "failed", f"exit code {code}"
    parts = [reason] if reason else []
    if ending.left_behind:
        count = ending.left_behind
        parts.append(f"left {count} {'process' if count == 1 else 'processes'} behind")
        if not ending.not_ended:
            parts.append("it was ended" if count == 1 else "they were ended")
    if ending.not_ended:
        parts.append(f"{ending.not_ended} could not be ended")
    return outcome, "; ".join(parts) or None


def _why_not_started(program: str, env: Mapping[str, str], error: OSError | ValueError) -> tuple[Outcome, str]:
    shown = program.replace("\0", "\\0")
    if not isinstance(error, OSError):
        # subprocess has no other ValueError for lists of strings than this and an `=` in a variable's name.
        what = "an argument or variable holds a NUL byte" if "null byte" in str(error) else str(error)
        return "failed", f"cannot start {shown}: {what}"
    if error.errno in _PASSING_ERRORS:
        return "retry", f"cannot start {shown} now: {error.strerror}"
    found = shutil.which(program, mode=os.F_OK, path=env.get("PATH", os.defpath))
    match error.errno:
        case errno.ENOENT if found and not os.path.isdir(found):
            what = "the interpreter that its first line names is missing"
        case errno.ENOENT if os.sep in program:
            what = "no such file"
        case errno.ENOENT:
            what = f"not found in PATH ({env.get('PATH', os.defpath)})"
        case errno.EACCES if found and os.access(found, os.X_OK):
            what = "its interpreter or its file system does not let it run"
        case errno.EACCES:
            what = "not an executable file (chmod +x)"
        case errno.ENOEXEC:
            what = "neither a program nor a script: its first line must name an interpreter, as in #!/bin/sh"
        case errno.E2BIG:
            what = "its arguments and environment are too long"
        case _:
            what = error.strerror or str(error)
    return "failed", f"cannot start {shown}: {what}"


def _words(seconds: float) -> str:
    """240 -> 4m, 90 -> 1m30s, 0.5 -> 0.5s."""
    if seconds < 60 or seconds != int(seconds):
        return f"{seconds:g}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if rest else f"{minutes}m"
