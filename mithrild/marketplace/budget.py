"""How many requests a minute we allow ourselves, and who takes them. The marketplace documents no limit, so we keep
one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mithrild.clock import Clock
from mithrild.fleet.schedule import WINDOW, request_delay

_behalf: ContextVar[str] = ContextVar("behalf", default="commands")


@contextmanager
def on_behalf_of(whom: str) -> Iterator[None]:
    """What is asked in here, and in the tasks that are begun in here, is asked by `whom`: "polls", "prices" and so
    on. What a person's command asks is asked by "commands"."""
    token = _behalf.set(whom)
    try:
        yield
    finally:
        _behalf.reset(token)


class RequestBudget:
    """At most `cap` requests in any sliding minute, a tenth of them for what is urgent.

    It counts on the monotonic clock. That stands still while the machine sleeps, which can only make a
    wait too long, by a minute at most, and never spend too much.
    """

    def __init__(self, clock: Clock, cap: int = 300) -> None:
        self._clock = clock
        self._spent: deque[float] = deque()
        self._behalf: deque[str] = deque()  # of each of these
        self.cap = cap
        self.total: Counter[str] = Counter()  # requests ever, so that what a poll costs can be told

    @property
    def cap(self) -> int:
        """Requests per minute. May be set at any time; who waits already looks again when it wakes."""
        return self._cap

    @cap.setter
    def cap(self, cap: int) -> None:
        if cap < 1:
            raise ValueError(f"a request budget needs at least 1 request a minute, not {cap}")
        self._cap = cap

    async def take(self, urgent: bool = False) -> None:
        """Return once one more request may be sent. Cancelled while it waits, it has spent nothing."""
        while (delay := self._delay(urgent)) > 0:
            await self._clock.sleep(delay)
        self._spent.append(self._clock.monotonic())
        self._behalf.append(_behalf.get())
        self.total[_behalf.get()] += 1

    def spent(self) -> int:
        """Requests sent during the last minute."""
        self._forget()
        return len(self._spent)

    def spent_by(self) -> dict[str, int]:
        """The same by who sent them, the greediest first."""
        self._forget()
        return dict(Counter(self._behalf).most_common())

    def _delay(self, urgent: bool) -> float:
        self._forget()
        return request_delay(self._spent, self._clock.monotonic(), self._cap, urgent)

    def _forget(self) -> None:
        now = self._clock.monotonic()
        while self._spent and self._spent[0] + WINDOW <= now:
            self._spent.popleft()
            self._behalf.popleft()
