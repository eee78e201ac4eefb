"""A record whose instances are a real sshd, and hooks that run commands there."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.clock import SystemClock
from mithrild.config import Hook
from mithrild.hooks.dispatcher import Dispatcher
from mithrild.store.database import Database
from tests.acceptance.sshd import Sshd
from tests.integration.store_builders import (
    a_bid,
    a_rule,
    an_instance,
    at,
    deliveries,
    dispatching,
    keep,
    opened,
    poll,
    sql,
    until,
)

USER = getpass.getuser()


class Now(SystemClock):
    """A minute after noon of the day of the record, and the time goes on from there."""

    def __init__(self) -> None:
        self._begun = self.monotonic()

    def now(self) -> datetime:
        return at(60) + timedelta(seconds=self.monotonic() - self._begun)


class Rig:
    def __init__(self, database: Database, folder: Path, sshd: Sshd) -> None:
        self.database, self.folder, self.sshd = database, folder, sshd
        self.clock = Now()
        self.known_hosts = folder / "state" / "mithrild" / "known_hosts"
        self.seconds = 0.0

    def see(self, *things: Any, of: str = "instance.*") -> None:
        """A poll that saw this, of which the hook is told what is `of` these events."""
        self.seconds += 1
        keep(self.database, poll(self.seconds, *things, whole=frozenset()), [a_rule("hook", of, actions=("ssh",))])

    def node(self, number: int = 1, status: str = "STATUS_STARTING", **rest: Any) -> Any:
        given = {"ssh_destination": self.sshd.address, "name": f"train-{number}"} | rest
        return an_instance(f"inst_{number}", status, **given)

    def hook(self, command: str, timeout: str = "30s", **ssh: Any) -> Hook:
        table = {"command": command, "key": str(self.sshd.key)} | ssh
        values = {"name": "hook", "on": ["*"], "ssh": table, "timeout": timeout}
        return Hook.model_validate(values)

    def deliver(self, hook: Hook, meanwhile: Callable[[Dispatcher], Any] | None = None) -> tuple[Any, ...]:
        """(state, reason, output, exit code) of the last try of the last delivery, once nothing runs any more."""

        async def main() -> None:
            env = {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state")}
            async with dispatching(self.database, hook, clock=self.clock, env=env) as dispatcher:
                before = self.tries()
                if meanwhile is not None:
                    await meanwhile(dispatcher)
                await until(lambda: self.tries() > before and not self.running())

        asyncio.run(main())
        return self.last()

    def tries(self) -> int:
        return int(sql(self.database, "SELECT count(*) FROM attempts WHERE ended_at IS NOT NULL")[0][0])

    def running(self) -> bool:
        return ("running",) in deliveries(self.database, "state")

    def last(self) -> tuple[Any, ...]:
        query = (
            "SELECT state, d.reason, output, exit_code FROM attempts JOIN deliveries d ON d.id = delivery"
            " ORDER BY sequence DESC, number DESC LIMIT 1"
        )
        return sql(self.database, query)[0]


@contextmanager
def rig(folder: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Two nodes of one bid, at the sshd."""
    (folder / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with opened(folder / "db") as database:
        made = Rig(database, folder, sshd)
        nodes = [made.node(number, "STATUS_RUNNING", created_at=at(-3000 + number)) for number in (1, 2)]
        keep(database, poll(0, a_bid(instance_quantity=2), *nodes))
        yield made
