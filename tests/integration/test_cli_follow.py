"""`ml events -f`: nothing lost and nothing repeated, however often the daemon goes away."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.cli_fake_daemon import (
    FakeDaemon,
    Request,
    answer,
    event,
    feed_chunk,
    feed_event,
    feed_head,
    refusal,
    serve,
    status,
)
from tests.integration.cli_process import ML, PATIENCE

STREAM = "/v1/events/stream"


class Follower:
    """A running `ml events -f …`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._rest = b""
        self._noted = b""

    def lines(self, count: int) -> list[str]:
        """The next lines of its standard output, as they come."""
        assert self.process.stdout is not None
        found: list[str] = []
        end = time.monotonic() + PATIENCE
        while len(found) < count:
            line, split, rest = self._rest.partition(b"\n")
            if split:
                found.append(line.decode())
                self._rest = rest
                continue
            assert time.monotonic() < end, found
            if select.select([self.process.stdout], [], [], 1)[0]:
                piece = os.read(self.process.stdout.fileno(), 65536)
                assert piece, found
                self._rest += piece
        return found

    def sequences(self, count: int) -> list[int]:
        return [int(json.loads(line)["sequence"]) for line in self.lines(count)]

    def wait_for_note(self, words: str) -> None:
        assert self.process.stderr is not None
        while words not in self._noted.decode():
            piece = os.read(self.process.stderr.fileno(), 65536)
            assert piece, self._noted
            self._noted += piece

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C; the exit code, and all of standard error."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, (self._noted + err).decode()


@contextmanager
def following(env: dict[str, str], *args: str) -> Iterator[Follower]:
    process = subprocess.Popen([*ML, "events", "-f", *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield Follower(process)
    finally:
        process.kill()
        process.communicate()


class Script:
    """Answers of the feed, one a connection; the last stays open until `end`, with signs of life."""

    def __init__(self, *connections: bytes) -> None:
        self.connections = list(connections)
        self.asked: list[Request] = []
        self.end = threading.Event()

    def __call__(self, request: Request) -> bytes:
        self.asked.append(request)
        place = len(self.asked) - 1
        if place < len(self.connections) - 1:
            return self.connections[place]
        request.send(self.connections[-1] if place == len(self.connections) - 1 else feed_head())
        while not self.end.wait(0.05):
            request.send(feed_chunk(": alive\n\n"))
        return b""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with serve(tmp_path, {"/v1/status": answer(status())}) as running:
        yield running


@contextmanager
def scripted(daemon: FakeDaemon, *connections: bytes) -> Iterator[Script]:
    script = Script(*connections)
    daemon.answers[STREAM] = script
    try:
        yield script
    finally:
        script.end.set()


def feed(*sequences: int) -> bytes:
    return feed_head() + b"".join(feed_event(event(sequence)) for sequence in sequences)


def test_it_starts_at_the_present_and_resumes_after_the_last_event(daemon: FakeDaemon) -> None:
    connections = [feed(4, 5), feed(5, 6), feed_head() + feed_event(event(7))[:40], feed(7)]
    with (
        scripted(daemon, *connections) as script,
        following(daemon.env(), "--json", "--type", "instance.*", "--bid", "train") as follower,
    ):
        assert follower.sequences(4) == [4, 5, 6, 7]
        code, err = follower.interrupt()
    assert code == 130
    assert "Traceback" not in err
    assert script.asked[0].query == {"type": ["instance.*"], "bid": ["train"], "after": ["3"]}
    assert "last-event-id" not in script.asked[0].headers
    assert [request.headers.get("last-event-id") for request in script.asked[1:]] == [
        "evt_8f3a_5",
        "evt_8f3a_6",
        "evt_8f3a_6",
    ]
    assert all("after" not in request.query for request in script.asked[1:])


def test_a_loss_before_the_first_event_loses_nothing(daemon: FakeDaemon) -> None:
    with scripted(daemon, feed_head(), b"", feed(4)) as script, following(daemon.env(), "--json") as follower:
        assert follower.sequences(1) == [4]
        follower.interrupt()
    assert [request.one("after") for request in script.asked] == ["3", "3", "3"]


def test_a_daemon_that_goes_and_comes_back_is_waited_for_and_told_once(tmp_path: Path) -> None:
    with ExitStack() as later, ExitStack() as earlier:
        first = earlier.enter_context(serve(tmp_path, {"/v1/status": answer(status())}))
        earlier.enter_context(scripted(first, feed(4)))
        follower = later.enter_context(following(first.env(), "--json"))
        assert follower.sequences(1) == [4]
        earlier.close()
        follower.wait_for_note("waiting for the feed to come back")
        second = later.enter_context(serve(tmp_path, {}))
        later.enter_context(scripted(second, feed(5)))
        assert follower.sequences(1) == [5]
        code, err = follower.interrupt()
        assert second.requests[0].headers["last-event-id"] == "evt_8f3a_4"
    assert code == 130
    assert err.count("\n") == 1


def test_what_the_record_no_longer_holds_is_told(daemon: FakeDaemon) -> None:
    gone = refusal(410, "cursor_gone", "gone", oldest=7)
    with scripted(daemon, feed(4), gone, feed(7, 8)) as script, following(daemon.env(), "--json") as follower:
        assert follower.sequences(3) == [4, 7, 8]
        _, err = follower.interrupt()
    assert "missed events 5 to 6" in err
    assert script.asked[2].one("after") == "6"


def test_a_cursor_that_stays_gone_ends_it(daemon: FakeDaemon) -> None:
    daemon.answers[STREAM] = refusal(410, "cursor_gone", "event 3 is gone", oldest=7)
    with following(daemon.env()) as follower:
        _, err = follower.process.communicate(timeout=PATIENCE)
    assert follower.process.returncode == 1
    assert err.decode().splitlines()[-1] == "ml: event 3 is gone"


def test_a_request_that_is_wrong_is_not_repeated(daemon: FakeDaemon) -> None:
    daemon.answers[STREAM] = refusal(404, "not_found", "no bid on record is called x")
    with following(daemon.env(), "--bid", "x") as follower:
        _, err = follower.process.communicate(timeout=PATIENCE)
    assert (follower.process.returncode, err) == (6, b"ml: no bid on record is called x\n")


def test_since_shows_the_record_first_and_joins_the_feed_without_a_gap(daemon: FakeDaemon) -> None:
    def page(request: Request) -> bytes:
        found = [event(number) for number in (2, 3, 4) if number > int(request.one("after") or 0)]
        return answer({"events": found, "next": 4, "oldest": 1})

    daemon.answers["/v1/events"] = page
    with scripted(daemon, feed(5)) as script, following(daemon.env(), "--since", "1h", "--json") as follower:
        assert follower.sequences(4) == [2, 3, 4, 5]
        follower.interrupt()
    assert script.asked[0].one("after") == "4"


def test_a_filter_that_hides_the_record_still_joins_where_the_record_stood(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/events"] = answer({"events": [], "next": None, "oldest": 1})
    with scripted(daemon, feed(4)) as script, following(daemon.env(), "--since", "1h", "--json") as follower:
        assert follower.sequences(1) == [4]
        follower.interrupt()
    assert script.asked[0].one("after") == "3"


def test_a_limit_shows_the_newest_before_what_comes(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/events"] = answer({"events": [event(2), event(3)], "next": 3, "oldest": 1})
    with scripted(daemon, feed(4)), following(daemon.env(), "--limit", "2", "--json") as follower:
        assert follower.sequences(3) == [2, 3, 4]
        follower.interrupt()
    assert [request.one("limit") for request in daemon.requests if request.path == "/v1/events"] == ["2"]


def test_after_is_the_feeds_own_cursor(daemon: FakeDaemon) -> None:
    with (
        scripted(daemon, feed(2, 3, 4)) as script,
        following(daemon.env(), "--after", "evt_8f3a_1", "--json") as follower,
    ):
        assert follower.sequences(3) == [2, 3, 4]
        follower.interrupt()
    assert script.asked[0].one("after") == "evt_8f3a_1"


def test_a_reader_that_leaves_is_noticed_without_an_event(daemon: FakeDaemon) -> None:
    with scripted(daemon, feed(4)), following(daemon.env()) as follower:
        follower.lines(1)
        assert follower.process.stdout is not None
        follower.process.stdout.close()
        assert follower.process.wait(PATIENCE) == 141
        assert follower.process.stderr is not None
        assert follower.process.stderr.read() == b""
