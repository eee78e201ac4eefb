"""The log lines, read as a reader gets them: from the standard error of a real process."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loguru import logger

from mithrild.logs import Trouble, one_line

PRELUDE = """
import logging
from loguru import logger
from mithrild.errors import Unreachable
from mithrild.logs import setup
"""


def lines(tmp_path: Path, program: str, journal: bool = False, **env: str) -> list[str]:
    """Run a program whose standard error is a file, and give the lines of that file."""
    file = tmp_path / "stderr"
    with file.open("wb") as stream:
        status = os.fstat(stream.fileno())
        if journal:
            env["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
        subprocess.run(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
            stderr=stream,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])} | env,
            check=True,
            timeout=60,
        )
    return file.read_text().splitlines()


def words(tmp_path: Path, program: str) -> list[str]:
    """The same without the time stamps."""
    return [line.split(" ", 1)[1] for line in lines(tmp_path, program)]


def test_a_line_has_time_in_utc_level_and_words(tmp_path: Path) -> None:
    program = """
        setup("debug")
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(logger, level)("words of {}", level)
    """
    said = lines(tmp_path, program, TZ="Asia/Tokyo")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ .*", line) for line in said)
    stamp = datetime.fromisoformat(said[0].split()[0])
    assert abs(datetime.now(UTC) - stamp) < timedelta(hours=1)
    assert [line.split(" ", 1)[1] for line in said] == [
        "DEBUG words of debug",
        "INFO  words of info",
        "WARN  words of warning",
        "ERROR words of error",
        "ERROR words of critical",
    ]


def test_the_level_holds_and_may_change(tmp_path: Path) -> None:
    program = """
        setup("warning")
        logger.info("quiet")
        logger.warning("one")
        setup("debug")
        logger.debug("two")
    """
    assert words(tmp_path, program) == ["WARN  one", "DEBUG two"]


def test_an_expected_failure_is_one_line_without_traceback(tmp_path: Path) -> None:
    program = """
        setup("info")
        try:
            raise Unreachable("the marketplace does not answer; trying again in 5 s")
        except Unreachable as error:
            logger.opt(exception=error).warning("poll")
    """
    assert words(tmp_path, program) == ["WARN  poll: the marketplace does not answer; trying again in 5 s"]


def test_an_unexpected_failure_says_where_on_one_line_and_shows_no_variable(tmp_path: Path) -> None:
    program = """
        setup("info")
        def tick():
            password = "hush"
            raise KeyError("a\\nb")
        try:
            tick()
        except KeyError:
            logger.exception("tick failed")
    """
    [said] = words(tmp_path, program)
    assert re.fullmatch(r"ERROR tick failed: KeyError: 'a.*b' \[<string>:\d+ tick < <string>:\d+ <module>\]", said)
    assert "hush" not in said


def test_one_event_is_one_line(tmp_path: Path) -> None:
    program = r"""
        setup("info")
        logger.info("a\nb\r\x1b[31mred\x00 {}", "\u2028\u202ex\x85\ud800")
        logger.info("é 漢 {braces}", braces="<red>{}</red>")
    """
    assert words(tmp_path, program) == [
        r"INFO  a\nb\r\x1b[31mred\x00 \u2028\u202ex\x85\ud800",
        "INFO  é 漢 <red>{}</red>",
    ]


def test_long_messages_are_cut(tmp_path: Path) -> None:
    [said] = words(tmp_path, 'setup("info"); logger.info("x" * 100_000)')
    assert said.endswith("x…")
    assert len(said) < 8100


def test_secrets_are_hidden_everywhere(tmp_path: Path) -> None:
    program = """
        setup("info", ["fkey_1", "fkey_12345", ""])
        logger.info("key fkey_12345 and {}", "Bearer fkey_1")
        logging.getLogger("httpx").warning("sent %s", "fkey_12345")
        try:
            raise ValueError("bad fkey_12345")
        except ValueError as error:
            logger.opt(exception=error).error("fkey_1")
    """
    said = words(tmp_path, program)
    assert said[:2] == ["INFO  key *** and Bearer ***", "WARN  httpx: sent ***"]
    assert said[2].startswith("ERROR ***: ValueError: bad *** [")


@pytest.mark.parametrize("name", ["uvicorn.error", "apscheduler.scheduler", "alembic.runtime", "httpx"])
def test_libraries_are_heard_from_warnings_up(tmp_path: Path, name: str) -> None:
    program = f"""
        setup("debug")
        log = logging.getLogger("{name}")
        log.setLevel(logging.DEBUG)
        log.info("chatter")
        log.warning("one %s", "{{x}}")
        log.critical("two %d", "no number")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("three")
    """
    said = words(tmp_path, program)
    assert said[:2] == [f"WARN  {name}: one {{x}}", f"ERROR {name}: two %d"]
    assert said[2].startswith(f"ERROR {name}: three: ZeroDivisionError: division by zero [")
    assert len(said) == 3


def test_in_the_journal_a_line_has_a_priority_and_no_time(tmp_path: Path) -> None:
    program = """
        setup("debug")
        for level in ("debug", "info", "warning", "error"):
            getattr(logger, level)("words")
    """
    assert lines(tmp_path, program, journal=True) == ["<7>words", "<6>words", "<4>words", "<3>words"]


def test_a_journal_inherited_from_a_parent_is_not_ours(tmp_path: Path) -> None:
    [said] = lines(tmp_path, 'setup("info"); logger.info("words")', JOURNAL_STREAM="1:1")
    assert said.endswith("Z INFO  words")


def test_a_closed_standard_error_ends_nothing() -> None:
    program = PRELUDE + 'setup("info"); logger.info("words"); print("went on")'
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert done.stdout == b"went on\n"


class HandClock:
    """A clock turned by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


@pytest.fixture
def heard() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(lambda message: found.append(message.rstrip("\n")), format="{level} {message}")
    yield found
    logger.remove(sink)


def test_trouble_is_said_once_and_what_it_becomes_is_for_those_who_look_closely(heard: list[str]) -> None:
    clock = HandClock()
    trouble = Trouble("marketplace", clock)
    assert not trouble.failing
    assert [trouble.failed("no route"), trouble.failed("no route")] == [True, False]
    assert [trouble.failed("503 {x}"), trouble.failed("503 {x}")] == [False, False]
    assert trouble.failing
    assert heard == ["WARNING marketplace: no route", "DEBUG marketplace: 503 {x}"]


@pytest.mark.parametrize(
    ("lasted", "said"),
    [
        (timedelta(seconds=12), "12 s"),
        (timedelta(minutes=3, seconds=5), "3 min 5 s"),
        (timedelta(hours=26, minutes=7), "26 h 7 min"),
        (timedelta(hours=-1), "0 s"),  # the clock was set back
    ],
)
def test_recovery_is_said_once_with_its_length(heard: list[str], lasted: timedelta, said: str) -> None:
    clock = HandClock()
    trouble = Trouble("marketplace", clock)
    assert trouble.recovered() is False
    trouble.failed("no route")
    clock.time += lasted
    assert [trouble.recovered(), trouble.recovered()] == [True, False]
    assert heard == ["WARNING marketplace: no route", f"INFO marketplace: recovered after {said}"]


def test_the_same_trouble_after_a_recovery_is_news(heard: list[str]) -> None:
    trouble = Trouble("disk", HandClock())
    for _ in range(2):
        assert trouble.failed("full")
        assert trouble.recovered()
    assert len(heard) == 4


def test_what_can_be_printed_is_left_as_it_is() -> None:
    assert one_line("plain é 漢 \\ text") == "plain é 漢 \\ text"
    assert one_line("\t\x7f\xa0") == "\\t\\x7f\\xa0"
