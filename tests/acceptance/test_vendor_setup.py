"""`ml setup` beside the vendor's: the same words about the same account, and one file for both."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import BIN, CAP, Sandbox, clean_env, run_ml
from tests.acceptance.vendor import ML, at_rest


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with at_rest(tmp_path_factory.mktemp("setup")) as running:
        yield running


def theirs(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in env.items() if name != "PYTHONWARNINGS"}
    return subprocess.run([str(ML), *words], env=env, capture_output=True, text=True, timeout=CAP)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"MITHRIL_API_KEY": "fkey_other"},
        {"MITHRIL_API_KEY": "fkey_other", "MITHRIL_PROJECT": None},
        {"MITHRIL_API_KEY": None},
        {"MITHRIL_API_KEY": None, "MITHRIL_PROJECT": None},
        {"MITHRIL_PROJECT": "proj_none"},
        {"MITHRIL_PROJECT": None},
        {"MITHRIL_PROJECT": ""},
        {"MITHRIL_API_URL": "http://127.0.0.1:9"},
    ],
)
def test_the_check_says_what_the_vendors_says(sandbox: Sandbox, tmp_path: Path, changes: dict[str, str | None]) -> None:
    told: dict[str, str | None] = {**account(sandbox), **changes}
    env = clean_env(tmp_path) | {name: value for name, value in told.items() if value is not None}
    ours, vendors = run_ml(env, "setup", "--check"), theirs(env, "setup", "--check")
    assert ours.stdout == vendors.stdout
    assert ours.returncode == vendors.returncode


@pytest.mark.parametrize(
    ("path", "status"), [("/v2/me", 500), ("/v2/projects*", 500), ("/users/*", 500), ("/users/*", 404)]
)
def test_the_check_says_what_the_vendors_says_of_a_bad_day(
    sandbox: Sandbox, tmp_path: Path, path: str, status: int
) -> None:
    env = clean_env(tmp_path) | account(sandbox)
    sandbox.post("/sandbox/faults", {"path": path, "kind": "status", "status": status, "count": 100})
    try:
        ours, vendors = run_ml(env, "setup", "--check"), theirs(env, "setup", "--check")
    finally:
        sandbox.delete("/sandbox/faults")
    assert ours.stdout == vendors.stdout
    assert ours.returncode == vendors.returncode == 1


def test_a_project_may_be_named_where_theirs_takes_only_a_fid(sandbox: Sandbox, tmp_path: Path) -> None:
    env = clean_env(tmp_path) | account(sandbox) | {"MITHRIL_PROJECT": "demo"}
    assert run_ml(env, "setup", "--check").returncode == 0
    assert "project=invalid" in theirs(env, "setup", "--check").stdout


def test_what_ours_writes_theirs_reads(sandbox: Sandbox, tmp_path: Path) -> None:
    env = clean_env(tmp_path)
    words = ["setup", "--profile", "two words", "--project", "demo", "--api-url", sandbox.address, "--key-stdin"]
    done = subprocess.run(
        [str(BIN / "ml"), *words], env=env, input=sandbox.key, capture_output=True, text=True, timeout=CAP
    )
    assert done.returncode == 0, done.stderr
    assert theirs(env, "setup", "--check").stdout == "Setup check: READY (api_key=ok, project=ok, billing=ok)\n"


def account(sandbox: Sandbox) -> dict[str, str]:
    return {"MITHRIL_API_URL": sandbox.address, "MITHRIL_API_KEY": sandbox.key, "MITHRIL_PROJECT": sandbox.project}
