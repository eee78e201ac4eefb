"""`ml setup --check` and `--show`: what is said of each thing that may be wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mithril_cli.account.check import UNCONFIGURED
from tests.integration.cli_fake_daemon import answer as daemon_answer
from tests.integration.cli_fake_daemon import serve, status
from tests.integration.cli_process import Done
from tests.integration.setup_rig import BILLING, KEY, NOBODY, Account, Home, marketplace, settings


@pytest.fixture
def account() -> Iterator[Account]:
    with marketplace() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/v2/me", (401, {}), "api_key=invalid, project=error, billing=skipped"),
        ("/v2/me", (500, {}), "api_key=error, project=error, billing=skipped"),
        ("/v2/projects", (500, {}), "api_key=ok, project=error, billing=ok"),
        ("/v2/projects", (200, []), "api_key=ok, project=invalid, billing=ok"),
        (BILLING, (500, {}), "api_key=ok, project=ok, billing=error"),
        (BILLING, (200, {"code": "what"}), "api_key=ok, project=ok, billing=error"),
        *((BILLING, (200, {"code": code}), "api_key=ok, project=ok, billing=not_configured") for code in UNCONFIGURED),
    ],
)
def test_the_check_says_what_is_wrong(
    home: Home, account: Account, path: str, answer: tuple[int, object], words: str
) -> None:
    home.write(settings(account))
    account.answers[path] = answer
    done = home.setup("--check")
    assert (done.code, done.out) == (1, f"Setup check: NOT READY ({words})\n")
    assert len(done.err.splitlines()) == 2  # why, and the daemon
    document = json.loads(home.setup("--check", "--json").out)
    assert ", ".join(f"{part}={document[part]}" for part in ("api_key", "project", "billing")) == words
    assert document["ready"] is False


@pytest.mark.parametrize(
    ("text", "env", "words"),
    [
        ("", {}, "api_key=missing, project=missing, billing=skipped"),
        ("", {"MITHRIL_API_KEY": ""}, "api_key=missing, project=missing, billing=skipped"),
        ("", {"MITHRIL_PROJECT": "proj_x"}, "api_key=missing, project=error, billing=skipped"),
        ("a: b: c", {}, "api_key=error, project=error, billing=skipped"),
        ("", {"MITHRIL_PROFILE": "gone"}, "api_key=error, project=error, billing=skipped"),
        ("", {"MITHRIL_API_KEY": KEY, **NOBODY}, "api_key=error, project=missing, billing=skipped"),
    ],
)  # fmt: skip
def test_the_check_says_what_is_missing(home: Home, text: str, env: dict[str, str], words: str) -> None:
    home.write(text)
    done = home.setup("--check", **env)
    assert (done.code, done.out) == (1, f"Setup check: NOT READY ({words})\n")


def test_the_check_tells_of_the_daemon_beside_the_answer(home: Home, account: Account) -> None:
    home.write(settings(account))
    assert "no daemon answers" in home.setup("--check").err
    with serve(home.folder, {"/v1/status": daemon_answer(status())}):
        done = home.setup("--check")
        assert done == Done(
            0,
            "Setup check: READY (api_key=ok, project=ok, billing=ok)\n",
            "ml: the daemon runs (0.1.0), its key is ok, its record is 3s old\n",
        )
        daemon = json.loads(home.setup("--check", "--json").out)["daemon"]
    assert (daemon["running"], daemon["version"], daemon["age_seconds"]) == (True, "0.1.0", 3.2)


def test_showing_never_shows_the_key(home: Home, account: Account) -> None:
    home.write(settings(account), mode=0o644)
    done = home.setup("--show", MITHRIL_PROJECT="lab")
    assert done.code == 0
    assert KEY not in done.out + done.err
    assert "…cdef" in done.out
    assert "environment MITHRIL_PROJECT" in done.out
    assert "chmod 600" in done.err
    document = json.loads(home.setup("--show", "--json").out)
    assert document["api_key"] == {"value": "…cdef", "source": "profile default"}
    assert document["profiles"] == ["default"]
