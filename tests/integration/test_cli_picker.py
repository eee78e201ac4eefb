"""Picking with the keys of a real terminal; and the numbered question of a dumb one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, Object, answer, bid, serve
from tests.integration.cli_process import ML, ml, ml_on_terminal
from tests.integration.cli_terminal import BACKSPACE, CTRL_C, DOWN, ENTER, ESCAPE, UP, Terminal

READY = "Esc leaves"
EVIL = "evil\x1b]0;title\x07\u202e"


def listed(bids: list[Object]) -> bytes:
    return answer({"freshness": FRESH, "bids": bids})


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    names = ["train-2", "train", "eval", EVIL, "火車" * 40, "2"]
    bids = [bid(number, name=name) for number, name in enumerate(names)] + [bid(number) for number in range(6, 60)]
    answers = {
        "/v1/bids": listed(bids),
        **{f"/v1/bids/{one['fid']}": answer({"freshness": FRESH, "bid": one, "transitions": []}) for one in bids},
    }
    with serve(tmp_path, {**answers}) as running:
        yield running


@pytest.mark.parametrize(
    ("keys", "fid"),
    [
        (ENTER, "bid_0"),
        (DOWN + DOWN + UP + ENTER, "bid_1"),
        (UP + ENTER, "bid_0"),
        ("\x1b[6~" + ENTER, "bid_15"),
        ("\x1b[6~" * 9 + DOWN + ENTER, "bid_59"),
        ("ev" + ENTER, "bid_2"),
        ("EVAL" + ENTER, "bid_2"),
        ("b200 train-47" + ENTER, "bid_47"),
        ("bid_33" + ENTER, "bid_33"),
        ("車" + ENTER, "bid_4"),
        ("\x1b[200~eval\n\x1b[201~" + ENTER, "bid_2"),
    ],
    ids=["first", "down-up", "top", "page", "last", "letters", "capitals", "words", "fid", "wide", "pasted"],
)
def test_a_bid_is_picked_with_keys(daemon: FakeDaemon, tmp_path: Path, keys: str, fid: str) -> None:
    out = tmp_path / "out"
    with Terminal(daemon.env(), "instance", "info", "--json", out=out) as terminal:
        terminal.expect(READY)
        terminal.send(keys)
        assert terminal.end() == 0
    assert json.loads(out.read_text())["bid"]["fid"] == fid  # standard output is the document and nothing else


def test_a_whole_name_goes_before_those_that_only_begin_with_it(daemon: FakeDaemon) -> None:
    with Terminal(daemon.env(), "instance", "info") as terminal:
        terminal.expect(READY)
        terminal.send("train" + ENTER)
        assert terminal.end() == 0
    assert "which bid? train\n" in terminal.text


def test_what_fits_nothing_cannot_be_picked_by_mistake(daemon: FakeDaemon) -> None:
    with Terminal(daemon.env(), "instance", "info") as terminal:
        terminal.expect(READY)
        terminal.send("evals")
        terminal.expect("nothing fits")
        terminal.send(ENTER + DOWN + ENTER + BACKSPACE + ENTER)
        assert terminal.end() == 0
    assert "which bid? eval\n" in terminal.text


@pytest.mark.parametrize(("key", "code"), [(ESCAPE, 2), ("\x04", 2), (CTRL_C, 130)])
def test_leaving_picks_nothing_and_says_so(daemon: FakeDaemon, key: str, code: int) -> None:
    with Terminal(daemon.env(), "instance", "info") as terminal:
        terminal.expect(READY)
        terminal.send(key)
        assert terminal.end() == code
    assert ("ml: nothing was picked" in terminal.text) == (code == 2)
    assert "Traceback" not in terminal.text
    assert terminal.seen.rstrip().endswith(
        "nothing was picked" if code == 2 else "\x1b[?2004l"
    )  # the keys are as before


def test_ctrl_c_sent_as_a_signal_ends_it_too(daemon: FakeDaemon) -> None:
    with Terminal(daemon.env(), "instance", "info") as terminal:
        terminal.expect(READY)
        terminal.interrupt()
        assert terminal.end() == 130


def test_a_name_cannot_reach_the_terminal_raw(daemon: FakeDaemon) -> None:
    for term in ("xterm", "dumb"):
        with Terminal(daemon.env(TERM=term), "instance", "info") as terminal:
            terminal.expect(READY if term == "xterm" else "number or name")
            terminal.send(CTRL_C)
            terminal.end()
        assert "\x1b]" not in terminal.seen
        assert "\u202e" not in terminal.seen
        assert r"evil\x1b]0;title\x07\u202e" in terminal.seen


def test_no_colours_are_drawn(daemon: FakeDaemon) -> None:
    with Terminal(daemon.env(NO_COLOR="1"), "instance", "info") as terminal:
        terminal.expect(READY)
        terminal.send(ESCAPE)
        terminal.end()
    assert not any(f"{code}m" in terminal.seen for code in (";31", ";32", ";33", "38;5", "48;5"))


@pytest.mark.parametrize("size", [(1, 1), (2, 10), (4, 20), (24, 40), (60, 300)])
def test_it_fits_a_terminal_of_any_size(daemon: FakeDaemon, tmp_path: Path, size: tuple[int, int]) -> None:
    out = tmp_path / "out"
    with Terminal(daemon.env(), "instance", "info", "--json", out=out, size=size) as terminal:
        terminal.expect("\x1b[?2004h")
        terminal.send("eval" + ENTER)
        assert terminal.end() == 0
    assert json.loads(out.read_text())["bid"]["fid"] == "bid_2"


def test_a_stale_list_says_so_while_it_is_shown(daemon: FakeDaemon) -> None:
    stale = {**FRESH, "stale": True, "age_seconds": 250, "reason": "connection refused"}
    daemon.answers["/v1/bids"] = answer({"freshness": stale, "bids": [bid(0)]})
    with Terminal(daemon.env(), "instance", "info") as terminal:
        terminal.expect("this is 4m old: connection refused")
        terminal.send(ESCAPE)
        assert terminal.end() == 2


def test_with_nothing_to_pick_from_it_says_so(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = listed([])
    done = ml_on_terminal(daemon.env(), "instance", "info")
    assert done.code == 6
    assert "no active bids" in done.out


def test_without_a_terminal_a_name_has_to_be_given(daemon: FakeDaemon) -> None:
    done = ml(daemon.env(), "instance", "info")
    assert (done.code, done.out) == (2, "")
    assert done.err == "ml: which bid? name one: ml instance info NAME (see `ml instance list`)\n"
    piped = subprocess.run([*ML, "instance", "info"], env=daemon.env(), input=b"1\n", capture_output=True, check=False)
    assert piped.returncode == 2
    assert daemon.requests == []


@pytest.mark.parametrize("typed", ["2\n", "bid_5\n", "nonsense\n2\n", "6\n"])
def test_a_dumb_terminal_is_asked_for_a_number(daemon: FakeDaemon, typed: str) -> None:
    done = ml_on_terminal(daemon.env(TERM="dumb"), "instance", "info", "--json", typed=typed)
    assert done.code == 0
    assert "which bid (number or name)?" in done.out
    fid = json.loads(done.out[done.out.index("{") :])["bid"]["fid"]
    assert fid == "bid_5"  # the bid called 2 goes before the second


@pytest.mark.parametrize("typed", ["\n", "\x04", "x\ny\nz\n"])
def test_picking_nothing_on_a_dumb_terminal_is_wrong_usage(daemon: FakeDaemon, typed: str) -> None:
    done = ml_on_terminal(daemon.env(TERM="dumb"), "instance", "info", typed=typed)
    assert done.code == 2
    assert done.out.rstrip().endswith("ml: nothing was picked")


def test_ctrl_c_at_the_question_leaves_quietly(daemon: FakeDaemon) -> None:
    done = ml_on_terminal(daemon.env(TERM="dumb"), "instance", "info", typed="\x03", prompt="number or name")
    assert done.code == 130
    assert "Traceback" not in done.out
