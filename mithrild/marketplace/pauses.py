"""`Retry-After`, obeyed by every request: until a pause is over, none is sent that it forbids."""

from __future__ import annotations

from mithrild.clock import Clock
from mithrild.errors import Paused, Unreachable

ALL = ""  # stands for every path


class Pauses:
    """429 asks the whole client to slow down; another status (503) speaks of the one path that it answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, tuple[float, str]] = {}  # path -> (monotonic end, the words that asked for it)

    def note(self, path: str, status: int, refused: Unreachable) -> None:
        if refused.retry_after:
            end = self._clock.monotonic() + refused.retry_after
            self._until[ALL if status == 429 else path] = end, str(refused)

    async def over(self, path: str, *, patience: float) -> None:
        """Returns when nothing forbids a request for this path. What would take longer than `patience` seconds
        raises Paused, in the marketplace's own words and with the seconds that are left."""
        while pause := self._pause(path):
            end, words = pause
            left = end - self._clock.monotonic()
            if left > patience:
                raise Paused(words, left)
            await self._clock.sleep(left)

    def _pause(self, path: str) -> tuple[float, str] | None:
        now = self._clock.monotonic()
        self._until = {held: pause for held, pause in self._until.items() if pause[0] > now}
        return max((self._until[held] for held in (ALL, path) if held in self._until), default=None)
