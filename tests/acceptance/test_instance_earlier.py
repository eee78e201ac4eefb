"""Bids that ended before the daemon first looked: shown as the marketplace tells them, while it can be asked."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import Sandbox, wait_for, write_hook
from tests.acceptance.instance_rig import Rig, open_rig

OLD = 230  # three pages


def past(sandbox: Sandbox) -> None:
    sandbox.post("/sandbox/fleet", {"terminated_bids": OLD})
    sandbox.place("over")
    assert sandbox.force("over", "terminate")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A live bid and one that ended under the daemon's eyes; and many that ended earlier, the newest called over."""
    with open_rig(tmp_path_factory.mktemp("rig"), "--no-demo", past=past) as rig:
        rig.place("live")
        rig.place("seen")
        assert rig.sandbox.force("seen", "terminate")
        rig.seen("seen", "terminated")
        yield rig


@pytest.fixture(autouse=True)
def no_faults(rig: Rig) -> Iterator[None]:
    yield
    rig.mend()
    wait_for("the marketplace to be back", lambda: rig.daemon.get("/v1/status")["marketplace"]["reachable"])


def names(rig: Rig, *words: str) -> list[str]:
    return [line.split()[0] for line in rig.ml("instance", "list", *words).out.splitlines()[1:]]


def pages(rig: Rig) -> int:
    """How many pages of ended bids have been asked for."""
    return sum("status=Terminated" in one["query"] for one in rig.sandbox.get("/sandbox/requests")["last"])


def away(rig: Rig) -> None:
    rig.fault("status", "/v2/*", status=503)
    wait_for("the daemon to notice", lambda: not rig.daemon.get("/v1/status")["marketplace"]["reachable"])


def test_all_that_ever_ended_is_listed(rig: Rig) -> None:
    every = names(rig, "--all")
    assert every[:3] == ["live", "seen", "over"]
    assert len(every) == len(set(every)) == 3 + OLD
    for state in ("terminated", "completed", "cancelled"):
        assert names(rig, "-s", state) == every[1:]
    assert names(rig) == ["live"]


def test_a_limit_asks_for_no_more_than_it_shows(rig: Rig) -> None:
    before = pages(rig)
    assert names(rig, "--all", "--limit", "3") == ["live", "seen", "over"]
    assert names(rig, "-s", "completed", "--limit", "1") == ["seen"]
    assert pages(rig) - before == 2


def test_without_the_marketplace_the_record_is_shown_and_what_is_not_in_it_is_told(rig: Rig) -> None:
    away(rig)
    done = rig.ml("instance", "list", "--all", "--json")
    assert [bid["name"] for bid in done.document()["bids"]] == ["live", "seen"]
    assert "ended bids that are not on record could not all be asked for: 127.0.0.1" in done.err
    assert names(rig, "--all") == ["live", "seen"]
    assert "not on record" not in rig.ml("instance", "list", "--json").err


@pytest.mark.parametrize("name", ["over", "nosuch", "bid_nosuch"])
def test_without_the_marketplace_nobody_says_that_there_is_no_such_bid(rig: Rig, name: str) -> None:
    away(rig)
    said = rig.refused("instance", "info", name, code=4)
    assert said.startswith(f"no bid on record is called '{name}', and the marketplace cannot be asked for older ones: ")
    assert "503" in said
    rig.mend()
    wait_for("the marketplace to be back", lambda: rig.daemon.get("/v1/status")["marketplace"]["reachable"])
    rig.ml("instance", "info", name, code=0 if name == "over" else 6)


def test_one_page_says_what_it_is_and_no_other_verb_takes_it_for_alive(rig: Rig) -> None:
    page = rig.ml("instance", "info", "over").out
    assert "on record  " in page
    assert "no: this is what the marketplace tells now" in page
    assert rig.refused("instance", "delete", "over", "-y", code=6).endswith("has ended already")
    assert rig.refused("instance", "update", "over", "-m", "9", code=6).endswith("has ended already")
    assert rig.refused("ssh", "over", "true", code=255) == "over is terminated: there is nothing to log in to"
    history = rig.ml("history", "over")
    assert history.out.startswith("over (bid_")
    assert history.err == "ml: nothing of this bid is on record: the daemon has not seen it itself\n"


def test_what_is_shown_is_no_news_and_runs_no_hook(rig: Rig) -> None:
    ran = rig.folder / "ran"
    hook = write_hook(rig.folder, "tell", f'echo "$MITHRILD_BID_NAME" >> {ran}')
    config = rig.folder / "config.toml"
    config.write_text(f'{config.read_text()}\n[[hooks]]\nname = "tell"\non = ["bid.*"]\nrun = ["{hook}"]\n')
    rig.daemon.signal(signal.SIGHUP)
    wait_for("the hook to be known", lambda: "read again: 1 hooks" in rig.daemon.said())
    rig.ml("instance", "list", "--all")
    rig.ml("instance", "info", "over")
    rig.place("after")
    wait_for("the hook", ran.exists)
    assert set(ran.read_text().split()) == {"after"}
    assert {event["data"]["bid"]["name"] for event in rig.daemon.events()} == {"live", "seen", "after"}
