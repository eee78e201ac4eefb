"""`ml instance create` on bad days: answers that are lost, marketplaces that stumble, a daemon that is killed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import wait_for
from tests.acceptance.instance_rig import CREATE, REGION, TYPE, Object, Rig, open_rig

POST = ("POST", "/v2/spot/bids")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig(tmp_path_factory.mktemp("rig")) as rig:
        rig.own_key()
        yield rig


@pytest.fixture(autouse=True)
def no_faults(rig: Rig) -> Iterator[None]:
    yield
    rig.mend()


@pytest.mark.parametrize("flags", [(), ("--json",), ("--wait",)])
def test_a_bid_whose_answer_nobody_reads_is_told_of_all_the_same(rig: Rig, flags: tuple[str, ...]) -> None:
    name = "-".join(["unread", *(flag.strip("-") for flag in flags)])
    assert re.fullmatch(rf"ml: the bid {name} \(bid_\w+\) was placed\n", rig.unread(*CREATE, "-n", name, *flags))


def test_a_bid_whose_answer_was_lost_is_found_and_not_placed_again(rig: Rig) -> None:
    rig.sandbox.delete("/sandbox/requests")
    rig.fault("lost_answer", "/v2/spot/bids", "POST", count=1)
    done = rig.ml(*CREATE, "-n", "lost", "--json")
    assert done.document()["bid"]["fid"] == rig.bid("lost")["fid"]
    assert done.err == (
        "ml: the answer to the request was lost; the bid was found by its name, and there is only this one\n"
    )
    assert rig.asked(*POST) == 1


def test_a_bid_that_cannot_be_found_after_a_lost_answer_is_of_unknown_fate(rig: Rig) -> None:
    rig.sandbox.delete("/sandbox/requests")
    rig.fault("reset", "/v2/spot/bids", "POST", count=1)
    said = rig.refused(*CREATE, "-n", "doubtful", code=4)
    assert "whether the bid 'doubtful' was placed is not known" in said
    assert "`ml instance list --all -p proj_demo`" in said
    assert rig.asked(*POST) == 1


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 1}, {"status": 503}])
def test_a_marketplace_that_stumbles_before_the_request_is_waited_for(rig: Rig, fault: dict[str, int]) -> None:
    rig.fault("status", "/v2/ssh-keys", "GET", count=1, **fault)
    name = f"stumbled-{fault['status']}"
    assert rig.ml(*CREATE, "-n", name, "--json").document()["bid"]["name"] == name


def test_a_busy_marketplace_that_took_nothing_is_exit_4_and_says_so(rig: Rig) -> None:
    rig.fault("status", "/v2/spot/bids", "POST", count=1, status=429)
    assert "429" in rig.refused(*CREATE, "-n", "busy", code=4)
    assert "busy" not in rig.live()
    # The name was not used up: the same command works once the marketplace does.
    rig.ml(*CREATE, "-n", "busy")


def test_a_failing_marketplace_that_placed_the_bid_all_the_same(rig: Rig) -> None:
    """A 503 may come from a proxy in front of a marketplace that did what it was asked."""
    rig.fault("status", "/v2/spot/bids", "POST", count=1, status=503)
    rig.ml(*CREATE, "-n", "behind", "-d")
    with rig.start(*CREATE, "-n", "behind") as creating:
        wait_for("the refused request", lambda: rig.asked(*POST) and not rig.sandbox.get("/sandbox/faults"))
        order: Object = {"name": "behind", "project": "proj_demo", "region": REGION, "instance_type": TYPE}
        order |= {"limit_price": "$9.50", "instance_quantity": 1}
        rig.sandbox.post("/v2/spot/bids", order | {"launch_specification": {"volumes": [], "ssh_keys": []}})
        done = creating.end(0)
    assert "found by its name" in done.err


def test_a_daemon_that_is_killed_at_the_request_leaves_the_fate_of_the_bid_unknown(tmp_path: Path) -> None:
    with open_rig(tmp_path) as rig:
        rig.fault("delay", "/v2/spot/bids", "POST", seconds=30)
        with rig.start(*CREATE, "-n", "orphan") as creating:
            wait_for("the request", lambda: rig.sandbox.get("/sandbox/faults")[0]["hits"])
            rig.daemon.kill()
            done = creating.end(4)
        assert done.out == ""
        assert "the daemon hung up" in done.err
        assert "whether the bid 'orphan' was placed is not known: look with `ml instance info orphan`" in done.err
        assert "no daemon answers" in rig.refused(*CREATE, code=3)  # nothing was sent, and the code says so
