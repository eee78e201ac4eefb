"""Named points at which a crash could lose something or do it twice, by what stands around them.

Each is laid by putting something in the place of a function: for good in a process that is to die there, until the
end of a test in one that only behaves as if it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from mithrild import app
from mithrild.api import socket
from mithrild.fleet.model import Snapshot
from mithrild.store import backup, history, outbox, writing
from mithrild.store.database import Database
from mithrild.store.history import Learned
from mithrild.store.record import Recorded
from mithrild.watcher.recorder import Recorder
from mithrild.watcher.watch import Watch

Reached = Callable[[], None]  # does not come back, if this is the time to die
Put = Callable[[Any, str, Any], None]  # setattr, or one that can be taken back


def _after_the_fetch(reached: Reached, put: Put) -> None:
    record = Recorder.record

    async def doomed(self: Recorder, seen: Snapshot, *, changed: bool = True) -> Recorded:
        if changed:
            reached()
        return await record(self, seen, changed=changed)

    put(Recorder, "record", doomed)


def _around_the_commit(before: Reached, after: Reached, put: Put) -> None:
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

    put(Database, "write", doomed)


def _events(connection: Connection) -> int:
    return int(connection.execute(text("select count(*) from events")).scalar_one())


def _after_the_claim(reached: Reached, put: Put) -> None:
    claim = outbox.claim

    def doomed(*args: Any, **more: Any) -> Any:
        claimed = claim(*args, **more)
        if claimed:
            reached()
        return claimed

    put(outbox, "claim", doomed)


def _between_effect_and_record(reached: Reached, put: Put) -> None:
    settle = outbox.settle_all

    def doomed(*args: Any, **more: Any) -> Any:
        reached()
        return settle(*args, **more)

    put(outbox, "settle_all", doomed)


def _before_it_is_settled(reached: Reached, put: Put) -> None:
    settle = outbox.settle_all

    def doomed(database: Database, *args: Any, **more: Any) -> Any:
        return settle(_DoomedAtCommit(database, reached), *args, **more)  # type: ignore[arg-type]  # it only keeps

    put(outbox, "settle_all", doomed)


class _DoomedAtCommit:
    """A record that is about to be left half written."""

    def __init__(self, database: Database, reached: Reached) -> None:
        self._database, self._reached = database, reached

    def keep(self, work: Callable[[Connection], object]) -> None:
        def doomed(connection: Connection) -> None:
            work(connection)
            self._reached()

        self._database.keep(doomed)


def _before_the_history(reached: Reached, put: Put) -> None:
    remember = Recorder.remember

    async def doomed(self: Recorder, *args: Any, **more: Any) -> Learned:
        reached()
        return await remember(self, *args, **more)

    put(Recorder, "remember", doomed)


def _within_the_history(reached: Reached, put: Put) -> None:
    write = writing.write_transitions

    def doomed(connection: Connection, steps: Any, **more: Any) -> Any:
        written = write(connection, steps, **more)
        if written:
            reached()
        return written

    put(history, "write_transitions", doomed)


def _in_a_migration(reached: Reached, put: Put) -> None:
    """Before each of its statements."""
    from mithrild.store.migrations import run  # alembic is slow to load

    upgrade = run.upgrade

    def doomed(path: Any) -> None:
        def before(*_: Any) -> None:
            reached()

        event.listen(Engine, "before_cursor_execute", before)
        try:
            upgrade(path)
        finally:
            event.remove(Engine, "before_cursor_execute", before)

    put(run, "upgrade", doomed)


def _in_a_backup(reached: Reached, put: Put) -> None:
    """Before each of its steps."""
    for name in BACKUP_STEPS:
        put(backup, name, _doomed_before(getattr(backup, name), reached))


def _doomed_before(step: Callable[..., Any], reached: Reached) -> Callable[..., Any]:
    def doomed(*args: Any, **more: Any) -> Any:
        reached()
        return step(*args, **more)

    return doomed


def _around_the_socket(before: Reached, after: Reached, put: Put) -> None:
    bind = socket.bind

    def doomed(*args: Any, **more: Any) -> Any:
        before()
        bound = bind(*args, **more)
        after()
        return bound

    put(app, "bind", doomed)


def _in_a_reload(reached: Reached, put: Put) -> None:
    new_key = Watch.new_key

    def doomed(self: Watch) -> None:
        reached()
        new_key(self)

    put(Watch, "new_key", doomed)


def _nothing() -> None:
    pass


MIGRATION, RELOAD, BACKUP = "in a migration", "in a reload", "in a backup"
LATE_STEPS = "before the history is kept"
BACKUP_STEPS = ("copy", "compact", "verify", "publish")
POINTS: Mapping[str, Callable[[Reached, Put], None]] = {
    "after the fetch": _after_the_fetch,
    "before the commit": lambda reached, put: _around_the_commit(reached, _nothing, put),
    "after the commit": lambda reached, put: _around_the_commit(_nothing, reached, put),
    "between claim and effect": _after_the_claim,
    "between effect and record": _between_effect_and_record,
    "before it is settled": _before_it_is_settled,
    "between history and record": _before_the_history,
    LATE_STEPS: _within_the_history,
    "before the socket": lambda reached, put: _around_the_socket(reached, _nothing, put),
    "after the socket": lambda reached, put: _around_the_socket(_nothing, reached, put),
    MIGRATION: _in_a_migration,
    RELOAD: _in_a_reload,
    BACKUP: _in_a_backup,
}
AT_START = ("before the socket", "after the socket", MIGRATION, RELOAD, BACKUP)  # of a program rather than of its work


def most(point: str) -> int:
    """How often a point may be passed before the death: a migration has many statements, a start one socket, and what
    nobody saw is told once a life, if there is any."""
    often = {MIGRATION: 28, BACKUP: len(BACKUP_STEPS), LATE_STEPS: 1}
    return often.get(point, 1 if point in AT_START else 3)


def lay(point: str, nth: int, die: Reached, put: Put = setattr) -> None:
    """From now on `die` is called when the point is reached for the nth time, and never before or after."""
    left = nth

    def reached() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            die()

    POINTS[point](reached, put)
