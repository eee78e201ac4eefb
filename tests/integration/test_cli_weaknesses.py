"""What the vendor's command line does badly, held against each command of the table: failures, colours, pipes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mithril_cli import commands
from mithril_cli.command import Command
from tests.integration.cli_fake_daemon import FRESH, FakeDaemon, ago, answer, bid, event, serve, status
from tests.integration.cli_process import ML, PATIENCE, ml, ml_on_terminal

# What a value may look like, by what stands for it in the help.
SAMPLES = {
    "NAME": "train",
    "CLUSTER": "main",
    "TYPE": "b200",
    "REGION": "us-central5-a",
    "PRICE": "8",
    "COMMAND": "true",
    "SHELL": "bash",
}
STEP = {
    "sequence": 1, "event": "evt_1", "at": ago(minutes=3), "exact": True, "not_before": None, "subject": "bid_0",
    "subject_kind": "bid", "name": "train", "aspect": "status", "type": "bid.allocated", "from": "Open",
    "to": "Allocated", "provenance": "observed", "baseline": False,
}  # fmt: skip
NO_DAEMON_NEEDED = ("setup", "completion", "man")
# Commands that are the same wherever a person looks: prices, the daemon, the words of this program;
# and hooks, which are the daemon's whatever they are run for.
OF_NO_PROJECT = ("instance list-types", "daemon status", "daemon backup", "completion", "man")
OF_ALL_HOOKS = ("list", "log", "show", "retry", "replay", "silence", "unsilence", "silences", "enable")
SHOWING = (
    "instance list",
    "instance list --json",
    "instance info train",
    "instance list-types",
    "history train",
    "events",
    "daemon status",
    "setup --show",
    "completion bash",
    "man",
    "-h",
)


def spelled(group: str, command: Command) -> str:
    return f"{group} {command.name}".strip()


def asking() -> list[str]:
    """A line for each command that asks the daemon, with everything said that it might ask a person."""
    return [
        line(group, one) for group in commands.GROUPS if group not in NO_DAEMON_NEEDED for one in commands.load(group)
    ]


def line(group: str, command: Command) -> str:
    words = [spelled(group, command)]
    for option in command.options:
        value = SAMPLES.get(str(option.settings.get("metavar")), "x")
        if not option.flags[0].startswith("-"):
            words.append(value)
        elif option.settings.get("required"):
            words += [option.flags[-1], value]
        elif option.flags[-1] == "--for":  # a silence is for some time
            words += ["--for", "8h"]
        elif "--yes" in option.flags or "--max-price-per-hour" in option.flags:
            words += [option.flags[-1], *([value] if option.settings.get("metavar") else [])]
    return " ".join(words)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    bids = [bid(0, name="train", state="preempting", deadline=ago(seconds=-200))] + [bid(n) for n in range(1, 3000)]
    market = {"fid": "it_b200", "name": "b200-192gb.sxm.8x", "gpu_count": 8, "gpu_type": "B200", "gpu_memory_gb": 192}
    prices = {"capacity": 4, "spot_price": "$6.20", "spot_price_cents": 620, "win_price": None, "win_price_cents": None}
    types = [{**market, **prices, "ram_gb": 2000, "region": f"region-{number}"} for number in range(3000)]
    answers = {
        "/v1/bids": answer({"freshness": FRESH, "bids": bids}),
        "/v1/bids/train": answer({"freshness": FRESH, "bid": bids[0], "transitions": []}),
        "/v1/bids/train/history": answer({"freshness": FRESH, "bid": bids[0], "steps": [STEP]}),
        "/v1/events": answer({"events": [event(n) for n in range(1, 3000)], "next": 3000, "oldest": 1}),
        "/v1/types": answer({"freshness": FRESH, "market_as_of": ago(seconds=3), "types": types}),
        "/v1/status": answer(status()),
    }
    with serve(tmp_path, {**answers}) as running:
        yield running


@pytest.mark.parametrize("line", asking())
def test_every_failure_is_one_line_without_a_traceback_and_a_code_that_means_it(tmp_path: Path, line: str) -> None:
    def failed(env: dict[str, str], *codes: int) -> str:
        done = ml(env, *line.split())
        assert done.out == ""
        assert done.code in codes or (done.code == 255 and "ssh" in line.split())  # as ssh's own failures
        [said] = done.err.splitlines()
        assert said.startswith("ml: ")
        assert "Traceback" not in said
        return said

    assert "no daemon answers" in failed(FakeDaemon(tmp_path / "none.sock", {}).env(), 3)

    class Any(dict[str, object]):
        def get(self, _: object, default: object = None) -> object:
            return self.answered

        answered: bytes = b""

    answers = Any()
    with serve(tmp_path, answers) as daemon:  # type: ignore[arg-type]  # it answers whatever is asked
        for answered, *codes in (
            (b"", 3, 4),  # of an order that was sent nobody can tell what became of it
            (b"garbage\r\n\r\n", 1, 4),
            (answer(b"[1, 2"), 1, 4),
            (answer({"error": {"code": "key_refused", "message": "the key\nwas \x1b[31mrefused"}}, 502), 5),
            (answer({"error": {"code": "marketplace_away", "message": "the marketplace does not answer"}}, 502), 4),
        ):
            answers.answered = answered
            assert "\x1b" not in failed(daemon.env(), *codes)


@pytest.mark.parametrize("line", SHOWING)
def test_nothing_is_coloured_into_a_pipe_nor_where_no_color_is_set(daemon: FakeDaemon, line: str) -> None:
    done = ml(daemon.env(FORCE_COLOR="1", CLICOLOR_FORCE="1"), *line.split())
    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out
    assert "\x1b" not in ml_on_terminal(daemon.env(NO_COLOR="1"), *line.split()).out


@pytest.mark.parametrize("line", SHOWING)
def test_a_closed_pipe_is_no_reason_to_panic(daemon: FakeDaemon, line: str) -> None:
    process = subprocess.Popen(
        [*ML, *line.split()], env=daemon.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as said:
        assert said.read() == ""
    assert process.wait(PATIENCE) == 141


def test_each_command_takes_a_project_and_json() -> None:
    for group in commands.GROUPS:
        for command in commands.load(group):
            flags = {flag for option in command.options for flag in option.flags}
            everywhere = spelled(group, command) in OF_NO_PROJECT or (group == "hooks" and command.name in OF_ALL_HOOKS)
            if not everywhere:
                assert {"-p", "--project"} <= flags, spelled(group, command)
            runs_something = "ssh" in (group, command.name) or command.name == "update-kubeconfig"
            if group not in ("completion", "man") and not runs_something:
                assert "--json" in flags, spelled(group, command)


def test_the_overview_and_each_help_have_the_whole_table() -> None:
    env = {"PATH": "/usr/bin", "HOME": "/nonexistent"}
    overview = ml(env, "-h").out
    for group in commands.GROUPS:
        for command in commands.load(group):
            assert re.search(rf"^  {re.escape(spelled(group, command))} +\S", overview, re.MULTILINE)
            done = ml(env, *spelled(group, command).split(), "-h")
            assert (done.code, done.err) == (0, "")
            assert "examples:" in done.out
