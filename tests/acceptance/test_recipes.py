"""The recipes of the README, as they are printed there: only the addresses of Slack and of the receiver are ours."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.acceptance.harness import ROOT, Process, lines, wait_for, write_hook
from tests.acceptance.instance_rig import Rig, open_rig
from tests.acceptance.sshd import Sshd

_CHAPTER = (ROOT / "README.md").read_text().partition("\n## Recipes\n")[2].partition("\n## ")[0]
PRINTED = re.findall(r"```(toml|python|console)\n(.*?)```", _CHAPTER, re.DOTALL)
SLACK = "slack://T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX/#gpu"
RECEIVER = "127.0.0.1:8642"
RECEIVER_IN_PYTHON = '("127.0.0.1", 8642)'


def printed(kind: str, holding: str = "") -> str:
    """The one block of this kind that holds this."""
    (block,) = [str(text) for each, text in PRINTED if each == kind and holding in text]
    return block


class Channel:
    """Takes messages for people, in place of Slack."""

    def __init__(self) -> None:
        self.messages = messages = list[dict[str, str]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                messages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Channel:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Kitchen:
    """A bid called train that runs on two nodes, which are an sshd, and a daemon with all the recipes."""

    def __init__(self, rig: Rig, sshd: Sshd, channel: Channel, receiver: Process) -> None:
        self.rig, self.sshd, self.channel, self.receiver = rig, sshd, channel, receiver

    def drill(self, *words: str) -> dict[str, list[str]]:
        """The results of a drill, by hook."""
        report = self.rig.ml("drill", "preempt", "train", "-y", "--fast", "--json", *words).document()
        results: dict[str, list[str]] = {}
        for one in report["deliveries"]:
            results.setdefault(one["hook"], []).append(one["state"])
        return {hook: sorted(states) for hook, states in results.items()}


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    folder = tmp_path_factory.mktemp("recipes")
    port = _free_port()
    with Sshd(folder / "sshd") as sshd, Channel() as channel:
        there = sshd.home / "bin"
        there.mkdir()
        write_hook(there, "save-checkpoint", f'echo "$MITHRILD_INSTANCE_NAME" >> {folder}/saved')
        write_hook(there, "resume", f'echo "$MITHRILD_INSTANCE_NAME" >> {folder}/resumed')
        (folder / ".ssh").mkdir(mode=0o700)
        (folder / ".ssh" / "config").write_text(f"Include mithril.d/*\nHost *\n  IdentityFile {sshd.key}\n")
        (folder / "bin").mkdir()
        entry = folder / "bin" / "ssh-entry"
        entry.write_text(printed("python", "mithril.d"))
        entry.chmod(0o755)
        write_hook(folder / "bin", "notify-send", f'echo "$4" >> {folder}/desktop')
        _shell(folder, printed("console"))
        tables = [text.removeprefix("[[hooks]]\n") for kind, text in PRINTED if kind == "toml"]
        hooks = [text.replace(SLACK, channel.url).replace(RECEIVER, f"127.0.0.1:{port}") for text in tables]
        script = folder / "receiver.py"
        script.write_text(printed("python", "Receiver").replace(RECEIVER_IN_PYTHON, f'("127.0.0.1", {port})'))
        path = f"{folder}/bin{os.pathsep}{os.environ['PATH']}"
        with Process([sys.executable, str(script)], {"HOME": str(folder)}, folder / "receiver.log") as receiver:
            wait_for("the receiver", lambda: _answers(port))
            options = ("--no-demo", "--ssh", sshd.address)
            with open_rig(folder, *options, hooks=hooks, PATH=path) as rig:
                rig.place("train", quantity=2)
                rig.run("train")
                rig.seen("train", "running")
                wait_for("all hooks to have run", lambda: _settled(rig))
                yield Kitchen(rig, sshd, channel, receiver)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _shell(folder: Path, typed: str) -> None:
    """What follows each prompt, in one shell, at home in the folder."""
    script = "".join(line.removeprefix("$ ") + "\n" for line in typed.splitlines())
    env = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    subprocess.run(["/bin/sh", "-eu", "-c", script], env=env, check=True, timeout=30)


def _settled(rig: Rig) -> bool:
    states = [one["state"] for one in rig.daemon.deliveries()]
    return bool(states) and not {"pending", "running"} & set(states)


def test_there_are_five_and_they_hold_what_this_file_replaces() -> None:
    assert [kind for kind, _ in PRINTED].count("toml") == 5
    assert SLACK in printed("toml", "tell-me")
    assert RECEIVER in printed("toml", "record")
    assert RECEIVER_IN_PYTHON in printed("python", "Receiver")
    assert len([line for line in printed("python", "Receiver").splitlines() if line.strip()]) <= 21


def test_checkpoint_before_preemption(kitchen: Kitchen) -> None:
    saved = kitchen.rig.folder / "saved"
    saved.unlink(missing_ok=True)
    assert kitchen.drill()["save-checkpoint"] == ["done", "done"]
    assert sorted(lines(saved)) == ["train-0", "train-1"]


def test_resume_when_running(kitchen: Kitchen) -> None:
    resumed = kitchen.rig.folder / "resumed"
    assert sorted(lines(resumed)) == ["train-0", "train-1"]  # when they came up
    resumed.unlink()
    assert kitchen.drill("--reprieve")["resume"] == ["done", "done"]
    assert sorted(lines(resumed)) == ["train-0", "train-1"]


def test_slack_and_desktop(kitchen: Kitchen) -> None:
    kitchen.channel.messages.clear()
    (kitchen.rig.folder / "desktop").unlink(missing_ok=True)
    # One of the notice and one of its reprieve, to each of the two addresses; siblings are skipped.
    assert kitchen.drill("--reprieve")["tell-me"].count("done") == 4
    titles = [message["title"] for message in kitchen.channel.messages]
    assert len(titles) == 2
    assert all(title.startswith("DRILL train") for title in titles)
    assert (kitchen.rig.folder / "desktop").read_text().splitlines() == titles


def test_ssh_config_is_kept_fresh(kitchen: Kitchen) -> None:
    folder = kitchen.rig.folder
    nodes = kitchen.rig.daemon.get("/v1/bids/train")["bid"]["instance_details"]
    entries = folder / ".ssh" / "mithril.d"
    assert sorted(file.name for file in entries.iterdir()) == sorted(node["fid"] for node in nodes)
    told = subprocess.run(
        ["ssh", "-G", "-F", str(entries / nodes[0]["fid"]), nodes[0]["name"]],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"port {kitchen.sshd.port}\n" in told
    assert "hostname 127.0.0.1\n" in told
    kitchen.drill()
    assert len(list(entries.iterdir())) == 2  # what did not happen changes nothing


def test_a_receiver_of_signed_webhooks(kitchen: Kitchen) -> None:
    before = len(kitchen.receiver.said().splitlines())
    assert set(kitchen.drill()["record"]) == {"done"}
    told = kitchen.receiver.said().splitlines()[before:]
    types = [line.split()[1] for line in told if line.startswith("dlv_")]
    assert sorted(types) == [
        "bid.preempting",
        "bid.reopened",
        *["instance.preempted"] * 2,
        *["instance.preempting"] * 2,
    ]
    port = int(re.findall(r"127\.0\.0\.1:(\d+)/\"", (kitchen.rig.folder / "config.toml").read_text())[-1])
    forged = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "{}", "-H", "webhook-signature: v1,AAAA",
         f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert forged.stdout == "401"
