"""What the watch knows of itself, for `ml daemon status` and for the age of every answer. In memory only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from mithrild.fleet.auction_clock import Rhythm
from mithrild.fleet.pace import Pace

MINUTE = 60.0


@dataclass(slots=True)
class Health:
    pace: Pace = "idle"
    interval: float = 0.0  # seconds to the next poll, as last planned
    usual: float = 0.0  # seconds between two polls while all is well
    polls: int = 0
    recent: deque[float] = field(default_factory=deque)  # when the polls of the last minute were, monotonic
    discarded: int = 0  # polls that were not complete
    set_aside: int = 0  # items that could not be read
    last_set_aside: str | None = None
    reachable: bool = True
    last_error: str | None = None
    failing_since: datetime | None = None
    key: Literal["ok", "missing", "refused", "unknown"] = "unknown"
    key_message: str | None = None
    user: str | None = None  # whose key it is
    ahead: timedelta | None = None  # the marketplace's clock minus ours, None before it answered
    rhythm: Rhythm | None = None  # of the auctions, None while it is not known
    market_at: datetime | None = None  # when the prices were last looked at

    def polled(self, now: float) -> None:
        """A poll ended, well or badly; `now` is monotonic."""
        self.polls += 1
        self.recent.append(now)
        self.polls_a_minute(now)

    def polls_a_minute(self, now: float) -> int:
        while self.recent and self.recent[0] + MINUTE <= now:
            self.recent.popleft()
        return len(self.recent)

    def put_aside(self, lines: list[str]) -> None:
        if lines:
            self.set_aside += len(lines)
            self.last_set_aside = lines[-1]
