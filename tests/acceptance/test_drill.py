"""`ml drill`: a preemption that does not happen, through hooks that do run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Daemon, lines, wait_for, write_hook
from tests.acceptance.instance_rig import Rig, open_rig
from tests.integration.cli_terminal import CTRL_C, Terminal


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A bid that runs on two nodes. `save` waits while there is a file called held; its second node fails while there
    is one called broken."""
    folder = tmp_path_factory.mktemp("drill")
    save = write_hook(
        folder,
        "save",
        f"""\
echo $MITHRILD_INSTANCE_NAME $MITHRILD_REMAINING_SECONDS >> {folder}/begun
while [ -e {folder}/held ]; do sleep 0.05; done
[ -e {folder}/broken ] && [ $MITHRILD_INSTANCE_NAME = train-1 ] && exit 3
echo $MITHRILD_INSTANCE_NAME >> {folder}/saved""",
    )
    hooks = (
        f'name = "save"\non = ["instance.preempting"]\nrun = ["{save}"]\nmax_parallel = 1',
        'name = "note"\non = ["bid.reopened", "*.reprieved"]\nwhen = "first"\nrun = ["/bin/echo", "noted"]',
        'name = "real"\non = ["*"]\nmatch = { provenance = "observed" }\nrun = ["/bin/false"]',
    )
    with open_rig(folder, "--no-demo", hooks=hooks) as rig:
        rig.place("train", quantity=2)
        rig.run("train")
        rig.seen("train", "running")
        rig.place("idle", price="$0.01")
        wait_for("all is calm", lambda: not pending(rig))
        yield rig


@pytest.fixture(autouse=True)
def calm(rig: Rig) -> Iterator[None]:
    yield
    for name in ("held", "broken", "saved", "begun"):
        (rig.folder / name).unlink(missing_ok=True)
    wait_for("nothing under way", lambda: not pending(rig))


def pending(rig: Rig) -> list[dict[str, Any]]:
    return [one for one in rig.daemon.deliveries() if one["state"] in ("pending", "running")]


def drilled(rig: Rig, *words: str, code: int = 0) -> dict[str, Any]:
    return dict(rig.ml("drill", "preempt", "train", "-y", "--json", *words, code=code).document())


def rows(report: dict[str, Any]) -> list[tuple[str, str | None, str, str]]:
    return sorted((one["type"], one["instance_name"], one["hook"], one["state"]) for one in report["deliveries"])


def changes(rig: Rig) -> list[dict[str, Any]]:
    return [one for one in rig.sandbox.get("/sandbox/requests")["last"] if one["method"] != "GET"]


def standing(rig: Rig) -> list[object]:
    """What a drill must leave as it is."""
    bid = rig.daemon.get("/v1/bids/train")["bid"]
    hooks = rig.ml("hooks", "list", "--json").document()["hooks"]
    history = rig.daemon.get("/v1/bids/train/history")["steps"]
    return [bid["state"], bid["deadline"], bid["since"], hooks, len(history), len(rig.daemon.events()), changes(rig)]


def test_a_bid_goes_through_notice_and_end_and_only_its_hooks_know(rig: Rig) -> None:
    before = standing(rig)
    report = drilled(rig, "--fast")
    assert rows(report) == [
        ("bid.reopened", None, "note", "done"),
        ("instance.preempting", "train-0", "save", "done"),
        ("instance.preempting", "train-1", "save", "done"),
    ]
    assert sorted(lines(rig.folder / "saved")) == ["train-0", "train-1"]
    assert report["summary"].startswith("3 of 3 that ran did what they are for; the last for the notice had ended 4m")
    left = [one["remaining_seconds"] for one in report["deliveries"] if one["hook"] == "save"]
    assert all(240 < seconds <= 300 for seconds in left)
    assert standing(rig) == before
    told = rig.ml("events", "--simulated", "--limit", "6").out.splitlines()
    assert all(line.endswith("(simulated)") for line in told)
    assert [line.split()[1] for line in told].count("instance.preempted") == 2


def test_the_notice_is_waited_out_and_what_has_not_begun_by_then_never_does(rig: Rig) -> None:
    (rig.folder / "held").touch()
    with rig.start("drill", "preempt", "train", "-y", "--notice", "3") as drill:
        drill.says("the notice has run out")
        (rig.folder / "held").unlink()
        done = drill.end(1 if "failed" in drill.err else 0)
    assert len(lines(rig.folder / "begun")) == 2  # one node, and what was left of its notice
    assert len(lines(rig.folder / "saved")) == 1
    assert "superseded  -" in done.out
    assert "the notice is over: it ran out" in done.out
    assert "after its deadline" in done.out


def test_a_notice_can_be_taken_back_and_its_end_tells_so(rig: Rig) -> None:
    report = drilled(rig, "--fast", "--reprieve")
    assert [row for row in rows(report) if row[2] == "note"] == [
        ("bid.reprieved", None, "note", "done"),
        ("instance.reprieved", "train-0", "note", "skipped"),
        ("instance.reprieved", "train-1", "note", "skipped"),
    ]


def test_what_fails_in_a_drill_fails_it(rig: Rig) -> None:
    (rig.folder / "broken").touch()
    done = rig.ml("drill", "preempt", "train", "-y", "--fast", code=1)
    assert "save  failed" in done.out
    assert "exit code 3" in done.out
    assert "2 of 3 that ran did what they are for" in done.out


def test_somebody_is_asked_before_hooks_run(rig: Rig) -> None:
    with Terminal(rig.env, "drill", "preempt", "train", "--fast", size=(50, 80)) as terminal:
        shown = terminal.expect("Run these in earnest, as if train were preempted? [y/N] ")
        assert [line.split() for line in shown.splitlines() if line.strip()] == [
            ["instance.preempting", "save"],
            ["bid.reopened", "note"],
        ]
        terminal.send("n\r")
        terminal.expect("no drill was begun")
        assert terminal.end() == 1
    assert lines(rig.folder / "begun") == []
    with Terminal(rig.env, "drill", "preempt", "train", "--fast", size=(50, 80)) as terminal:
        terminal.expect("[y/N] ")
        terminal.send("y\r")
        terminal.expect("that ran did what they are for")
        assert terminal.end() == 0
    table = terminal.text.partition("AT ")[2]
    assert max(map(len, table.splitlines())) <= 80


def test_ctrl_c_ends_a_drill_what_runs_of_it_and_what_is_queued(rig: Rig) -> None:
    (rig.folder / "held").touch()
    with Terminal(rig.env, "drill", "preempt", "train", "-y", size=(50, 80)) as terminal:
        terminal.expect("is under notice until")
        wait_for("the first has begun", lambda: lines(rig.folder / "begun"))
        terminal.send(CTRL_C)
        terminal.expect("the drill has ended: 1 that were queued will not run, 1 that ran were ended")
        assert terminal.end() == 130
    assert not pending(rig)  # though it is held still
    of_drill = [one for one in rig.daemon.deliveries() if one["reason"] == "the drill was interrupted"]
    assert sorted((one["state"], one["attempts"]) for one in of_drill) == [("superseded", 0), ("superseded", 1)]
    assert lines(rig.folder / "saved") == []


def test_a_drill_that_would_run_nothing_or_cannot_be_is_refused(rig: Rig) -> None:
    assert "has no instances" in rig.refused("drill", "preempt", "idle", "-y", code=7)
    assert "no bid" in rig.refused("drill", "preempt", "nobody", "-y", code=6)


def test_a_drill_whose_daemon_is_killed_runs_nothing_later(tmp_path: Path) -> None:
    save = write_hook(tmp_path, "save", f"echo $MITHRILD_INSTANCE_NAME >> {tmp_path}/begun; sleep 1000")
    hook = f'name = "save"\non = ["instance.preempting"]\nrun = ["{save}"]\nmax_parallel = 1'
    with open_rig(tmp_path, "--no-demo", hooks=(hook,)) as rig:
        rig.place("train", quantity=2)
        rig.run("train")
        rig.seen("train", "running")
        with rig.start("drill", "preempt", "train", "-y") as drill:
            wait_for("the first has begun", lambda: lines(tmp_path / "begun"))
            rig.daemon.kill()
            assert "daemon" in drill.end(3).err
        with Daemon(tmp_path, rig.sandbox) as daemon:
            wait_for("what was begun has ended", lambda: "were interrupted" in daemon.said())
            assert [(one["state"], one["reason"]) for one in daemon.deliveries() if one["rehearsal"]] == [
                ("superseded", "the drill was interrupted")
            ] * 2
            # The next thing that happens is of the marketplace.
            assert rig.sandbox.force("train", "preempt")
            wait_for("it goes on", lambda: len(lines(tmp_path / "begun")) == 2)
            assert [one["state"] for one in daemon.deliveries() if one["rehearsal"]] == ["superseded"] * 2
