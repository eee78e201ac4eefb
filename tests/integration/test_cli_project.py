"""Which project is meant: what -p names, else MITHRIL_PROJECT of the shell, else what the daemon makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, answer, bid, refusal, serve
from tests.integration.cli_process import ml

WORDS = [
    ["instance", "list"],
    ["instance", "info", "train"],
    ["instance", "create", "-i", "b200", "-r", "us-central5-a", "-m", "8"],
    ["instance", "update", "train", "-m", "8"],
    ["instance", "delete", "train", "-y"],
    ["instance", "delete", "--all", "-y"],
    ["ssh", "train", "--show"],
    ["k8s", "list"],
    ["k8s", "info", "kube"],
    ["events"],
    ["history", "train"],
]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with serve(tmp_path, {}) as running:
        yield running


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_the_project_of_the_shell_is_that_of_every_command(daemon: FakeDaemon, words: list[str]) -> None:
    daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": []})
    for env, more, asked in (
        ({"MITHRIL_PROJECT": "lab"}, [], ["lab"]),
        ({"MITHRIL_PROJECT": "lab"}, ["-p", "other"], ["other"]),
        ({"MITHRIL_PROJECT": ""}, [], None),
        ({}, [], None),
    ):
        daemon.requests.clear()
        ml(daemon.env(**env), *words[:2], *more, *words[2:])
        assert daemon.requests[0].query.get("project") == asked


def test_to_look_across_all_projects_takes_no_notice_of_it(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": [bid()]})
    done = ml(daemon.env(MITHRIL_PROJECT="lab"), "instance", "list", "--all-projects")
    assert (done.code, daemon.requests[0].query) == (0, {"all_projects": ["1"], "details": ["0"]})
    assert ml(daemon.env(), "instance", "list", "--all-projects", "-p", "lab").code == 2


def test_names_are_completed_in_it(daemon: FakeDaemon) -> None:
    daemon.answers["/v1/bids"] = refusal(404, "not_found", "no")
    ml(daemon.env(MITHRIL_PROJECT="lab"), "__complete", "bash", "ml instance info tra")
    assert daemon.requests[0].one("project") == "lab"
