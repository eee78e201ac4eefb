"""What goes wrong before a remote command has begun: ssh's own exit code, so that no remote code is mistaken for it."""

from __future__ import annotations

from mithril_cli.errors import Failure, Interrupted, Usage

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_SSH = 255


class NotReached(Failure):
    """The remote command was not started, or the connection broke."""

    exit_code = EXIT_SSH


def beforehand(command: object, connect: Callable[[], int]) -> int:
    """What `connect` returns. With a remote `command` whatever fails before it exits as ssh does, for every other code
    may be the command's own; a line that was typed wrong stays wrong usage."""
    try:
        return connect()
    except Failure as failure:
        if command and not isinstance(failure, Usage | Interrupted):
            failure.exit_code = EXIT_SSH
        raise
