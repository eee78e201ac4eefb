"""Running the system's `ssh`: in our place, beside us, or for what it says."""

from __future__ import annotations

import os
import sys

from mithril_cli import output
from mithril_cli.ssh.errors import EXIT_SSH, NotReached

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from mithril_cli.ssh.machine import Machine

NO_SSH = "there is no `ssh` on PATH: install the OpenSSH client (Debian, Ubuntu: apt install openssh-client)"


def become(argv: list[str]) -> NoReturn:
    """Turn into this program: the terminal, agent and signals are its own from here on."""
    import signal

    output.flush()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what we become would too
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # a list, and no shell
    except OSError as error:
        raise not_run(error) from None


def capture(argv: Sequence[str], timeout: float) -> tuple[int, bytes, str]:
    """(exit code, standard output, standard error) of a command that is given nothing to read.

    `ssh` may still ask for a passphrase on the terminal, unless its options say BatchMode=yes. Raises NotReached
    if it does not end in time.
    """
    import subprocess

    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise NotReached(f"ssh did not end within {timeout:g} s") from None
    except OSError as error:
        raise not_run(error) from None
    return exit_code(done.returncode), done.stdout, done.stderr.decode("utf-8", "replace")


def exit_code(returncode: int) -> int:
    """As a shell tells it: a program that a signal ended exits with 128 and the signal's number."""
    return 128 - returncode if returncode < 0 else returncode


def not_run(error: OSError) -> NotReached:
    """What to say of a program that could not be started."""
    if isinstance(error, FileNotFoundError):
        return NotReached(NO_SSH)
    return NotReached(f"ssh cannot be run: {error.strerror or error}")


def run_on(machine: Machine, command: Sequence[str]) -> int:
    """Run a command on one machine, with our own streams as its streams, and return its exit code."""
    from mithril_cli.ssh import stream

    return stream.alone(machine.argv(command), lambda _, code, said: tell_why(machine, code, said))


def tell_why(machine: Machine, code: int, said: str) -> None:
    """Add to what `ssh` said of its own failure what that means here."""
    if code != EXIT_SSH:
        return
    from mithril_cli.ssh import explain

    reason = explain.why(machine, said)
    if reason:
        output.note(reason)
