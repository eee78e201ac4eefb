"""Weaknesses that the vendor's command line was seen to have in its answers: a test for each, that ours has not."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from tests.acceptance.harness import BIN, wait_for
from tests.acceptance.instance_rig import CREATE, WHERE, Rig
from tests.integration.cli_terminal import Terminal


def names(rig: Rig, *words: str) -> list[str]:
    return [bid["name"] for bid in rig.ml("instance", "list", *words, "--json").document()["bids"]]


def test_json_is_one_document_and_nothing_else(rig: Rig) -> None:
    made = rig.ml(*CREATE, "-n", "written", "--json").document()["bid"]
    assert made["name"] == "written"
    for words in (
        ("list",),
        ("list", "--all"),
        ("info", "written"),
        ("list-types",),
        ("create", *WHERE, "-m", "2", "--dry-run"),  # with a warning
        ("update", "written", "-m", "2.5"),
        ("delete", "written", "-y"),
    ):
        rig.ml("instance", *words, "--json").document()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("info nosuch", 6, "`ml instance list --all` shows them all"),
        ("delete nosuch -y", 6, "`ml instance list --all` shows them all"),
        ("list --state nosuch", 2, "there are: terminated, paused, preempting"),
        ("list-types -r nosuch", 6, "there are: eu-central1-a"),
        ("create -i 8xh100 -r us-central1-a -m 9 -n train", 7, "taken for good, by a bid that is allocated"),
        ("create -i 8xh100 -r us-central1-a -m 9 -p nosuch", 6, "watched are: demo (proj_demo), research"),
    ],
)
def test_a_failure_is_one_line_that_says_what_to_do_and_an_exit_code(
    rig: Rig, words: str, code: int, said: str
) -> None:
    assert said in rig.refused("instance", *words.split(), code=code)


def test_a_marketplace_that_refuses_or_is_away_is_one_line_and_an_exit_code(rig: Rig) -> None:
    rig.fault("status", "/v2/spot/bids", "POST", status=409, count=1)
    assert "Fault on demand (409)" in rig.refused(*CREATE, code=7)
    rig.fault("status", "/v2/ssh-keys", "GET", status=401, count=1)
    assert "refused the API key" in rig.refused(*CREATE, code=5)
    rig.fault("html", "/v2/ssh-keys", "GET", status=502)
    assert "502" in rig.refused(*CREATE, code=4)
    lost = rig.ml("instance", "list", MITHRILD_SOCKET="/nowhere/m.sock", code=3)
    assert lost.err.startswith("ml: no daemon answers")
    assert lost.err.count("\n") == 1


def test_lists_are_filtered_by_the_real_states_of_instances(rig: Rig) -> None:
    assert names(rig, "-s", "running") == ["train"]
    assert set(names(rig, "-s", "pending")) >= {"eval", "notebook"}
    rig.ml(*CREATE, "-n", "rising")
    assert rig.sandbox.force("rising", "allocate")
    for status, state in (("STATUS_STARTING", "starting"), ("STATUS_ERROR", "failed"), ("STATUS_RUNNING", "running")):
        rig.set_status(rig.bid("rising")["instances"][0], status)
        rig.seen("rising", state)
        assert "rising" in names(rig, "-s", state)
        wait_for("its bid, too", lambda: set(names(rig, "-s", "allocated")) >= {"train", "rising"})
    rig.sandbox.force("rising", "terminate")
    rig.seen("rising", "terminated")
    assert names(rig, "-s", "cancelled") == names(rig, "-s", "completed") == names(rig, "-s", "terminated")
    assert "rising" in names(rig, "-s", "completed")


def test_one_unknown_status_fails_no_answer_and_a_repeated_cursor_does_not_loop(rig: Rig) -> None:
    rig.ml(*CREATE, "-n", "strange")
    assert rig.sandbox.force("strange", "allocate")
    rig.set_status(rig.bid("strange")["instances"][0], "STATUS_LEVITATING")
    wait_for("the word", lambda: "levitating" in rig.ml("instance", "info", "strange").out)
    document = rig.ml("instance", "info", "strange", "--json").document()
    assert [one["status"] for one in document["instances"]] == ["STATUS_LEVITATING"]
    assert set(names(rig)) >= {"strange", "train"}
    for kind in ("cursor_loop", "empty_page"):
        rig.fault(kind, "/v2/spot/bids", "GET")
        assert "train" in names(rig)
        rig.mend()


def test_a_bid_is_found_by_its_fid_and_no_dead_one_of_its_name_is_in_the_way(rig: Rig) -> None:
    fid = rig.bid("train")["fid"]
    assert rig.ml("instance", "info", fid, "--json").document()["bid"]["name"] == "train"
    dead = rig.ml(*CREATE, "-n", "twin", "-p", "research", "--ssh-key", "research", "--json").document()["bid"]["fid"]
    rig.ml("instance", "delete", dead, "-p", "research", "-y")
    living = rig.ml(*CREATE, "-n", "twin", "--json").document()["bid"]["fid"]
    found = rig.ml("instance", "info", "twin", "--all-projects", "--json").document()["bid"]["fid"]
    assert found == living
    assert rig.ml("instance", "delete", living, "-y").out == f"cancelled  twin ({living})\n"


def test_colours_go_to_a_terminal_only_and_a_closed_pipe_ends_quietly(rig: Rig) -> None:
    for words in (["list"], ["info", "train"], ["list-types"]):
        assert "\x1b" not in rig.ml("instance", *words).out
        with Terminal(rig.env | {"NO_COLOR": "1"}, "instance", *words) as terminal:
            assert terminal.end() == 0
        assert "\x1b[3" not in terminal.seen
    with subprocess.Popen(
        [BIN / "ml", "instance", "list-types", "--json"], env=rig.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_a_limit_counts_what_is_shown(rig: Rig) -> None:
    fid = rig.ml(*CREATE, "-n", "newest", "--json").document()["bid"]["fid"]
    rig.ml("instance", "delete", fid, "-y")
    active = names(rig)
    assert "newest" not in active
    assert names(rig, "--limit", "2") == active[:2]
    assert len(rig.ml("instance", "list", "--limit", "2").out.splitlines()) == 1 + 2


def test_history_notices_prices_pauses_and_price_changes_are_there(rig: Rig) -> None:
    rig.ml("instance", "create", "-i", "b200", "-r", "us-central5-a", "-m", "24", "-n", "lively")
    rig.run("lively")
    rig.seen("lively", "running")
    rig.sandbox.post("/sandbox/bids/lively/preempt", {"notice_seconds": 3000})
    rig.seen("lively", "preempting")
    row = next(line.split() for line in rig.ml("instance", "list").out.splitlines() if line.startswith("lively"))
    assert row[1] == "preempting"
    assert re.match("~?(49|50)m", row[2])  # the time left
    assert row[6] == "$24.00"
    assert row[7].startswith("$")  # the spot price
    assert "running → preempting" in rig.ml("history", "lively").out
    assert rig.sandbox.force("lively", "reprieve")
    rig.seen("lively", "running")
    rig.ml("instance", "update", "lively", "-m", "25")
    rig.ml("instance", "update", "lively", "--pause", "-y")
    assert rig.live()["lively"]["status"] == "Paused"
    rig.ml("instance", "update", "lively", "--resume")
    history = rig.ml("history", "lively").out
    for step in ("limit price", "preempting → allocated", "paused → "):
        assert step in history
