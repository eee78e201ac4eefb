"""`ml` stays lean: what a command imports is paid for every time that it is typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, answer, bid, event, serve, status

ROOT = Path(__file__).resolve().parents[2]
# Each of these alone costs from a fifth to the whole of what bare Python takes to start.
HEAVY = {
    "asyncio", "ast", "concurrent", "dataclasses", "difflib", "email", "fnmatch", "html", "http", "importlib.metadata",
    "inspect", "logging", "pathlib", "pickle", "platform", "random", "shutil", "sqlite3", "ssl", "statistics",
    "subprocess", "tempfile", "threading", "tomllib", "typing", "unicodedata", "urllib", "uuid", "zlib",
}  # fmt: skip
FOREIGN = {
    "anyio",
    "click",
    "httpx",
    "loguru",
    "prompt_toolkit",
    "pydantic",
    "pydantic_core",
    "rich",
    "ruamel",
    "sqlalchemy",
    "sqlmodel",
    "uvicorn",
}
HOOK = {"name": "save", "on": ["instance.*"], "actions": [{"name": "run", "off": None}], "counts": {"done": 1}}
DELIVERY = {
    "id": "dlv_0123456789",
    "hook": "save",
    "action": "run",
    "type": "bid.gone",
    "state": "failed",
    "reason": "no",
}
PROBE = "import sys; from mithril_cli.main import main; main(); print(*sys.modules, file=sys.stderr)"


def imported(daemon: FakeDaemon, *args: str) -> set[str]:
    """The modules that a command leaves behind, without site-packages: what is not the standard library's or ours
    would not even be found."""
    env = daemon.env(PYTHONPATH=f"{ROOT}:{ROOT / 'cli'}")
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROBE, *args], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "args",
    [
        ["instance", "list"],
        ["instance", "list", "--json"],
        ["instance", "info", "train"],
        ["history", "train"],
        ["events"],
        ["daemon", "status"],
        ["hooks", "list"],
        ["hooks", "log"],
        ["hooks", "silences", "--json"],
        ["--version"],
    ],
)
def test_no_answer_waits_for_a_heavy_import(tmp_path: Path, args: list[str]) -> None:
    answers = {
        "/v1/bids": answer({"freshness": FRESH, "bids": [bid()]}),
        "/v1/bids/train": answer({"freshness": FRESH, "bid": bid(), "transitions": []}),
        "/v1/bids/train/history": answer({"freshness": FRESH, "bid": bid(), "steps": []}),
        "/v1/events": answer({"events": [event(1)], "next": 1, "oldest": 1}),
        "/v1/status": answer(status()),
        "/v1/hooks": answer({"hooks": [HOOK]}),
        "/v1/deliveries": answer({"deliveries": [DELIVERY]}),
        "/v1/silences": answer({"silences": []}),
    }
    with serve(tmp_path, {**answers}) as daemon:
        modules = imported(daemon, *args)
    assert modules.isdisjoint(HEAVY | FOREIGN)
    assert {name for name in modules if name.partition(".")[0] == "mithrild"} == {"mithrild", "mithrild.wire"}
    groups = {name for name in modules if name.startswith("mithril_cli.commands.")}
    assert groups == (set() if args == ["--version"] else {f"mithril_cli.commands.{args[0]}"})
    assert modules.isdisjoint({"mithril_cli.picker", "mithril_cli.menu"})
