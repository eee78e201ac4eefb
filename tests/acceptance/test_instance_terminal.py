"""`ml instance` with a person at it: the live view, questions before anything ends, and things to pick from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import wait_for
from tests.acceptance.instance_rig import CREATE, REGION, Rig, open_rig
from tests.integration.cli_terminal import CTRL_C, ENTER, Terminal

PICKING = "Esc leaves"
ASKED = "[y/N] "


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig(tmp_path_factory.mktemp("rig"), "--no-demo", both_projects=True, configured=False) as rig:
        rig.own_key()
        yield rig


@pytest.fixture(autouse=True)
def nothing_left(rig: Rig) -> Iterator[None]:
    yield
    rig.clear()


def at(rig: Rig, *words: str, out: Path | None = None, term: str = "xterm", **more: str) -> Terminal:
    return Terminal(rig.env | {"TERM": term} | more, *words, out=out)


def test_the_live_view_draws_each_instance_anew_and_leaves_the_answer_alone(rig: Rig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with at(rig, *CREATE, "-p", "demo", "-n", "seen", "-N", "2", "--watch", "--json", out=out) as terminal:
        terminal.expect("seen: pending, 0 of 2 running, after")
        assert rig.sandbox.force("seen", "allocate")
        first, second = rig.bid("seen")["instances"]
        rig.set_status(second, "STATUS_INITIALIZING")
        terminal.expect("seen-1    initializing")
        rig.set_status(first, "STATUS_RUNNING")
        rig.set_status(second, "STATUS_RUNNING")
        terminal.expect("seen: running, 2 of 2 running, after")
        assert terminal.end() == 0
    assert "\x1b[1A" in terminal.seen  # drawn where it stood
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal.seen)  # without colours
    assert json.loads(out.read_text())["bid"]["state"] == "running"


def test_trouble_is_told_above_the_live_view(rig: Rig) -> None:
    with at(rig, *CREATE, "-p", "demo", "-n", "cut", "-w", "--timeout", "20s") as terminal:
        terminal.expect("cut: pending")
        rig.fault("reset", "/v2/*")
        terminal.expect("waiting on")
        rig.mend()
        rig.run("cut")
        terminal.expect("cut: running")
        assert terminal.end() == 0


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_ctrl_c_ends_the_watching_and_not_the_bid(rig: Rig, term: str) -> None:
    with at(rig, *CREATE, "-p", "demo", "-n", f"kept-{term}", "--watch", term=term) as terminal:
        terminal.expect(f"kept-{term}: pending")
        terminal.send(CTRL_C)
        terminal.expect("the waiting has ended, the bid has not")
        assert terminal.end() == 130
    assert "Traceback" not in terminal.text
    assert ("\x1b[" in terminal.seen) is (term == "xterm")
    assert f"kept-{term}" in rig.live()


def test_ctrl_c_while_the_bid_is_being_placed_says_that_its_fate_is_unknown(rig: Rig) -> None:
    rig.fault("delay", "/v2/spot/bids", "POST", seconds=1)
    with at(rig, *CREATE, "-p", "demo", "-n", "hasty") as terminal:
        wait_for("the request", lambda: rig.sandbox.get("/sandbox/faults")[0]["hits"])
        terminal.send(CTRL_C)
        terminal.expect("whether the bid 'hasty' was placed is not known: look with `ml instance info hasty -p demo`")
        assert terminal.end() == 130
    rig.bid("hasty")  # it was: the daemon had it in hand


def test_a_cancellation_shows_what_ends_and_asks(rig: Rig) -> None:
    fid = rig.place("train", quantity=2)
    rig.run("train")
    rig.seen("train", "running")
    with at(rig, "instance", "delete", "-p", "demo", "train") as terminal:
        shown = terminal.expect(ASKED)
        assert re.search(rf"train +running +2 of 2 +b200-192gb.sxm.8x +us-central5-a +{fid}", shown)
        assert "Cancel this bid? Its instances end at once, for good." in shown
        assert "train" in rig.live()
        terminal.send("y\n")
        terminal.expect(f"cancelled  train ({fid})")
        assert terminal.end() == 0
    assert rig.live() == {}


@pytest.mark.parametrize(("typed", "code"), [("\n", 1), ("n\n", 1), ("what?\n", 1), ("\x04", 1), (CTRL_C, 130)])
def test_whatever_is_not_yes_is_no(rig: Rig, typed: str, code: int) -> None:
    rig.place(name := f"kept-{typed.encode().hex()}")
    with at(rig, "instance", "delete", "-p", "demo", "--all") as terminal:
        terminal.expect(ASKED)
        terminal.send(typed)
        assert terminal.end() == code
    assert ("nothing was cancelled" in terminal.text) is (code == 1)
    assert name in rig.live()


def test_all_bids_that_would_end_are_shown_before_the_question(rig: Rig) -> None:
    for name in ("dev-1", "dev-2", "prod"):
        rig.place(name)
    with at(rig, "instance", "delete", "-p", "demo", "-n", "dev-*") as terminal:
        shown = terminal.expect(ASKED)
        assert "Cancel these 2 bids?" in shown
        assert ("dev-1" in shown, "dev-2" in shown, "prod" in shown) == (True, True, False)
        terminal.send("yes\n")
        assert terminal.end() == 0
    assert rig.live().keys() == {"prod"}


def test_a_bid_that_is_not_named_is_picked(rig: Rig) -> None:
    for name in ("first", "second"):
        rig.place(name)
    with at(rig, "instance", "delete", "-p", "demo") as terminal:
        terminal.expect(PICKING)
        terminal.send("fir" + ENTER)
        terminal.expect(ASKED)
        terminal.send("y\n")
        assert terminal.end() == 0
    assert rig.live().keys() == {"second"}
    with at(rig, "instance", "update", "-p", "demo", "-m", "91") as terminal:
        terminal.expect(PICKING)
        terminal.send(ENTER)
        terminal.expect("limit price  $90.00 → $91.00")
        assert terminal.end() == 0


def test_a_pause_asks_where_machines_would_stop_and_only_there(rig: Rig) -> None:
    rig.place("idle")
    rig.place("busy")
    rig.run("busy")
    rig.seen("busy", "running")
    with at(rig, "instance", "update", "-p", "demo", "idle", "--pause") as terminal:
        terminal.expect("Open → Paused")
        assert terminal.end() == 0
    with at(rig, "instance", "update", "-p", "demo", "busy", "--pause") as terminal:
        assert "Its 1 running instances stop." in terminal.expect(ASKED)
        terminal.send("\n")
        terminal.expect("nothing was changed")
        assert terminal.end() == 1
    assert rig.live()["busy"]["status"] == "Allocated"


def test_project_and_key_are_asked_for_where_nobody_can_know_them(rig: Rig) -> None:
    with at(rig, *CREATE[:-2], "-m", "9", "-n", "asked") as terminal:
        terminal.expect("which project?")
        terminal.expect(PICKING)
        terminal.send("research" + ENTER)
        terminal.expect("which SSH key?")
        terminal.expect(PICKING)
        terminal.send(ENTER)
        terminal.expect("next")
        assert terminal.end() == 0
    (bid,) = rig.sandbox.get("/v2/spot/bids?project=proj_research&name=asked")["data"]
    assert bid["launch_specification"]["ssh_keys"] == ["sshkey_research"]
    # With nobody to ask, the project has to be named, and so has a key.
    said = rig.refused("instance", "create", "-i", "8xh100", "-r", REGION, "-m", "9", "-d", code=2)
    assert said == "in which project? name one with -p: demo (proj_demo), research (proj_research)"
    assert "in which project?" in rig.refused("instance", "delete", "--all", "-y", code=2)
    assert "it is empty" in rig.refused("instance", "delete", "--all", "-y", "-p", "", code=2)
    said = rig.refused(*CREATE, "-p", "research", code=2)
    assert said == "no SSH key of the project is one of yours; name one with --ssh-key: research"
