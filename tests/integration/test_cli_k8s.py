"""`ml k8s list` and `ml k8s info` against a stand-in daemon: what they show, and what they ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mithril_cli.commands import k8s as table
from mithril_cli.commands.k8s_ssh import SSH
from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, Object, ago, answer, instance, refusal, serve
from tests.integration.cli_process import ml, ml_on_terminal
from tests.integration.cli_terminal import ENTER, Terminal
from tests.integration.test_cli_imports import FOREIGN, HEAVY, imported

STALE = {**FRESH, "stale": True, "age_seconds": 900.0, "reason": "connection refused"}
JOIN = "kubeadm join 198.51.100.7:6443 --token abc.def \\\n  --discovery-token-ca-cert-hash sha256:" + "0" * 64


def cluster(name: str = "prod", **changes: Any) -> Object:
    return {
        "fid": f"clust_{name}",
        "name": name,
        "project": "proj_abc",
        "project_fid": "proj_abc",
        "project_name": "research",
        "region": "us-central5-a",
        "status": "Available",
        "state": "available",
        "since": ago(hours=3),
        "created_at": ago(days=3),
        "deleted_at": None,
        "kube_host": "198.51.100.7",
        "k8s_version": "1.34",
        "join_command": None,
        "ssh_keys": ["sshkey_1"],
        "instances": ["inst_0"],
        "active_instances": 1,
        "total_instances": 2,
        **changes,
    }


def shown(**changes: Any) -> bytes:
    one = cluster(ssh_keys=[{"fid": "sshkey_1", "name": "admin"}, {"fid": "sshkey_2", "name": None}], **changes)
    return answer({"freshness": FRESH, "cluster": one, "instances": [instance()]})


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    several = [cluster(), cluster("fresh", state="pending", project_name=None, kube_host=None, total_instances=0,
                                  active_instances=0, created_at=ago(minutes=4))]  # fmt: skip
    answers = {"/v1/clusters": answer({"freshness": FRESH, "clusters": several}), "/v1/clusters/prod": shown()}
    with serve(tmp_path, {**answers}) as running:
        yield running


def test_the_list_is_a_row_for_each_cluster(daemon: FakeDaemon) -> None:
    done = ml(daemon.env(), "k8s", "list")
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["NAME", "PROJECT", "REGION", "STATUS", "ACTIVE", "AGE"],
        ["prod", "research", "us-central5-a", "available", "1/2", "3d"],
        ["fresh", "proj_abc", "us-central5-a", "pending", "0/0", "4m"],
    ]
    assert daemon.requests[-1].query == {}
    assert "\x1b" not in done.out
    assert "\x1b[32mavailable" in ml_on_terminal(daemon.env(), "k8s", "list").out
    assert "\x1b[3" not in ml_on_terminal(daemon.env(NO_COLOR="1"), "k8s", "list").out


def test_what_is_asked_for_is_asked_of_the_daemon(daemon: FakeDaemon) -> None:
    ml(daemon.env(), "k8s", "list", "--all", "-p", "research")
    assert daemon.requests[-1].query == {"project": ["research"], "all": ["1"]}
    ml(daemon.env(), "k8s", "info", "prod", "--all-projects")
    assert daemon.requests[-1].query == {"all_projects": ["1"]}
    ml(daemon.env(), "k8s", "info", "prod", "--show-join-command", "-p", "a")
    assert daemon.requests[-1].query == {"project": ["a"], "join": ["1"]}
    done = ml(daemon.env(), "k8s", "list", "-p", "a", "--all-projects")
    assert (done.code, "exclude" in done.err) == (2, True)


def test_no_clusters_are_told_of_on_standard_error_and_in_json(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/clusters"] = answer({"freshness": STALE, "clusters": []})
    stale = "ml: this is 15m old: connection refused\n"
    done = ml(daemon.env(), "k8s", "list")
    assert (done.code, done.out, done.err) == (0, "", f"{stale}ml: no active clusters; --all shows ended ones\n")
    assert ml(daemon.env(), "k8s", "list", "--all").err == f"{stale}ml: no clusters\n"
    done = ml(daemon.env(), "k8s", "list", "--json")
    assert (json.loads(done.out), done.err) == ({"clusters": []}, stale)


def test_the_page_has_what_there_is_to_know(daemon: FakeDaemon) -> None:
    done = ml(daemon.env(), "k8s", "info", "prod")
    assert (done.code, done.err) == (0, "")
    facts = dict(line.split("  ", 1) for line in done.out.split("\n\n")[0].splitlines())
    stripped = {name: value.strip() for name, value in facts.items()}
    assert stripped.pop("status").startswith("available since ")
    assert stripped.pop("created")
    assert stripped == {
        "name": "prod",
        "fid": "clust_prod",
        "project": "research (proj_abc)",
        "region": "us-central5-a",
        "version": "1.34",
        "endpoint": "198.51.100.7",
        "nodes": "1 of 2 active",
        "ssh keys": "admin, sshkey_2",
    }
    header, row = done.out.split("\n\n")[1].splitlines()
    assert header.split() == ["INSTANCE", "STATE", "SINCE", "SSH", "PRIVATE", "IP", "TYPE", "FID"]
    assert [cell for cell in row.split() if ":" not in cell] == [
        "train-0", "running", "203.0.113.7", "10.0.0.7", "b200-192gb.sxm.8x", "inst_0",
    ]  # fmt: skip
    assert "join" not in done.out


def test_the_join_command_is_shown_only_when_it_is_asked_for_and_can_be_pasted(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/clusters/prod"] = shown(join_command=JOIN, instances=[])
    done = ml_on_terminal(daemon.env(), "k8s", "info", "prod", "--show-join-command", columns=40)
    assert f"join command\n{JOIN}\n" in done.out.replace("\r", "")
    daemon.answers["/v1/clusters/prod"] = shown(join_command=f"{JOIN}\x1b[2J")
    assert "\x1b[2J" not in ml(daemon.env(), "k8s", "info", "prod", "--show-join-command").out
    daemon.answers["/v1/clusters/prod"] = shown()
    done = ml(daemon.env(), "k8s", "info", "prod", "--show-join-command")
    assert (done.code, done.err) == (0, "ml: the marketplace has no join command for this cluster\n")
    document = json.loads(ml(daemon.env(), "k8s", "info", "prod", "--json").out)
    assert (set(document), document["cluster"]["join_command"]) == ({"cluster", "instances"}, None)


def test_names_are_shown_harmlessly(daemon: FakeDaemon) -> None:
    evil = "\x1b[2Jevil\n"
    daemon.answers["/v1/clusters"] = answer({"freshness": FRESH, "clusters": [cluster(evil, region=evil)]})
    daemon.answers["/v1/clusters/prod"] = shown(name=evil, kube_host=evil, k8s_version=evil)
    for words in (["list"], ["info", "prod"]):
        done = ml(daemon.env(), "k8s", *words)
        assert (done.code, "\x1b" in done.out, "\\x1b[2Jevil\\n" in done.out) == (0, False, True)


def test_a_cluster_that_is_not_named_is_picked_on_a_terminal_and_wrong_usage_elsewhere(daemon: FakeDaemon) -> None:
    for verb in ("info", "update-kubeconfig"):
        done = ml(daemon.env(), "k8s", verb, *(["-y"] if verb != "info" else []))
        assert (done.code, done.out) == (2, "")
        assert done.err == f"ml: which cluster? name one: ml k8s {verb} CLUSTER (see `ml k8s list`)\n"
    daemon.answers["/v1/clusters/clust_prod"] = shown()
    with Terminal(daemon.env(), "k8s", "info") as terminal:
        terminal.expect("which cluster?")
        terminal.send("prod")
        terminal.send(ENTER)
        terminal.expect("1 of 2 active")
        assert terminal.end() == 0


def test_what_the_daemon_refuses_is_told_in_its_words(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/clusters/nobodys"] = refusal(404, "not_found", "no cluster is called 'nobodys'")
    daemon.answers["/v1/clusters/prod"] = refusal(503, "marketplace_away", "the marketplace does not answer")
    for words, code in ((["nobodys"], 6), (["prod", "--show-join-command"], 4)):
        done = ml(daemon.env(), "k8s", "info", *words)
        assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["info", "prod"]])
def test_no_answer_waits_for_a_heavy_import(daemon: FakeDaemon, words: list[str]) -> None:
    modules = imported(daemon, "k8s", *words)
    assert modules.isdisjoint(HEAVY | FOREIGN)
    assert {name for name in modules if name.startswith("mithril_cli.commands.")} == {"mithril_cli.commands.k8s"}
    assert not any(name.startswith(("mithril_cli.ssh", "mithril_cli.kubeconfig")) for name in modules)


def test_every_command_has_help_with_examples(tmp_path: Path) -> None:
    env = FakeDaemon(tmp_path / "none.sock", {}).env()
    for command in table.COMMANDS:
        done = ml(env, "k8s", command.name, "-h")
        assert (done.code, done.err) == (0, "")
        assert "examples:" in done.out
        assert max(map(len, done.out.splitlines())) <= 110
    assert [one.name for one in table.COMMANDS] == ["list", "info", "ssh", "update-kubeconfig"]
    (ssh,) = [one for one in table.COMMANDS if one.name == "ssh"]
    assert (ssh.summary, ssh.options) == (SSH.summary, SSH.options)
