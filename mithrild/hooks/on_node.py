"""One command on one node: found, knocked at until it lets us in, run there, and what came of it.

An instance that is said to run may not answer yet. It is knocked at until the hook's time-out or the deadline of its
notice, or until it is over; its address is looked up anew each time.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from mithrild.clock import Clock
from mithrild.fleet.tries import Ending
from mithrild.hooks.action import Job, KeyChange
from mithrild.hooks.environment import hook_environment
from mithrild.hooks.host_keys import HostKeys
from mithrild.hooks.hosts import Hosts, LeftAlone
from mithrild.hooks.nodes import Node, look_up
from mithrild.hooks.patience import wait_for
from mithrild.hooks.remote_lines import command_line
from mithrild.hooks.ssh_route import read_config, route
from mithrild.hooks.ssh_session import ENDING, LAST_WORDS, LOOK, Changed, Ended, NotYet, Session, Stranger
from mithrild.hooks.threads import Threads
from mithrild.store.database import Database

KNOCKS = (1.0, 2.0, 3.0, 5.0)  # seconds between two attempts to connect; the last one goes on
OPENING = 60.0  # seconds that one attempt may take, all steps together
LIMIT = ENDING + LAST_WORDS + 2 * LOOK  # seconds from the order to end a command to its end


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went on one node."""

    node: Node
    ending: Ending
    reason: str | None = None
    output: str = ""
    code: int | None = None
    changed: KeyChange | None = None
    again_after: float | None = None  # seconds, of what was put off


class _Over(Exception):
    """The instance has ended."""


class OnNode:
    def __init__(self, clock: Clock, database: Database, home: Path, keys: HostKeys, threads: Threads) -> None:
        self._clock, self._database, self._home = clock, database, home
        self._keys, self._threads = keys, threads
        self._hosts = Hosts(clock)

    async def deliver(self, node: Node, job: Job) -> Outcome | None:
        """None if the node ended before it let us in."""
        until = self._clock.monotonic() + job.hook.timeout.total_seconds()
        if job.claim.deadline is not None:
            left = (job.claim.deadline - self._clock.now()).total_seconds()
            until = min(until, self._clock.monotonic() + left)
        try:
            session = await self._knock(node, job, until)
            if session is None:
                return Outcome(node, "interrupted", "the daemon is stopping")
        except _Over:
            return None
        except LeftAlone as error:
            return Outcome(node, "put_off", str(error), again_after=error.seconds)
        except NotYet as error:
            if error.hop is not None:
                self._hosts.kept_out(error.hop)
            return Outcome(node, "retry", str(error))
        except Stranger as error:
            return Outcome(node, "failed", str(error))
        except Changed as change:
            about = KeyChange(node.fid, change.before, change.after) if change.name == node.fid else None
            return Outcome(node, "failed", str(change), changed=about)
        finally:
            self._hosts.leave(_visitor(node, job))
        try:
            return await self._run(node, job, session)
        finally:
            session.close()

    async def _knock(self, node: Node, job: Job, until: float) -> Session | None:
        """A session on the node, as soon as it lets us in; None if the daemon stops. Raises NotYet when time is up, and
        LeftAlone at once."""
        for knock in count():
            gap = KNOCKS[min(knock, len(KNOCKS) - 1)]
            try:
                return await self._open(node, job)
            except NotYet:
                if self._clock.monotonic() + gap > until:
                    raise
            if job.stop.is_set():
                return None
            pausing = asyncio.create_task(self._clock.sleep(gap))
            await wait_for(pausing, job.stop, gap + 1)
            pausing.cancel()
        raise AssertionError("count() has no end")

    async def _open(self, node: Node, job: Job) -> Session | None:
        table = job.hook.ssh
        assert table is not None
        now = await asyncio.to_thread(look_up, self._database, node)
        if now is None:
            raise _Over
        if now.address is None:
            raise NotYet("it has no address yet")
        try:
            hops = route(now.address, node.fid, table, await asyncio.to_thread(read_config, self._home))
        except ValueError as error:
            raise NotYet(str(error)) from None
        self._hosts.admit(hops, _visitor(node, job), urgent=job.claim.urgent)
        session = Session(hops, self._keys, strict=table.strict)
        opening = asyncio.create_task(self._threads.call(session.open))
        opened = False
        try:
            match await wait_for(opening, job.stop, OPENING):
                case "done":
                    opening.result()
                    opened = True
                    self._hosts.let_in(hops)
                    return session
                case "stop":
                    return None
                case "timeout":
                    raise NotYet(f"{session.at} does not answer: no login within {OPENING:g} s", session.at)
        finally:
            opening.cancel()
            if not opened:
                session.close()
            await asyncio.gather(opening, return_exceptions=True)

    async def _run(self, node: Node, job: Job, session: Session) -> Outcome:
        seconds = job.hook.timeout.total_seconds()
        assert job.hook.ssh is not None
        line = command_line(job.hook.ssh.command, self._variables(job, node))
        stdin = job.claim.body.encode() + b"\n"
        again = job.claim.number > 1
        run = partial(session.run, line, stdin, seconds, job.claim.id, again=again)
        running = asyncio.create_task(self._threads.call(run))
        # The session keeps its own time; what hangs in it is cut off a little later.
        came_of = await wait_for(running, job.stop, seconds + 2 * LIMIT)
        if came_of == "stop":
            session.hurry()
            await asyncio.wait({running}, timeout=LIMIT)
        stopped = came_of == "stop"
        if not running.done():
            session.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return Outcome(
                node, "interrupted" if stopped else "retry", "the connection hung: nobody knows how far it came"
            )
        return _judge(node, running.result(), seconds, stopped)

    def _variables(self, job: Job, node: Node) -> dict[str, str]:
        told = hook_environment(job.claim, job.event, self._clock.now())
        return told | {"MITHRILD_INSTANCE": node.fid, "MITHRILD_INSTANCE_NAME": node.name}


def _visitor(node: Node, job: Job) -> str:
    return f"{job.claim.id} {node.fid}"


def _judge(node: Node, ended: Ended, seconds: float, stopped: bool) -> Outcome:
    output = ended.output.decode("utf-8", "replace").replace("\0", "\ufffd")
    code = ended.code
    if code == 0:
        return Outcome(node, "done", None, output, code)
    if stopped:
        return Outcome(node, "interrupted", "the daemon is stopping: ended", output, code)
    if ended.late:
        return Outcome(node, "failed", f"took longer than {seconds:g} s: ended", output, code)
    if ended.lost:
        return Outcome(node, "retry", "the connection was lost: nobody knows how far it came", output, code)
    if code == os.EX_TEMPFAIL:
        return Outcome(node, "retry", f"asked to be tried again (exit code {code})", output, code)
    return Outcome(node, "failed", "ended by a signal" if code is None else f"exit code {code}", output, code)
