"""The action `ssh`: a command on the instances themselves, once they answer.

A try repeats only what is not done: the nodes that are through are kept in the delivery's progress.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mithrild.clock import Clock
from mithrild.fleet.tries import Ending
from mithrild.hooks.action import Job, Result
from mithrild.hooks.host_keys import HostKeys
from mithrild.hooks.nodes import Node, nodes_of
from mithrild.hooks.on_node import OnNode, Outcome
from mithrild.hooks.threads import Threads
from mithrild.store.database import Database
from mithrild.wire import known_hosts

AT_ONCE = 64  # connections, of all hooks


class Remote:
    def __init__(self, clock: Clock, database: Database, env: Mapping[str, str]) -> None:
        home = Path(env.get("HOME") or os.path.expanduser("~"))
        keys = HostKeys(Path(known_hosts(dict(env))), home / ".ssh" / "known_hosts")
        self._database = database
        self._on_node = OnNode(clock, database, home, keys, Threads("ssh", AT_ONCE))

    async def deliver(self, job: Job) -> Result:
        assert job.hook.ssh is not None
        nodes = await asyncio.to_thread(nodes_of, self._database, job.event, job.hook.ssh.nodes)
        progress = json.loads(job.claim.progress or "{}")
        done, failed = set(progress.get("done", ())), set(progress.get("failed", ()))
        left = [node for node in nodes if node.fid not in done | failed]
        found = await asyncio.gather(*(self._on_node.deliver(node, job) for node in left))
        over = {node.fid for node, outcome in zip(left, found, strict=True) if outcome is None}
        there = [node for node in nodes if node.fid not in over]
        if not there:
            return Result("failed", "there is no instance that could answer")
        return joined(there, [outcome for outcome in found if outcome is not None], done, failed)


def joined(nodes: Sequence[Node], outcomes: Sequence[Outcome], done: set[str], failed: set[str]) -> Result:
    """One result of all nodes: what is not done decides. Of several nodes each line tells which.

    `done` and `failed`: fids of nodes that an earlier try has brought to their end.
    """
    done = done | {one.node.fid for one in outcomes if one.ending == "done"}
    failed = failed | {one.node.fid for one in outcomes if one.ending == "failed"}
    endings = {one.ending for one in outcomes}
    ending: Ending = "failed" if failed else "done"
    for left in ("interrupted", "retry", "put_off"):
        if left in endings:
            ending = left
            break
    alone = len(nodes) == 1
    reasons = [one.reason if alone else f"{one.node.name}: {one.reason}" for one in outcomes if one.reason]
    if failed and not any(one.ending == "failed" for one in outcomes):
        reasons.append(f"an earlier try failed on {len(failed)} of {len(nodes)} nodes")
    output = "".join(one.output if alone else f"--- {one.node.name}\n{one.output}" for one in outcomes)
    # What has failed for good is not repeated by itself, but it is when somebody asks for the delivery again.
    kept = {"done": sorted(done)} | ({"failed": sorted(failed)} if ending not in ("done", "failed") else {})
    codes = sorted({one.code for one in outcomes if one.code is not None}, reverse=True)
    return Result(
        ending,
        "; ".join(reasons) or None,
        output,
        exit_code=codes[0] if codes else None,
        retry_after=max((one.again_after for one in outcomes if one.again_after is not None), default=None),
        progress=json.dumps(kept),
        changed=tuple(one.changed for one in outcomes if one.changed is not None),
    )
