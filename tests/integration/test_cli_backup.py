"""`ml daemon backup`, and what `ml daemon status` tells of the size of the record and of its backups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli_fake_daemon import FakeDaemon, Request, ago, answer, serve, status
from tests.integration.cli_process import ml, ml_on_terminal

MADE = {"path": "/state/backups/mithrild-20261123T120000Z.db", "taken_at": "2026-11-23T12:00:00Z", "bytes": 139_800_000}
STAGES: list[dict[str, Any]] = [
    {"stage": "copying", "share": 0.42},
    {"stage": "compacting", "share": None},
    {"stage": "verifying", "share": None},
]


def standing(**changes: Any) -> dict[str, Any]:
    return {
        "folder": "/state/backups",
        "every_seconds": 86400.0,
        "keep": 7,
        "next_at": None,
        "run": 3,
        "running": None,
        "made": None,
        "error": None,
        "failed_at": None,
        "files": [],
        **changes,
    }


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with serve(tmp_path, {}) as daemon:
        yield daemon


def goes(daemon: FakeDaemon, *states: dict[str, Any]) -> None:
    """The backup goes through these states, one at each look."""
    left = list(states)

    def look(request: Request) -> bytes:
        state = left.pop(0) if len(left) > 1 else left[0]
        return answer({"run": 3, "backups": state})

    daemon.answers["/v1/backups"] = look


def test_the_path_of_the_backup_is_the_answer(daemon: FakeDaemon) -> None:
    goes(daemon, *(standing(running=stage) for stage in STAGES), standing(made=MADE))
    done = ml(daemon.env(), "daemon", "backup")
    assert (done.code, done.out, done.err) == (0, f"{MADE['path']}\n", "")
    assert len(daemon.requests) == 4


def test_json_is_what_was_made(daemon: FakeDaemon) -> None:
    goes(daemon, standing(made=MADE))
    done = ml(daemon.env(), "daemon", "backup", "--json")
    assert (done.code, json.loads(done.out), done.err) == (0, {"backup": MADE}, "")


def test_a_terminal_shows_how_far_it_is(daemon: FakeDaemon) -> None:
    goes(daemon, *(standing(running=stage) for stage in STAGES), standing(made=MADE))
    shown = ml_on_terminal(daemon.env(), "daemon", "backup").out
    assert shown.index("copying 42%") < shown.index("compacting") < shown.index("verifying") < shown.index("/state/")
    assert shown.rstrip().endswith(MADE["path"])  # type: ignore[arg-type]  # one of its values is a number


def test_a_backup_that_failed_is_told_with_its_reason(daemon: FakeDaemon) -> None:
    goes(daemon, standing(running=STAGES[0]), standing(error="it needs 364 MiB, and /state/backups has 12 MiB left"))
    done = ml(daemon.env(), "daemon", "backup")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "ml: no backup was made: it needs 364 MiB, and /state/backups has 12 MiB left; those that are there stay as "
        "they are\n"
    )


def test_the_backup_of_another_daemon_is_not_taken_for_this_one(daemon: FakeDaemon) -> None:
    goes(daemon, standing(running=STAGES[0]), standing(run=1, made=MADE))
    done = ml(daemon.env(), "daemon", "backup")
    assert (done.code, done.out) == (1, "")
    assert "another daemon answers" in done.err


def test_status_tells_of_size_growth_and_backups(daemon: FakeDaemon) -> None:
    store = {
        "id": "8f3a",
        "path": "/state/mithrild.db",
        "bytes": 152_300_000,
        "wal_bytes": 4_100_000,
        "schema": "0002",
        "oldest_sequence": 17,
        "newest_sequence": 100_016,
        "growth": {
            "measured_at": ago(minutes=3),
            "estimated": False,
            "transitions": 100_000,
            "bytes_each": 1398,
            "bytes": {"transitions": 139_800_000, "deliveries": 5_100_000, "prices": 0, "other": 70_000},
            "free_bytes": 2_000_000,
            "oldest_at": "2016-11-23T12:00:00Z",
        },
        "retention": {
            "keep_transitions_seconds": None,
            "dropped_before": None,
            "waits": "no answer of the marketplace has confirmed the clock yet",
            "last": {"at": "2016-11-23T12:00:00Z", "words": "3 price samples"},
        },
    }
    backups = standing(files=[MADE, MADE], next_at=ago(hours=-5), error="the disk is full", made=None)
    daemon.answers["/v1/status"] = answer(status(store=store, backups=backups))
    shown = {line[:13].strip(): line[13:].strip() for line in ml(daemon.env(), "daemon", "status").out.splitlines()}
    assert shown["record"] == "/state/mithrild.db, 152.3 MB and 4.1 MB of WAL, events 17 to 100016"
    assert shown["growth"] == (
        "100,000 transitions of 1.4 kB each, 139.8 MB in all, kept for ever since 2016-11-23 12:00:00; "
        "deliveries 5.1 MB; 2.0 MB free inside the file"
    )
    assert shown["dropped last"] == "2016-11-23 12:00:00: 3 price samples"
    assert shown["nothing goes"] == "no answer of the marketplace has confirmed the clock yet"
    held, due, error = shown["backups"].split("; ")
    assert held == "2 in /state/backups, the newest of 2026-11-23 12:00:00 (139.8 MB)"
    assert due.startswith("the next in ")
    assert error == "the last one failed: the disk is full"


@pytest.mark.parametrize(
    ("growth", "keep", "words"),
    [
        (None, None, "not measured yet; transitions are kept for ever"),
        ({"transitions": 0}, 31_536_000.0, "no transitions yet; they are kept for 365 days"),
        (
            {"transitions": 2, "bytes_each": 700, "bytes": {"transitions": 1400, "prices": 12}, "estimated": True},
            31_536_000.0,
            "2 transitions of about 700 B each, about 1.4 kB in all, kept for 365 days; prices about 12 B",
        ),
    ],
)
def test_growth_in_words(daemon: FakeDaemon, growth: Any, keep: float | None, words: str) -> None:
    store = {"path": "/s", "bytes": 1, "growth": growth, "retention": {"keep_transitions_seconds": keep}}
    daemon.answers["/v1/status"] = answer(status(store=store))
    assert f"growth       {words}\n" in ml(daemon.env(), "daemon", "status").out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"every_seconds": None}, "none in /state/backups; made only when asked for"),
        ({"next_at": "2016-11-23T12:00:00Z"}, "none in /state/backups; the next is due"),
        ({"running": STAGES[0]}, "none in /state/backups; one is being made (copying)"),
    ],
)
def test_backups_in_words(daemon: FakeDaemon, changes: dict[str, Any], words: str) -> None:
    daemon.answers["/v1/status"] = answer(status(backups=standing(**changes)))
    assert f"backups      {words}\n" in ml(daemon.env(), "daemon", "status").out
