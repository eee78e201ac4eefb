"""What really happened, in order: the truth that a watcher's record can be held against."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

Kind = Literal["bid", "instance", "cluster"]
KEPT = 500_000


@dataclass(frozen=True, slots=True)
class Step:
    """One transition, in the API's words. `at` is seconds since the epoch on the marketplace's clock."""

    seq: int
    at: float
    kind: Kind
    subject: str
    bid: str | None
    project: str
    aspect: Literal["status", "limit_price"]
    before: str | None
    after: str


class Timeline:
    def __init__(self) -> None:
        self._steps: deque[Step] = deque(maxlen=KEPT)
        self.newest = 0

    def add(
        self,
        at: float,
        kind: Kind,
        subject: str,
        *,
        bid: str | None,
        project: str,
        before: str | None,
        after: str,
        aspect: Literal["status", "limit_price"] = "status",
    ) -> None:
        self.newest += 1
        self._steps.append(Step(self.newest, at, kind, subject, bid, project, aspect, before, after))

    def after(self, seq: int, limit: int) -> list[Step]:
        """At most `limit` steps whose number is greater than `seq`, oldest first."""
        if not self._steps:
            return []
        start = max(0, seq + 1 - self._steps[0].seq)
        return [self._steps[at] for at in range(start, min(start + limit, len(self._steps)))]
