"""How long after the fact a step is seen and its hook begins: adaptive polling beside one look every 5 s.

Run it: `.venv/bin/python tests/benchmarks/bench_latency.py [MINUTES] [SPEED]`, by default 4 minutes at speed 10. Two
real daemons watch one real sandbox, so that both live through the same market. Delays are real seconds at every speed;
with an auction every two minutes (speed 1) it takes some ten minutes until their rhythm is known. The figures are those
of `ml daemon status`, by the marketplace's own times. Prints; asserts nothing.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Daemon, Sandbox, wait_for

EVERY = 10.0  # seconds between two looks at the status
SETTLES = 40.0  # seconds until the histories of the last steps were asked for, and the figures are taken anew
NOMINAL = 120.0  # seconds between two auctions at speed 1
HOOK = '[[hooks]]\nname = "nothing"\non = ["*"]\nrun = ["true"]\n'


def configuration(speed: float) -> dict[str, str]:
    prices = f"{NOMINAL / speed * 1000:.0f}ms"
    # Without looks at the market nothing is learned of its rhythm: every look is just five seconds after the last.
    fixed = 'active = "5s"\nchanging = "5s"\nidle = "5s"\nprices = "7d"\n'
    return {"adaptive": f'[poll]\nprices = "{prices}"\n{HOOK}', "every 5 s": f"[poll]\n{fixed}{HOOK}"}


def shown(spread: dict[str, float] | None) -> str:
    if spread is None:
        return "   none"
    return f"{spread['p50']:6.2f} {spread['p95']:6.2f} {spread['worst']:6.2f}   ({spread['count']:.0f})"


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    speed = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    with tempfile.TemporaryDirectory() as home, Sandbox(Path(home), speed=speed) as sandbox:
        daemons: dict[str, Daemon] = {}
        for name, text in configuration(speed).items():
            folder = Path(home, name.replace(" ", "-"))
            folder.mkdir()
            (folder / "config.toml").write_text(text)
            daemons[name] = Daemon(folder, sandbox)
        try:
            measure(daemons, minutes, speed)
        finally:
            for name, daemon in daemons.items():
                if not daemon.running:
                    print(f"{name} has ended:\n{daemon.said()[-2000:]}")
                daemon.stop()


def measure(daemons: dict[str, Daemon], minutes: float, speed: float) -> None:
    for name, daemon in daemons.items():
        wait_for(f"the first sight of {name}", daemon.watched)
    requests: dict[str, list[int]] = {name: [] for name in daemons}
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        time.sleep(EVERY)
        for name, daemon in daemons.items():
            requests[name].append(daemon.get("/v1/status")["polling"]["requests_last_minute"])
    time.sleep(SETTLES)
    print(f"{minutes:g} minutes at speed {speed:g} (an auction every {NOMINAL / speed:g} s); seconds after the fact")
    print(f"  {'':10}{'seen':>7}: p50    p95  worst          hooks began: p50    p95  worst      requests a minute")
    for name, daemon in daemons.items():
        status: dict[str, Any] = daemon.get("/v1/status")
        latency, rhythm = status["latency"], status["auctions"]
        spent = requests[name][6:] or requests[name]
        known = "" if rhythm is None else f"   auctions known: every {rhythm['period_seconds']:.2f} s"
        print(
            f"  {name:10}{shown(latency['seen']):>34}{shown(latency['hooks']):>38}"
            f"   {statistics.mean(spent):6.0f}, {max(spent)} at most{known}"
        )


if __name__ == "__main__":
    main()
