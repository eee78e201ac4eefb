"""The action `run`: a command on this machine, with the event on its standard input."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from mithrild.clock import Clock
from mithrild.config.programs import exposed
from mithrild.hooks.action import Job, Result
from mithrild.hooks.command import minimal_environment, run_command
from mithrild.hooks.environment import hook_environment
from mithrild.hooks.survivors import end_survivors


class Run:
    def __init__(self, clock: Clock, env: Mapping[str, str]) -> None:
        self._clock, self._env = clock, env

    async def deliver(self, job: Job) -> Result:
        hook, claim = job.hook, job.claim
        assert hook.run is not None
        if (danger := await asyncio.to_thread(exposed, Path(hook.run[0]))) is not None:
            return Result("failed", f"not started: {danger}")
        passed = {name: self._env[name] for name in hook.env if name in self._env}
        told = hook_environment(claim, job.event, self._clock.now())
        result = await run_command(
            hook.run,
            stdin=claim.body.encode() + b"\n",
            env=minimal_environment(self._env) | passed | told,
            timeout=hook.timeout.total_seconds(),
            stop=job.stop,
        )
        if result.outcome in ("retry", "interrupted") or result.exit_code is None:
            # It may run again, so nothing of this try may still be at work, not even outside its process group.
            await end_survivors([claim.id])
        return Result(
            result.outcome,
            result.reason,
            result.output.decode("utf-8", "replace").replace("\0", "\ufffd"),
            exit_code=result.exit_code,
            signal=result.signal,
        )
