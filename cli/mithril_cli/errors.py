"""What may go wrong in `ml`. Each is one line for standard error and an exit code of `wire`."""

from __future__ import annotations

from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from typing import Any


class Failure(Exception):
    """An expected failure. `str(failure)` is the line, without the `ml: ` before it."""

    exit_code = wire.EXIT_FAILED


class Usage(Failure):
    """The command line was typed wrong. The message ends with how to get help."""

    exit_code = wire.EXIT_USAGE


class NoDaemon(Failure):
    """Nobody listens, or whoever listens gave no answer in time."""

    exit_code = wire.EXIT_NO_DAEMON


class OutcomeUnknown(Failure):
    """Something was asked to be changed, and whether it was is not known. The message says how to look."""

    exit_code = wire.EXIT_NO_MARKETPLACE


class Interrupted(Failure):
    """Ctrl-C, where it leaves something to be said."""

    exit_code = wire.EXIT_INTERRUPTED


class BrokenAnswer(Failure):
    """An answer that cannot be read: not HTTP, not JSON, cut short, too long, or not of the promised shape."""


class ApiError(Failure):
    """The daemon understood and said no, with a code that decides what `ml` exits with."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(_words(error))
        self.status = status
        self.code = str(error.get("code"))
        self.exit_code = wire.ERROR_EXITS.get(self.code, wire.EXIT_FAILED)
        choices, what = error.get("choices"), error.get("what")
        self.choices = [one for one in choices if isinstance(one, str)] if isinstance(choices, list) else []
        self.what = what if isinstance(what, str) else ""  # which part of a bid the choices are for
        oldest = error.get("oldest")
        self.oldest = oldest if isinstance(oldest, int) else None  # a sequence, with cursor_gone only


def _words(error: dict[str, Any]) -> str:
    message = str(error.get("message") or "the daemon refused, and did not say why")
    choices = error.get("choices")
    if not isinstance(choices, list) or not choices:
        return message
    fids = [str(choice.get("fid")) if isinstance(choice, dict) else str(choice) for choice in choices]
    unsaid = [fid for fid in fids if fid not in message]
    return f"{message} ({', '.join(unsaid)})" if unsaid else message
