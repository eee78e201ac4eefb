"""`ml instance` against a stand-in daemon: shapes that a real one seldom has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mithril_cli.commands import instance as table
from mithril_cli.commands.ssh import INSTANCE_SSH
from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, ago, answer, bid, instance, refusal, serve
from tests.integration.cli_process import ml
from tests.integration.test_cli_imports import FOREIGN, HEAVY, imported

STALE = {**FRESH, "stale": True, "age_seconds": 900.0, "reason": "connection refused"}
TYPE = {
    "fid": "it_b200",
    "name": "b200-192gb.sxm.8x",
    "gpu_count": 8,
    "gpu_type": "B200",
    "gpu_memory_gb": 192,
    "ram_gb": 2048,
    "region": "us-central5-a",
    "capacity": 32,
    "spot_price": "$6.20",
    "spot_price_cents": 620,
    "win_price": "",
    "win_price_cents": None,
}
CREATE = ("instance", "create", "-i", "b200", "-r", "us-central5-a", "-m", "8")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with serve(tmp_path, {}) as running:
        yield running


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("create -i b200 -r us-central5-a", "required: -m"),
        ("create -i a -r b -m 8 --timeout soon", "90, 10m or 2h"),
        ("create -i a -r b -m 8 --timeout 0", "90, 10m or 2h"),
        ("create -i a -r b -m 8 --startup-script /dev/null/none", "cannot be read: Not a directory"),
        ("create -i a -r b -m 8 --startup-script /", "cannot be read: Is a directory"),
        ("create -i a -r b -m 8 --startup-script /dev/zero", "longer than 128 KiB"),
        ("create -i a -r b -m 8 --startup-script /dev/null", "empty"),
        ("create -i a -r b -m 8 -n \udcff", "UTF-8"),
        ("delete x", "say -y"),
        ("delete x --all -y", "neither with --all"),
        ("delete x -n x* -y", "neither with --all"),
        ("delete --all -n x* -y", "exclude"),
        ("delete -y", "name one"),
        ("update x", "nothing to change"),
        ("update x --pause --resume -y", "exclude"),
        ("update x --pause", "say -y"),
        ("update -m 8", "name one"),
    ],
)
def test_wrong_usage_is_told_before_any_daemon_is_needed(tmp_path: Path, words: str, said: str) -> None:
    done = ml(FakeDaemon(tmp_path / "none.sock", {}).env(), "instance", *words.split())
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert said in done.err


def types(*listed: dict[str, Any], looked: str | None, freshness: dict[str, Any] = FRESH) -> bytes:
    return answer({"freshness": freshness, "market_as_of": looked, "types": listed})


@pytest.mark.parametrize(
    ("minutes", "freshness", "said"),
    [
        (3, FRESH, ""),
        (3, STALE, ""),
        (15, FRESH, "ml: these prices are 15m old\n"),
        (15, STALE, "ml: these prices are 15m old: connection refused\n"),
    ],
)
def test_prices_older_than_two_auctions_say_so(
    daemon: FakeDaemon, minutes: int, freshness: dict[str, Any], said: str
) -> None:
    daemon.answers["/v1/types"] = types(TYPE, looked=ago(minutes=minutes), freshness=freshness)
    for flags in ([], ["--json"]):
        done = ml(daemon.env(), "instance", "list-types", *flags)
        assert (done.code, done.err) == (0, said)


def test_what_is_not_known_of_a_type_is_a_dash_or_null(daemon: FakeDaemon) -> None:
    bare = {**TYPE, **dict.fromkeys(("gpu_count", "gpu_type", "gpu_memory_gb", "ram_gb", "spot_price"))}
    daemon.answers["/v1/types"] = types(bare, looked=None)
    row = ml(daemon.env(), "instance", "list-types", "-v").out.splitlines()[1]
    assert row.split() == ["b200-192gb.sxm.8x", "-", "-", "-", "us-central5-a", "32", "-", "-", "it_b200"]
    (shown,) = json.loads(ml(daemon.env(), "instance", "list-types", "--json").out)
    assert (shown["win_price"], shown["spot_price"], shown["gpu_count"]) == (None, None, None)
    daemon.answers["/v1/types"] = types(looked=None)
    done = ml(daemon.env(), "instance", "list-types")
    assert (done.code, done.out) == (0, "")
    assert "no prices are known yet" in done.err


def test_the_page_of_a_bid_names_its_cluster_and_numbers_its_nodes(daemon: FakeDaemon) -> None:
    details = [
        instance(10, name="train-10"),
        instance(2, name="train-2", status="STATUS_ERROR", state="error"),
        instance(1, name="train-1", status="STATUS_TERMINATED", state="terminated"),
        instance(9, name="train-9"),
    ]
    shown = bid(kubernetes_cluster="clust_1", instances_wanted=2, instance_details=details)
    daemon.answers["/v1/bids/train"] = answer({"freshness": FRESH, "bid": shown, "transitions": []})
    daemon.answers["/v1/clusters"] = answer({"freshness": FRESH, "clusters": [{"fid": "clust_1", "name": "home"}]})
    done = ml(daemon.env(), "instance", "info", "train")
    assert "cluster      home (clust_1)\n" in done.out
    rows = [line.split()[:3] for line in done.out.splitlines() if "train-" in line and "203.0" in line]
    assert rows == [["0", "train-9", "running"], ["1", "train-10", "running"], ["-", "train-2", "error"]]
    assert done.err == "ml: 1 ended instances are left out; --json has them\n"
    document = json.loads(ml(daemon.env(), "instance", "info", "train", "--json").out)
    assert document["bid"]["kubernetes_cluster_name"] == "home"
    assert [(one["name"], one["node"]) for one in document["instances"]] == [
        ("train-9", 0),
        ("train-10", 1),
        ("train-2", None),
        ("train-1", None),
    ]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"HTTP/1.1 201 X\r\nContent-Length: 100\r\n\r\n{", "cut short"),
        (b"", "hung up without an answer"),
        (answer(b"not json", 201), "broken answer"),
        (answer({"nothing": "useful"}, 201), "no bid"),
        (refusal(500, "internal", "the record cannot be written"), "cannot be written"),
    ],
)
def test_a_request_whose_answer_is_no_good_is_of_unknown_fate(daemon: FakeDaemon, broken: bytes, words: str) -> None:
    daemon.answers["/v1/bids"] = broken
    done = ml(daemon.env(), *CREATE, "-n", "my bid", "-p", "research")
    assert (done.code, done.out) == (4, "")
    assert words in done.err
    assert "whether the bid 'my bid' was placed is not known" in done.err
    assert "look with `ml instance info 'my bid' -p research` before you try again" in done.err
    assert "try again)" not in done.err


def test_a_rehearsal_that_is_not_answered_leaves_nothing_unknown(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = b""
    done = ml(daemon.env(), *CREATE, "--dry-run")
    assert done.code == 3
    assert "not known" not in done.err


def test_a_bid_with_a_hostile_name_is_told_of_harmlessly(daemon: FakeDaemon) -> None:
    evil = bid(name="evil\x1b[2J\n", instance_details=[])
    daemon.answers["/v1/bids"] = answer({"bid": evil, "warnings": ["\x1b[2J"], "adopted": False}, 201)
    done = ml(daemon.env(), *CREATE)
    assert "\x1b" not in done.out + done.err
    daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": [evil]})
    daemon.answers["/v1/bids/bid_0"] = answer({"bid": evil})
    done = ml(daemon.env(), "instance", "delete", "--all", "-y")
    assert done.out == "cancelled  evil\\x1b[2J\\n (bid_0)\n"


@pytest.mark.parametrize(
    ("words", "verbs"),
    [
        (("list",), {"listing"}),
        (("info", "bid_0"), {"page"}),
        (("list-types",), {"market"}),
        ((*CREATE[1:], "--dry-run"), {"create", "inputs", "wording"}),
        ((*CREATE[1:], "--wait"), {"create", "inputs", "wording", "wait"}),
        (("delete", "bid_0", "-y"), {"delete", "wording"}),
        (("update", "bid_0", "-m", "9"), {"update", "wording"}),
    ],
)
def test_a_verb_pays_for_itself_alone_and_for_nothing_heavy(
    daemon: FakeDaemon, words: tuple[str, ...], verbs: set[str]
) -> None:
    told = {"freshness": FRESH, "bids": [bid()], "bid": bid(), "transitions": [], "types": [TYPE], "plan": {}}
    daemon.answers |= dict.fromkeys(("/v1/bids", "/v1/bids/bid_0", "/v1/types"), answer(told))
    modules = imported(daemon, "instance", *words)
    assert modules.isdisjoint(HEAVY | FOREIGN)
    assert {name.removeprefix("mithril_cli.instance.") for name in modules if "mithril_cli.instance." in name} == verbs
    assert not {name for name in modules if name.startswith("mithril_cli.ssh")}


def test_the_table_names_the_command_of_ssh_as_its_own_module_does() -> None:
    (listed,) = [one for one in table.COMMANDS if one.name == "ssh"]
    assert (listed.name, listed.summary) == (INSTANCE_SSH.name, INSTANCE_SSH.summary)
    assert (listed.run, listed.options) == (INSTANCE_SSH.run, INSTANCE_SSH.options)
