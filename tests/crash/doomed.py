"""`mithrild run`, killed from within at a named point: `doomed.py POINT NTH run --config FILE`.

The points are those where a crash could lose something or do it twice. The kill is a real SIGKILL of the real
program; only the moment is chosen here, by what stands around the point.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from mithrild.__main__ import main
from mithrild.fleet.model import Snapshot
from mithrild.store import outbox
from mithrild.store.database import Database
from mithrild.store.record import Recorded
from mithrild.watcher.recorder import Recorder

Reached = Callable[[], None]


def _after_the_fetch(reached: Reached) -> None:
    record = Recorder.record

    async def doomed(self: Recorder, seen: Snapshot, *, changed: bool = True) -> Recorded:
        if changed:
            reached()
        return await record(self, seen, changed=changed)

    Recorder.record = doomed  # type: ignore[method-assign]  # that is what dying at a point takes


def _around_the_commit(before: Reached, after: Reached) -> None:
    """A commit that holds events; the many others are not worth dying for."""
    write = Database.write

    @contextmanager
    def doomed(self: Database) -> Iterator[Connection]:
        with write(self) as connection:
            held = _events(connection)
            yield connection
            news = _events(connection) > held
            if news:
                before()
        if news:
            after()

    Database.write = doomed  # type: ignore[method-assign]  # that is what dying at a point takes


def _events(connection: Connection) -> int:
    return int(connection.execute(text("select count(*) from events")).scalar_one())


def _after_the_claim(reached: Reached) -> None:
    claim = outbox.claim

    def doomed(*args: Any, **more: Any) -> Any:
        claimed = claim(*args, **more)
        if claimed:
            reached()
        return claimed

    outbox.claim = doomed


def _between_effect_and_record(reached: Reached) -> None:
    settle = outbox.settle

    def doomed(*args: Any, **more: Any) -> Any:
        reached()
        return settle(*args, **more)

    outbox.settle = doomed


def _nothing() -> None:
    pass


POINTS: dict[str, Callable[[Reached], None]] = {
    "after the fetch": _after_the_fetch,
    "before the commit": lambda reached: _around_the_commit(reached, _nothing),
    "after the commit": lambda reached: _around_the_commit(_nothing, reached),
    "between claim and effect": _after_the_claim,
    "between effect and record": _between_effect_and_record,
}


def doom(point: str, nth: int) -> None:
    """From now on the process dies when it comes to the point for the nth time."""
    left = nth

    def reached() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    POINTS[point](reached)


if __name__ == "__main__":
    doom(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
