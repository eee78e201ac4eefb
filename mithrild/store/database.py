"""The open database: who may read, who may write, whose record it is, and what happens while the disk refuses."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from loguru import logger
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DatabaseError

from mithrild.clock import Clock, SystemClock
from mithrild.errors import ForeignAccount, StoreError
from mithrild.logs import Trouble
from mithrild.store.disk import Disk, diagnose
from mithrild.store.engine import impatient, open_database
from mithrild.store.held import Held
from mithrild.store.identity import identify
from mithrild.store.reserve import Reserve
from mithrild.store.tables import Meta, table_of

RESERVE_EVERY = 60.0  # seconds between two looks whether there is room for a reserve

_meta = table_of(Meta)
Result = TypeVar("Result")


class Database:
    """One writer at a time (a lock here, `BEGIN IMMEDIATE` there); any number of readers beside it.

    `id` is the name of the record, which stands in every event id, so that a cursor of another record is recognised;
    `restored_from` is when the backup was made that this opening has turned into the record.

    What can wait for a disk that refuses is written by `write`, which then raises StoreError. What cannot is given to
    `keep`, and held in memory until `mend`, which is to be called every few seconds, finds that the disk takes it.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._held: Held | None = None
        self._trouble = Trouble("record", self._clock)
        self._reserve = Reserve(path.with_name(f"{path.name}-reserve"))
        self._looked_for_room: float | None = None
        self.mended = 0  # how often what was held has been written down
        self.writing_since: float | None = None  # monotonic, while a write is under way: for the watchdog
        try:
            self._open()
        except StoreError as error:
            # Even to read, SQLite needs some room of its own beside the file.
            if error.kind != "full" or not self._reserve.give_up():
                raise
            logger.warning("{}; the reserve was given up", error)
            self._open()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or not at all. Raises StoreError if the disk refuses, and while
        anything is held: that has to be written first."""
        with self._lock:
            if self._held is not None:
                raise StoreError(str(self._held.refused), self._held.refused.kind)
            with self._transaction() as connection:
                yield connection

    def keep(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns, which is run in a transaction. If the disk refuses it is run again, in memory: so it
        must do nothing but read and write rows, and delete none. Raises StoreError if not even that can be done."""
        with self._lock:
            held = self._held
            if held is None:
                try:
                    with self.write() as connection:
                        return work(connection)
                except StoreError as error:
                    held = self._held = self._hold(error)
            with self._told("write"), held.transaction() as connection:
                result = work(connection)
            # A poll cursor is no reason to spend the reserve, for then it is not there for a notice.
            if held.refused.kind == "full" and any(held.counts()) and self._reserve.give_up():
                logger.warning("{}; the reserve was given up", held.refused)
                self.mend()
            if self._held is not None:
                self._trouble.failed(f"{self._held.refused}; until then what happens is held in memory")
            return result

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """What is known, with what is held: a consistent view, all statements inside see the same moment. Raises
        StoreError if the disk refuses. While anything is held this has no past deliveries, and no bodies of past
        events."""
        with self._still_held() as held:
            if held is None:
                with self.read_kept() as connection:
                    yield connection
            else:
                with self._told("read"), held.transaction() as connection:
                    yield connection

    @contextmanager
    def read_kept(self) -> Iterator[Connection]:
        """The same, of nothing but what is written down."""
        with self._told("read"), self._reader.begin() as connection:
            yield connection

    def mend(self) -> None:
        """Tries to write down what is held. When nothing is, sees to the reserve now and then."""
        with self._lock:
            if self._held is not None:
                self._restore(self._held)
            now = self._clock.monotonic()
            if self._held is None and (self._looked_for_room is None or now - self._looked_for_room >= RESERVE_EVERY):
                first, self._looked_for_room = self._looked_for_room is None, now
                made = self._reserve.make()
                if made and not first:
                    logger.info("there is room again: the reserve is made anew")
                elif first and not self._reserve.allocated:
                    logger.warning("too little is free on the disk of {} to keep a reserve", self.path)

    @property
    def disk(self) -> Disk:
        """How the disk does, and what is held."""
        with self._still_held() as held:
            if held is None:
                return Disk(reserve=self._reserve.allocated)
            transitions, deliveries, results = held.counts()
            refused = held.refused
            return Disk(
                refused.kind, held.since, str(refused), transitions, deliveries, results, self._reserve.allocated
            )

    def claim_for(self, api_url: str, organization: str | None) -> None:
        """Ties the record to one account, or raises ForeignAccount if it is another's.

        Without an organization nobody has answered at that address yet: it is compared, and not written down.
        """
        mine = {"api_url": api_url.rstrip("/").removesuffix("/v2"), "organization": organization}

        def claim(connection: Connection) -> None:
            held = dict(connection.execute(select(_meta.c.key, _meta.c.value)).all())
            for key, value in mine.items():
                if value is None:
                    continue
                if key in held and held[key] != value:
                    raise ForeignAccount(
                        f"{self.path} is the record of another account ({key} {held[key]}, not {value}): "
                        "use its key again, or point state_dir at another folder"
                    )
                if key not in held and organization is not None:
                    connection.execute(insert(_meta).values(key=key, value=value))

        self.keep(claim)

    def account(self) -> dict[str, str]:
        with self.read() as connection:
            return dict(connection.execute(select(_meta.c.key, _meta.c.value)).all())

    def wal_bytes(self) -> int:
        """How long the file is that commits are written to first."""
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def holds(self) -> bool:
        """Whether anything is held."""
        return self._held is not None

    def close(self) -> None:
        """Tries a last time to write down what is held."""
        with self._lock:
            if self._held is not None:
                self._restore(self._held)
            if self._held is not None:
                lost = "{} transitions and {} ends of hooks are lost with this process: the next start looks again"
                logger.error(f"{{}}; {lost}", self._held.refused, *self._held.counts()[::2])
                self._held.close()
                self._held = None
        self._writer.dispose()
        self._reader.dispose()

    def _open(self) -> None:
        self._writer, self._reader = open_database(self.path)
        try:
            with self.write() as connection:
                self.id, self.restored_from = identify(connection)
        except StoreError:
            self.close()
            raise

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        self.writing_since = time.monotonic()
        try:
            with self._told("write"), self._writer.begin() as connection:
                yield connection
        finally:
            self.writing_since = None

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            kind, words = diagnose(error.orig, self.path)
            if kind is None and verb == "write":
                words += "; nothing of it was kept"
            raise StoreError(f"cannot {verb} {self.path}: {words}", kind) from error

    def _hold(self, refused: StoreError) -> Held:
        """From here on the record goes on in memory. Raises `refused` if it is not the disk, or that cannot be done."""
        if refused.kind is None:
            raise refused
        try:
            return Held(self.path, refused, self._clock.now())
        except (DatabaseError, sqlite3.Error):
            raise refused from None

    def _restore(self, held: Held) -> None:
        """Lays what is held over the file, or leaves all as it is."""
        transitions, _, results = held.counts()
        done = f"{transitions} transitions and {results} ends of hooks that were held are written"
        try:
            with impatient(self._writer), self._transaction() as connection:
                held.lay_over(connection)
        except StoreError as error:
            if error.kind is not None:
                held.refused = error
                return
            # Somebody else has written meanwhile.
            logger.error("{}", error)
            done = f"{transitions} transitions and {results} ends of hooks that were held do not fit it and are lost"
        self._held = None
        held.close()
        self.mended += 1
        self._trouble.recovered(f": {done}")

    @contextmanager
    def _still_held(self) -> Iterator[Held | None]:
        """What is held, and stays open meanwhile. None if nothing is."""
        held = self._held
        with nullcontext() if held is None else held.lock:
            yield None if held is None or held.closed else held
