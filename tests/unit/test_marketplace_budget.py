"""The request budget, on a clock turned by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from mithrild.marketplace.budget import RequestBudget


class HandClock:
    """Sleeping turns it; nobody waits."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


def test_it_waits_for_the_oldest_request_to_leave_the_minute() -> None:
    clock = HandClock()
    budget = RequestBudget(clock, cap=10)

    async def main() -> list[float]:
        sent = []
        for _ in range(12):
            await budget.take()
            sent.append(clock.time - 1000)
            clock.time += 1
        return sent

    assert asyncio.run(main()) == [*range(9), 60, 61, 62]


def test_urgent_requests_go_past_those_that_wait() -> None:
    clock = HandClock()
    budget = RequestBudget(clock, cap=10)

    async def main() -> None:
        for _ in range(9):
            await budget.take()
        await budget.take(urgent=True)

    asyncio.run(main())
    assert clock.time == 1000
    assert budget.spent() == 10


def test_many_at_once_never_break_the_cap() -> None:
    clock = HandClock()
    budget = RequestBudget(clock, cap=7)
    sent: list[float] = []

    async def one(urgent: bool) -> None:
        await budget.take(urgent)
        sent.append(clock.time)
        assert budget.spent() <= 7

    async def main() -> None:
        await asyncio.gather(*(one(number % 3 == 0) for number in range(40)))

    asyncio.run(main())
    assert len(sent) == 40
    assert all(sum(then - 60 < other <= then for other in sent) <= 7 for then in sent)


def test_a_cancelled_wait_spends_nothing() -> None:
    class Standstill(HandClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    budget = RequestBudget(Standstill(), cap=1)

    async def main() -> None:
        await budget.take()
        waiting = asyncio.create_task(budget.take())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()

    asyncio.run(main())
    assert budget.spent() == 1


def test_the_cap_follows_a_reload() -> None:
    clock = HandClock()
    budget = RequestBudget(clock, cap=2)
    asyncio.run(budget.take())
    budget.cap = 100
    asyncio.run(budget.take())
    assert clock.time == 1000
    with pytest.raises(ValueError, match="at least 1"):
        budget.cap = 0
    assert budget.cap == 100


def test_spent_forgets_after_a_minute() -> None:
    clock = HandClock()
    budget = RequestBudget(clock)
    asyncio.run(budget.take())
    clock.time += 59.9
    assert budget.spent() == 1
    clock.time += 0.2
    assert budget.spent() == 0
