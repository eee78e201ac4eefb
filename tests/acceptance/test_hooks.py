"""`ml hooks`: real hooks of a real daemon, questioned, tried, silenced and asked for again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.harness import lines, wait_for, write_hook
from tests.acceptance.instance_rig import Rig, open_rig
from tests.integration.cli_terminal import Terminal


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A bid that runs on two nodes. `save` fails while there is a file called broken, and waits while there is one
    called held."""
    folder = tmp_path_factory.mktemp("hooks")
    save = write_hook(
        folder,
        "save",
        f"""\
echo "saving $MITHRILD_INSTANCE_NAME, try $MITHRILD_ATTEMPT"
while [ -e {folder}/held ]; do sleep 0.05; done
[ -e {folder}/broken ] && exit 3
echo $MITHRILD_EVENT_ID >> {folder}/saved
exit 0""",
    )
    tell = write_hook(folder, "tell", f"exit $(cat {folder}/code 2>/dev/null || echo 0)")
    on = '["bid.*", "instance.reprieved", "!*.placed"]'
    hooks = (
        f'name = "save"\non = ["instance.preempting"]\nrun = ["{save}"]',
        f'name = "tell"\non = {on}\nmatch = {{ bid = "train" }}\nrun = ["{tell}"]',
        f'name = "far"\non = ["*.preempting"]\nmatch = {{ region = "moon-*" }}\nrun = ["{tell}"]',
    )
    with open_rig(folder, "--no-demo", hooks=hooks) as rig:
        rig.place("train", quantity=2)
        rig.run("train")
        rig.seen("train", "running")
        yield rig


@pytest.fixture(autouse=True)
def calm(rig: Rig) -> Iterator[None]:
    yield
    for name in ("held", "broken", "code", "saved"):
        (rig.folder / name).unlink(missing_ok=True)
    if rig.sandbox.get("/sandbox/state")["bids"][0]["status"] == "Preempting":
        reprieve(rig)
    wait_for("nothing under way", lambda: not pending(rig))


def pending(rig: Rig) -> list[dict[str, Any]]:
    return [one for one in rig.daemon.deliveries() if one["state"] in ("pending", "running")]


def preempt(rig: Rig) -> str:
    """The bid is preempted in earnest. The event of its first node, once its deliveries have ended."""
    before = len(rig.daemon.events())
    assert rig.sandbox.force("train", "preempt")

    def came() -> list[dict[str, Any]]:
        news = rig.daemon.events()[before:]
        return [event for event in news if event["type"] == "instance.preempting"]

    wait_for("two notices", lambda: len(came()) == 2)
    if not (rig.folder / "held").exists():
        wait_for("their deliveries", lambda: not pending(rig))
    return next(str(event["id"]) for event in came() if event["data"]["instance"]["name"] == "train-0")


def reprieve(rig: Rig) -> None:
    assert rig.sandbox.force("train", "reprieve")
    rig.seen("train", "running")


def of_event(rig: Rig, event: str, hook: str) -> dict[str, Any]:
    (found,) = [one for one in rig.daemon.deliveries() if one["event"] == event and one["hook"] == hook]
    return found


def test_what_hooks_did_is_listed_logged_and_shown(rig: Rig) -> None:
    (rig.folder / "broken").touch()
    event = preempt(rig)
    failed = of_event(rig, event, "save")
    listed = rig.ml("hooks", "list").out
    assert listed.splitlines()[0].split() == ["HOOK", "ON", "ACTIONS", "STATE", "WAITING", "SUCCESS", "LAST"]
    assert "bid.* instance.reprieved !*.placed" in listed
    counts = {one["name"]: one["counts"] for one in rig.ml("hooks", "list", "--json").document()["hooks"]}
    assert counts["save"]["failed"] >= 2
    assert counts["far"] == dict.fromkeys(counts["far"], 0)
    log = rig.ml("hooks", "log", "--failed", "--hook", "save").out
    assert f"{failed['id'][:12]}  failed  save  instance.preempting  train-0  exit code 3" in log
    assert "done" not in log
    document = rig.ml("hooks", "log", "--event", event, "--json").document()
    assert [one["id"] for one in document["deliveries"]] == [failed["id"]]
    assert rig.ml("hooks", "log", "--event", event.rpartition("_")[2], "--json").document() == document
    page = rig.ml("hooks", "show", failed["id"][:12]).out
    assert "state     failed: exit code 3" in page
    assert "  | saving train-0, try 1" in page
    assert "m" in page.partition("try 1")[2].partition(" left")[0]  # minutes
    assert rig.ml("hooks", "show", failed["id"], "--json").document()["delivery"]["tries"][0]["exit_code"] == 3
    assert "there is no delivery" in rig.refused("hooks", "show", "dlv_nothing", code=6)


def test_what_failed_runs_again_and_an_event_is_told_again(rig: Rig) -> None:
    (rig.folder / "broken").touch()
    event = preempt(rig)
    failed = of_event(rig, event, "save")["id"]
    (rig.folder / "broken").unlink()
    assert rig.ml("hooks", "retry", failed[:12]).out == f"queued  {failed}\n"
    wait_for("it is done", lambda: of_event(rig, event, "save")["state"] == "done")
    assert lines(rig.folder / "saved") == [event]
    assert "has not failed, it is done" in rig.refused("hooks", "retry", failed, code=7)
    assert rig.ml("hooks", "replay", event, "--hook", "save", "--json").document()["deliveries"] == [
        {"id": failed, "queued": True}
    ]
    wait_for("it was done again", lambda: lines(rig.folder / "saved") == [event, event])
    wait_for("it is settled", lambda: not pending(rig))
    tries = rig.ml("hooks", "show", failed, "--json").document()["delivery"]["tries"]
    assert [(one["number"], one["outcome"]) for one in tries] == [(1, "failed"), (2, "done"), (3, "done")]
    assert "far does not take this event" in rig.refused("hooks", "replay", event, "--hook", "far", code=7)


def test_each_hook_is_accounted_for(rig: Rig) -> None:
    event = preempt(rig)
    told = rig.ml("hooks", "explain", event).out.splitlines()
    assert told[0].startswith("instance.preempting of train-0, ")
    assert [line.split(maxsplit=3) for line in told[2:]] == [
        ["save", "run", "done"],
        ["tell", "-", "not", "its own  on: no pattern takes in instance.preempting"],
        ["far", "-", "not", 'its own  match.region: "moon-*" does not match "us-central5-a"'],
    ]
    might = rig.ml("hooks", "explain", "--type", "bid.placed", "--bid", "train", "--json").document()["hooks"]
    assert might[1]["reason"] == 'on: "!*.placed" leaves out bid.placed'
    assert "did you mean bid.placed" in rig.refused("hooks", "explain", "--type", "bid.palced", code=2)


def test_a_hook_is_tried_with_its_real_actions(rig: Rig) -> None:
    before = rig.ml("hooks", "list", "--json").document()
    tried = rig.ml("hooks", "test", "save", "--bid", "train")
    assert "save is told of an imagined instance.preempting of train" in tried.err
    assert tried.out.splitlines() == ["run  done after 0s", "  | saving train-0, try 1"]
    (rig.folder / "code").write_text("7")
    tried = rig.ml("hooks", "test", "far", code=1)
    assert "it would not have run by itself: match.region" in tried.err
    assert tried.out.splitlines()[0].startswith("run  failed after ")
    assert tried.out.splitlines()[0].endswith(": exit code 7")
    (rig.folder / "code").write_text("75")
    document = rig.ml("hooks", "test", "tell", "--type", "bid.paused", "--json", code=1).document()
    assert [one["attempts"] for one in document["deliveries"]] == [1]
    assert rig.ml("hooks", "list", "--json").document() == before  # no statistics count it
    assert pending(rig) == []  # nor is it tried again
    assert rig.ml("events", "--json", "--limit", "50").out.count("simulated") == 0
    assert "(simulated)" in rig.ml("events", "--simulated", "--limit", "3").out
    assert "no hook is called 'sav' (did you mean save?)" in rig.refused("hooks", "test", "sav", code=6)


def test_what_is_silenced_is_skipped_and_said_so(rig: Rig) -> None:
    begun = rig.ml("hooks", "silence", "tr*", "--for", "8h", "--hook", "save")
    assert begun.out.startswith("silenced  tr* until ")
    assert "8h00m (save; silence 1)" in begun.out.replace("7h59m", "8h00m")
    assert begun.err == ""
    event = preempt(rig)
    assert not (rig.folder / "saved").exists()
    kept_back = of_event(rig, event, "save")
    assert (kept_back["state"], kept_back["reason"]) == ("skipped", "silence 1: tr*")
    assert "silence 1: tr*" in rig.ml("hooks", "log", "--hook", "save").out
    assert "silenced for tr*" in rig.ml("hooks", "list").out
    assert "tr*" in rig.ml("hooks", "silences").out
    assert rig.ml("hooks", "unsilence", "tr*").out == "ended  silence 1: tr*\n"
    assert rig.ml("hooks", "silences").err == "ml: nothing is silenced\n"
    assert "(over)" in rig.ml("hooks", "silences", "--all").out
    everything = rig.ml("hooks", "silence", "*", "--until", "23:59")
    assert "this holds back what acts, too" in everything.err
    assert "23:59:00" in everything.out
    assert rig.ml("hooks", "unsilence", "2", "--json").document()["silences"][0]["pattern"] == "*"
    assert "no silence that holds" in rig.refused("hooks", "unsilence", "*", code=6)
    # In the morning somebody wants it done all the same.
    rig.ml("hooks", "replay", event, "--hook", "save")
    wait_for("it is done", lambda: lines(rig.folder / "saved") == [event])


def test_the_log_goes_on_with_deliveries_as_they_end(rig: Rig) -> None:
    preempt(rig)
    reprieve(rig)
    wait_for("all is calm", lambda: not pending(rig))
    earlier = {one["id"] for one in rig.daemon.deliveries()}
    (rig.folder / "held").touch()
    with rig.start("hooks", "log", "-f", "--json", "--hook", "save", "--limit", "1") as following:
        wait_for("the one that was asked for", lambda: following.out)
        event = preempt(rig)
        (rig.folder / "held").unlink()

        def told() -> list[dict[str, Any]]:
            return [one for one in map(json.loads, following.out.splitlines()) if one["event"] == event]

        wait_for("a line when it has ended", lambda: [one["state"] for one in told()][-1:] == ["done"])
        assert [one["state"] for one in told()].count("done") == 1
        # What had ended just before was asked for once, and does not come again.
        assert len([one for one in map(json.loads, following.out.splitlines()) if one["id"] in earlier]) == 1


def test_nothing_was_switched_off_so_nothing_is_switched_on(rig: Rig) -> None:
    assert rig.ml("hooks", "enable", "save").err == "ml: nothing of save was switched off\n"


@pytest.mark.parametrize("words", [("hooks", "list"), ("hooks", "log"), ("hooks", "explain", "--bid", "train")])
def test_on_a_terminal_of_80_columns_no_line_is_longer_and_no_reason_is_cut(rig: Rig, words: tuple[str, ...]) -> None:
    (rig.folder / "broken").touch()
    preempt(rig)
    with Terminal(rig.env, *words, size=(50, 80)) as terminal:
        assert terminal.end() == 0
    assert max(map(len, terminal.text.splitlines())) <= 80
    wanted = {"log": "exit code 3", "explain": 'match.region: "moon-*" does not match "us-central5-a"', "list": "% of "}
    assert wanted[words[1]] in terminal.text
