"""Makes a backup when one is due, and when somebody asks for one. One at a time, in a thread of its own.

When the next is due stands in the names of those that are there: a daemon that is started twice a day makes no more
than one that runs on.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event

from loguru import logger

from mithrild.clock import Clock
from mithrild.config import Config
from mithrild.errors import MithrildError, StoreError
from mithrild.fleet import backups
from mithrild.folder import private_folder
from mithrild.logs import Trouble
from mithrild.store import backup
from mithrild.store.backup import Backup, BackupState, Cancelled


class Backups:
    def __init__(self, config: Callable[[], Config], record: Path, clock: Clock) -> None:
        self._config, self._record, self._clock = config, record, clock
        self._trouble = Trouble("backup", clock)
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self._stopping = Event()
        self._lock: tuple[Path, ExitStack] | None = None
        self._state = BackupState(config().backup_folder, config().backup.every, config().backup.keep)

    @property
    def state(self) -> BackupState:
        return self._state

    async def look(self, *, only: bool = False) -> datetime | None:
        """Starts one if it is due, unless this is `only` to look. When the next one is."""
        run = self._state.run
        if self._state.stage is not None:
            return self._state.next_at
        settings, folder = self._config().backup, self._config().backup_folder
        self._state = replace(self._state, folder=folder, every=settings.every, keep=settings.keep)
        try:
            held = await asyncio.to_thread(backup.listing, folder)
        except StoreError as error:
            self._failed(str(error))
            return self._state.next_at
        if self._state.run != run:  # somebody asked for one meanwhile: its end will tell what there is
            return self._state.next_at
        self._state = replace(self._state, held=tuple(held))
        due = self._plan()
        if due is not None and due <= self._clock.now() and not only:
            self.start()
        return due

    def start(self) -> int:
        """Begins one, unless one is under way. Returns the number of its run."""
        if self._state.stage is None:
            self._state = replace(self._state, run=self._state.run + 1, stage="starting", share=None)
            self._task = asyncio.create_task(self._run())
        return self._state.run

    async def stop(self) -> None:
        """One that is under way is given up: it is made at the next start."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._lock is not None:
            self._lock[1].close()

    async def _run(self) -> None:
        folder, keep = self._config().backup_folder, self._config().backup.keep
        try:
            made, held = await asyncio.to_thread(self._make, folder, keep)
        except Cancelled as error:
            self._state = replace(self._state, stage=None, share=None, made=None, error=str(error))
        except MithrildError as error:
            self._failed(str(error))
        except Exception as error:
            logger.exception("the backup failed in a way that was not foreseen; please report this")
            self._failed(f"not foreseen: {type(error).__name__}: {error}")
        else:
            self._failures = 0
            self._trouble.recovered()
            logger.info("a backup was made: {} ({:.1f} MB)", made.path, made.bytes / 1e6)
            self._state = replace(self._state, held=tuple(held), failed_at=None)
            self._plan()
            # The end of the run is told last: whoever sees it sees all that came of it.
            self._state = replace(self._state, stage=None, share=None, made=made, error=None)

    def _make(self, folder: Path, keep: int) -> tuple[Backup, list[Backup]]:
        self._hold(folder)
        held = backup.listing(folder)
        at = backups.free_moment(self._clock.now(), [one.path.name for one in held])
        made = backup.make(self._record, folder, at, told=self._told, cancelled=self._stopping.is_set)
        backup.remove_surplus(folder, keep, made)
        return made, backup.listing(folder)

    def _hold(self, folder: Path) -> None:
        """The folder is this daemon's for as long as it runs: another would remove its backups for surplus ones."""
        if self._lock is not None and self._lock[0] == folder:
            return
        with ExitStack() as stack:
            descriptor = stack.enter_context(private_folder(folder))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"another daemon keeps its backups in {folder}: name another as backup.folder"
                ) from None
            except OSError as error:  # not every network's file system has locks
                logger.debug("the folder {} cannot be locked: {}", folder, error.strerror)
            if self._lock is not None:
                self._lock[1].close()
            self._lock = folder, stack.pop_all()

    def _told(self, stage: str, share: float | None) -> None:
        self._state = replace(self._state, stage=stage, share=share)

    def _failed(self, why: str) -> None:
        self._failures += 1
        self._trouble.failed(f"it could not be made: {why}")
        self._state = replace(self._state, failed_at=self._clock.now())
        self._plan()
        self._state = replace(self._state, stage=None, share=None, made=None, error=why)

    def _plan(self) -> datetime | None:
        held = {one.path.name: one.taken_at for one in self._state.held}
        due = backups.due_at(held, self._state.every, self._clock.now())
        if due is not None and self._state.failed_at is not None:
            due = max(due, self._state.failed_at + backups.after_failures(self._failures))
        self._state = replace(self._state, next_at=due)
        return due
