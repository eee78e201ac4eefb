"""`ml instance delete` and `update` with real processes: what ends, what is left alone, and what is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.instance_rig import Rig, open_rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig(tmp_path_factory.mktemp("rig"), "--no-demo") as rig:
        yield rig


@pytest.fixture(autouse=True)
def nothing_left(rig: Rig) -> Iterator[None]:
    yield
    rig.clear()


def test_a_bid_is_cancelled_by_name_and_by_fid_and_no_other(rig: Rig) -> None:
    fids = {name: rig.place(name) for name in ("one", "two", "three")}
    rig.run("one")
    rig.seen("one", "running")
    assert rig.ml("instance", "delete", "one", "-y").out == f"cancelled  one ({fids['one']})\n"
    document = rig.ml("instance", "delete", fids["two"], "--yes", "--json").document()
    assert [(one["fid"], one["state"]) for one in document["cancelled"]] == [(fids["two"], "terminated")]
    assert document["failed"] == []
    assert rig.live().keys() == {"three"}
    rig.pass_time()
    ended = [step["to"] for step in rig.sandbox.timeline() if step["bid"] == fids["one"] and step["kind"] == "instance"]
    assert ended[-1] == "STATUS_TERMINATED"
    assert rig.ml("instance", "list").out.split()[10] == "three"  # the marketplace is looked at again at once


def test_without_a_terminal_and_without_yes_nothing_is_done(rig: Rig) -> None:
    rig.place("kept")
    for words in (["kept"], ["--all"], ["-n", "k*"], ["kept", "--json"]):
        said = rig.refused("instance", "delete", *words, code=2)
        assert said == "a cancellation has to be confirmed, and there is no terminal to ask on: say -y"
    assert "say -y" in rig.refused("instance", "update", "kept", "--pause", code=2)
    assert rig.live()["kept"]["status"] == "Open"


def test_a_pattern_takes_those_whose_names_match_it(rig: Rig) -> None:
    for name in ("dev-1", "dev-2", "Dev-3", "prod-1", "dev"):
        rig.place(name)
    done = rig.ml("instance", "delete", "--name-pattern", "dev-*", "-y")
    assert [line.split()[:2] for line in done.out.splitlines()] == [["cancelled", "dev-2"], ["cancelled", "dev-1"]]
    assert rig.live().keys() == {"Dev-3", "prod-1", "dev"}
    assert rig.refused("instance", "delete", "-n", "dev-*", "-y", code=6) == "no active bid is called like 'dev-*'"
    rig.ml("instance", "delete", "--all", "-y")
    assert rig.live() == {}
    assert rig.refused("instance", "delete", "--all", "-y", code=6) == "no active bids"


def test_a_bulk_run_goes_on_after_a_failure_tells_each_result_and_fails(rig: Rig) -> None:
    fids = {name: rig.place(name) for name in ("a", "b", "c")}
    rig.fault("status", f"/v2/spot/bids/{fids['b']}", "DELETE", status=409)
    done = rig.ml("instance", "delete", "--all", "-y", code=1)
    assert done.out.splitlines() == [f"cancelled  {name} ({fids[name]})" for name in ("c", "a")]
    assert done.err.startswith(f"ml: b ({fids['b']}) was not cancelled: ")
    assert rig.live().keys() == {"b"}
    done = rig.ml("instance", "delete", "--all", "-y", "--json", code=1)
    document = done.document()
    assert document["cancelled"] == []
    assert [(one["fid"], one["name"], bool(one["error"])) for one in document["failed"]] == [(fids["b"], "b", True)]


def test_a_bulk_run_goes_on_when_nobody_reads_its_answer(rig: Rig) -> None:
    for name in ("unread-1", "unread-2", "unread-3"):
        rig.place(name)
    assert rig.unread("instance", "delete", "--all", "-y") == ""
    assert rig.live() == {}


def test_what_cannot_be_cancelled_says_why_with_its_own_exit_code(rig: Rig) -> None:
    assert "no bid is called 'nosuch'" in rig.refused("instance", "delete", "nosuch", "-y", code=6)
    fid = rig.place("firm")
    rig.fault("status", f"/v2/spot/bids/{fid}", "DELETE", status=409)
    rig.ml("instance", "delete", "firm", "-y", code=7)
    rig.mend()
    rig.ml("instance", "delete", "firm", "-y")
    assert f"the bid firm ({fid}) has ended already" in rig.refused("instance", "delete", "firm", "-y", code=6)
    assert "has ended already" in rig.refused("instance", "update", "firm", "-m", "8", code=6)


def test_a_lost_answer_to_a_cancellation_is_asked_for_again(rig: Rig) -> None:
    fid = rig.place("echo")
    rig.fault("lost_answer", f"/v2/spot/bids/{fid}", "DELETE", count=1)
    assert "cancelled  echo" in rig.ml("instance", "delete", "echo", "-y").out
    assert rig.live() == {}


def test_the_limit_price_is_changed_and_shown_before_and_after(rig: Rig) -> None:
    rig.place("cheap", price="$30.00")
    done = rig.ml("instance", "update", "cheap", "-m", "$32.5")
    assert done.out == "name         cheap\nlimit price  $30.00 → $32.50\n"
    assert (done.err, rig.live()["cheap"]["limit_price"]) == ("", "$32.50")
    assert "limit price  $32.50, as before" in rig.ml("instance", "update", "cheap", "-m", "32.5").out
    done = rig.ml("instance", "update", "cheap", "-m", "4.01", "--json")
    assert done.document()["bid"]["limit_price_cents"] == 401
    assert "the limit $4.01 is not above the spot price" in done.err
    assert "it waits until the price falls" in done.err
    for price in ("NaN", "inf", "0", "-1", "1.005"):
        rig.refused("instance", "update", "cheap", "-m", price, code=2)


def test_a_bid_is_paused_and_resumed(rig: Rig) -> None:
    rig.place("napper")
    rig.run("napper")
    rig.seen("napper", "running")
    done = rig.ml("instance", "update", "napper", "--pause", "-y")
    assert done.out == "name    napper\nstatus  Allocated → Paused\n"
    rig.pass_time()
    assert [one["status"] for one in rig.live()["napper"]["instances"]] == ["STATUS_PAUSED"]
    shown = rig.ml("instance", "update", "napper", "--resume", "-m", "95", "--json").document()["bid"]
    assert (shown["status"], shown["limit_price"]) == ("Allocated", "$95.00")
    assert "resumed" not in rig.ml("instance", "update", "napper", "--resume").out


def test_types_and_prices_per_region(rig: Rig) -> None:
    kinds = {kind["fid"]: kind for kind in rig.sandbox.get("/v2/instance-types")}
    markets = {(one["region"], one["instance_type"]): one for one in rig.sandbox.get("/v2/spot/availability")}
    header, *rows = [line.split("  ") for line in rig.ml("instance", "list-types", "--verbose").out.splitlines()]
    assert [word.strip() for word in header if word] == [
        "NAME", "GPUS", "GPU MEM", "RAM", "REGION", "CAPACITY", "SPOT", "WIN", "FID",
    ]  # fmt: skip
    shown = {}
    for row in rows:
        name, gpus, memory, ram, region, capacity, spot, win, fid = [cell.strip() for cell in row if cell]
        shown[region, fid] = (name, gpus, memory, ram, capacity, spot, win)
    assert shown == {
        (region, fid): (
            kinds[fid]["name"],
            f"{kinds[fid]['num_gpus']}x {kinds[fid]['gpu_type']}",
            f"{kinds[fid]['gpu_memory_gb']} GB",
            f"{kinds[fid]['ram_gb']} GB",
            str(market["capacity"]),
            market["last_instance_price"],
            market["lowest_allocated_price"] or "-",
        )
        for (region, fid), market in markets.items()
    }
    done = rig.ml("instance", "list-types", "-r", "us-east1-a")
    assert {line.split()[3] for line in done.out.splitlines()[1:]} == {"us-east1-a"}
    assert done.err == ""
    assert "there are: eu-central1-a" in rig.refused("instance", "list-types", "--region", "mars", code=6)
