"""Two conditions of the watch itself, as rows and events: is the marketplace there, and does it take our key?

Each change is told once, also across restarts: the last row of the condition is what it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from loguru import logger

from mithrild.fleet.model import Kind, Transition
from mithrild.fleet.routing import HookRule
from mithrild.store.database import Database
from mithrild.store.record import record_condition

Condition = Literal["reachable", "unreachable", "accepted", "rejected"]

_TYPES: dict[Condition, tuple[Kind, str | None]] = {
    "reachable": ("marketplace", "marketplace.recovered"),
    "unreachable": ("marketplace", "marketplace.unreachable"),
    "accepted": ("credentials", None),  # a key that works is no news
    "rejected": ("credentials", "credentials.rejected"),
}


class Conditions:
    def __init__(
        self,
        database: Database,
        subject: str,
        rules: Callable[[], Sequence[HookRule]],
        host: str,
        on_commit: Callable[[], None],
    ) -> None:
        self._database, self._subject, self._rules = database, subject, rules
        self._host, self._on_commit = host, on_commit
        self._told: dict[Kind, Condition] = {}

    async def are(self, condition: Condition, now: datetime) -> None:
        """States what is so. Nothing happens unless it was otherwise."""
        kind, type = _TYPES[condition]
        if self._told.get(kind) == condition:
            return
        step = Transition(
            kind=kind,
            subject=self._subject,
            project="",
            bid=None,
            aspect="status",
            before=None,
            after=condition,
            type=type or f"{kind}.{condition}",
            observed_at=now,
            window_start=None,
            baseline=type is None,
        )
        changed = await asyncio.to_thread(record_condition, self._database, step, self._rules(), host=self._host)
        self._told[kind] = condition
        if changed:
            logger.debug("{} is now {}", kind, condition)
            self._on_commit()
