"""What the API needs of whoever keeps the record in order. The daemon's own is in the watcher."""

from __future__ import annotations

from typing import Protocol

from mithrild.store.backup import BackupState
from mithrild.store.growth import Growth


class Upkeep(Protocol):
    @property
    def growth(self) -> Growth | None:
        """As last measured."""

    @property
    def waits(self) -> str | None:
        """Why nothing is dropped at present."""

    @property
    def backups(self) -> BackupState: ...

    def back_up(self) -> int: ...
