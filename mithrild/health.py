"""What the watch knows of itself, for `ml daemon status` and for the age of every answer. In memory only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(slots=True)
class Health:
    interval: float = 0.0  # seconds to the next poll, as last planned
    usual: float = 0.0  # seconds between two polls while all is well
    polls: int = 0
    discarded: int = 0  # polls that were not complete
    set_aside: int = 0  # items that could not be read
    last_set_aside: str | None = None
    reachable: bool = True
    last_error: str | None = None
    failing_since: datetime | None = None
    key: Literal["ok", "missing", "refused", "unknown"] = "unknown"
    key_message: str | None = None
    user: str | None = None  # whose key it is
    market_at: datetime | None = None  # when the prices were last looked at

    def put_aside(self, lines: list[str]) -> None:
        if lines:
            self.set_aside += len(lines)
            self.last_set_aside = lines[-1]
