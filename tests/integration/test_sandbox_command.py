"""The sandbox as a process of its own."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

COMMAND = (sys.executable, "-W", "error", "-m", "mithrild", "sandbox")
CAP = 30.0


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], CAP)
    assert ready, "the sandbox said nothing"
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_cleanly(number: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, "--port", "0", "--speed", "600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = first_line(process)
            found = re.search(r"MITHRIL_API_URL=(\S+) MITHRIL_API_KEY=(\S+) MITHRIL_PROJECT=(\S+)", line)
            assert found is not None
            url, key, project = found.groups()
            assert url.startswith("http://127.0.0.1:")
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=url, headers=headers, timeout=CAP, trust_env=False) as client:
                until = time.monotonic() + CAP
                while True:
                    listing = client.get("/v2/instances", params={"project": project}).json()
                    if listing["data"]:
                        break
                    assert time.monotonic() < until, "no bid was ever allocated"
                # The connection is still open: it must not keep the process from ending.
                process.send_signal(number)
                out, err = process.communicate(timeout=CAP)
            assert (process.returncode, out, err) == (0, "", "")
        finally:
            process.kill()


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=CAP)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert port in line
    assert "in use" in line


@pytest.mark.parametrize(
    "wrong", [("--speed", "0"), ("--speed", "nan"), ("--port", "70000"), ("--ssh", "nowhere"), ("--seed", "x")]
)
def test_wrong_usage_is_told_and_exits_with_2(wrong: tuple[str, str]) -> None:
    environment = os.environ | {"COLUMNS": "200"}
    done = subprocess.run([*COMMAND, *wrong], capture_output=True, text=True, timeout=CAP, env=environment)
    assert done.returncode == 2
    assert wrong[0] in done.stderr.splitlines()[-1]
