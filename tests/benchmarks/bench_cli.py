"""How long `ml instance list` takes as a whole process, beside a bare start of the interpreter.

Run it: `.venv/bin/python tests/benchmarks/bench_cli.py [RUNS]`. It prints medians in milliseconds, and how many modules
a command imports beyond the interpreter's own. The answers are made beforehand: the stand-in for the daemon only copies
them into the socket, so that what is measured is `ml`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.cli_fake_daemon import FRESH, answer, bid, instance, serve

SIZES = (5, 1000, 5000)
COUNT = "import sys; before = set(sys.modules); {}; print(len(set(sys.modules) - before), file=sys.stderr)"
LIST = "from mithril_cli.main import main; main(['instance', 'list'])"
ML = [sys.executable, "-c", "import sys; from mithril_cli.main import main; sys.exit(main())"]


def median(command: list[str], env: dict[str, str], runs: int) -> float:
    """Milliseconds from start to end of a process, the middle one of `runs`."""
    spans = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        spans.append((time.perf_counter() - start) * 1000)
    return statistics.median(spans)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), {}) as daemon:
        env = daemon.env()
        print(f"median of {runs} runs, in ms")
        bare = median([sys.executable, "-c", "pass"], env, runs)
        print(f"  bare python                      {bare:7.1f}")
        isolated = median([sys.executable, "-I", "-S", "-c", "pass"], env, runs)
        print(f"  bare python without site-packages{isolated:7.1f}")
        for size in SIZES:
            whole = [bid(number, instance_details=[instance(number)]) for number in range(size)]
            # The table asks with details=0, and gets what a daemon then leaves out.
            bare_bids = [{key: value for key, value in one.items() if key != "instance_details"} for one in whole]
            for flags, bids in (([], bare_bids), (["--json"], whole)):
                body = daemon.answers["/v1/bids"] = answer({"freshness": FRESH, "bids": bids})
                took = median([*ML, "instance", "list", *flags], env, runs)
                named = f"{size} bids {' '.join(flags)}"
                print(f"  ml instance list, {named:15}{took:7.1f}   (+{took - bare:.1f}; {len(body) >> 10} KiB)")
        counted = subprocess.run(
            [sys.executable, "-c", COUNT.format(LIST)], env=env, capture_output=True, text=True, check=True
        )
        print(f"modules imported beyond the interpreter's own: {counted.stderr.strip()}")


if __name__ == "__main__":
    main()
