"""How many requests a second the sandbox answers with 1,000 bids of 4 instances, and how fast a whole fleet is read.

Run it: `.venv/bin/python tests/benchmarks/bench_sandbox.py`. The client stands in a process of its own; it keeps four
connections busy, as a daemon does.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

import httpx

from tests.acceptance.harness import Sandbox

REQUESTS = 600
AT_ONCE = 4
QUERIES = {
    "a page of 100 bids": "/v2/spot/bids?project={project}&status=Allocated&limit=100",
    "a page of 100 instances": "/v2/instances?project={project}&limit=100",
    "one bid by its fid": "/v2/spot/bids/{bid}",
    "the deadline of one instance": "/v2/instances/{instance}/status",
    "all auctions": "/v2/spot/availability",
}


async def rate(sandbox: Sandbox, path: str) -> float:
    """Requests a second."""
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    async with httpx.AsyncClient(base_url=sandbox.address, headers=headers) as http:
        left = iter(range(REQUESTS))

        async def ask() -> None:
            for _ in left:
                (await http.get(path)).raise_for_status()

        await http.get(path)
        start = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
        return REQUESTS / (time.perf_counter() - start)


def resident(pid: int) -> float:
    """MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Sandbox(Path(folder), "--no-demo") as sandbox:
        start = time.perf_counter()
        fleet = sandbox.post("/sandbox/fleet", {"bids": 1000, "instances_per_bid": 4, "terminated_bids": 10_000})
        print(f"entering 11,000 bids and 4,000 instances takes {(time.perf_counter() - start) * 1000:.0f} ms")
        bid = fleet["bids"][500]
        instance = sandbox.get(f"/v2/spot/bids/{bid}")["instances"][0]
        print("requests a second, client included")
        for name, path in QUERIES.items():
            asked = path.format(project=sandbox.project, bid=bid, instance=instance)
            print(f"  {name:30}{asyncio.run(rate(sandbox, asked)):7.0f}")
        print(f"memory of the sandbox: {resident(sandbox.pid):.0f} MiB")


if __name__ == "__main__":
    main()
