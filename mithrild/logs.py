"""The log: one line an event, on standard error, through loguru. No secret and no line break gets into it.

    2026-11-23T14:02:11Z INFO  words

Under systemd, where standard error is the journal, the time is the journal's own and the line begins with
the priority that sd-daemon(3) gives it: "<6>words".
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loguru import logger

from mithrild.clock import Clock
from mithrild.errors import MithrildError

if TYPE_CHECKING:
    from loguru import Message, Record

# loguru's number of a level -> the word in a line, and syslog's priority
_LEVELS = ((40, "ERROR", 3), (30, "WARN", 4), (20, "INFO", 6), (0, "DEBUG", 7))
_MOST_CHARACTERS = 8000
_MOST_FRAMES = 8


def setup(level: str, secrets: Sequence[str] = (), env: Mapping[str, str] = os.environ) -> None:
    """Send every log of the process to standard error. May be called again, with a new level or new secrets."""
    journal = _stderr_is_journal(env)
    # The longest first: one secret may hold another.
    hidden = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def write(message: Message) -> None:
        try:
            sys.stderr.write(_line(message.record, hidden, journal) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # AttributeError: there was none at the start
            pass  # nobody is left to be told

    logger.remove()
    # Without loguru's own catch and traceback: both would print values of variables, and so secrets.
    logger.add(write, level=level.upper(), format="{message}", backtrace=False, diagnose=False, catch=False)
    logging.basicConfig(handlers=[_FromStdlib(logging.WARNING)], level=logging.WARNING, force=True)


def one_line(text: str) -> str:
    """Text with everything escaped that could break a line, move a cursor or turn the direction of writing."""
    if text.isprintable():
        return text  # as almost all lines are: sign by sign takes its time in a storm
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class Trouble:
    """Something that fails again and again is said once; that it works again is said once too."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._since: datetime | None = None
        self._text = ""

    @property
    def failing(self) -> bool:
        return self._since is not None

    def failed(self, text: str) -> bool:
        """Log the first failure. What a later one says is of the same trouble, and for those who look closely: an
        outage has many words (502, 503, a reset), and an hour of it would fill pages. True if all was well before."""
        began = self._since is None
        if began:
            self._since = self._clock.now()
        if began or text != self._text:
            logger.log("WARNING" if began else "DEBUG", "{}: {}", self._name, text)
        self._text = text
        return began

    def recovered(self, more: str = "") -> bool:
        """Log the end of the trouble, how long it lasted, and what there is more to say. True if there was any."""
        if self._since is None:
            return False
        # By the wall clock, which the lines' own time stamps show, and which counts a sleep of the machine.
        lasted = max(self._clock.now() - self._since, timedelta())
        self._since = None
        logger.info("{}: recovered after {}{}", self._name, _words(lasted), more)
        return True


class _FromStdlib(logging.Handler):
    """uvicorn, apscheduler, alembic and httpx speak through the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # their arguments do not fit their own format
            text = str(record.msg)
        level = next(word for number, word, _ in _LEVELS if record.levelno >= number)
        level = "WARNING" if level == "WARN" else level
        logger.opt(exception=record.exc_info).log(level, "{}: {}", record.name, text)


def _line(record: Record, hidden: Sequence[str], journal: bool) -> str:
    text = record["message"]
    if (caught := record["exception"]) is not None and caught.value is not None:
        said = _exception(caught.value)
        text = f"{text}: {said}" if text else said
    for secret in hidden:
        text = text.replace(secret, "***")
    text = one_line(text)
    if len(text) > _MOST_CHARACTERS:
        text = text[:_MOST_CHARACTERS] + "…"
    _, word, priority = next(entry for entry in _LEVELS if record["level"].no >= entry[0])
    if journal:
        return f"<{priority}>{text}"
    return f"{record['time'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {word:<5} {text}"


def _exception(error: BaseException) -> str:
    if isinstance(error, MithrildError):
        return str(error)
    # What nobody expected: where it came from, innermost first, on the same line.
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    path = " < ".join(f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in reversed(frames))
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{said} [{path}]" if path else said


def _stderr_is_journal(env: Mapping[str, str]) -> bool:
    """JOURNAL_STREAM is inherited by every child, so it counts only where it names this very stream."""
    try:
        stream = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or replaced by something without a descriptor
        return False
    return env.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


def _words(length: timedelta) -> str:
    seconds = round(length.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
