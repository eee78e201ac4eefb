"""The real clock, whose wall part can be set, for us and for the scheduler alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import cast

from mithrild.clock import SystemClock


class JumpingClock(SystemClock):
    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def as_datetime(self) -> type[datetime]:
        """What stands in for `datetime` where the scheduler asks for the time."""
        clock = self

        class Jumping(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Jumping:
                return cast(Jumping, clock.now().astimezone(tz))

        return Jumping
