"""When to ask again, and when to try again. Pure: the time and the randomness are passed in.

Every `draw` is a float in 0..1 from the caller's own source of randomness. Everything counts in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW = 60.0  # the request budget counts over any sliding minute
POLL_SHARE = 0.8  # of the budget at most; the rest is for commands, deadlines and second tries
URGENT_SHARE = 0.1  # of the budget is kept for deadlines and writes
LONGEST_OUTAGE_GAP = 300.0
LONGEST_RETRY_GAP = 3600.0

# A notice gives five minutes: these gaps put nine tries into it, most of them early.
DEADLINE_GAPS = (2.0, 5.0, 10.0, 20.0, 40.0)
GATHERED = "notify"  # the action whose deliveries go out together: one message of several nodes
GATHERING = 2.0  # the longest that a message waits for more of its kind …
GATHERING_SHARE = 0.1  # … and never longer than this part of the time left
ROOM_FOR_A_TRY = 1.0  # a try that starts with less than this before its deadline would come to nothing


def backoff(attempt: int, draw: float, *, first: float = 1, cap: float = 300) -> float:
    """Seconds to wait after the failed try number `attempt` (from 1), with equal jitter.

    The base doubles from `first` up to `cap`; half of it is certain and the other half is drawn, so that
    many waiters spread out and yet none comes back at once.
    """
    doublings = min(max(attempt, 1) - 1, 62)  # 2**62 s is beyond every cap; more would overflow a float
    base = min(cap, first * 2.0**doublings)
    return base / 2 + draw * base / 2


def next_poll(
    interval: float, *, failures: int, draw: float, retry_after: float | None, cost: int, cap_per_minute: int
) -> float:
    """Seconds until the next poll.

    `interval` is the wait while all is well (`fleet.pace`); `failures` counts the polls that failed in a row;
    `cost` is how many requests the last poll took. The answer is never less than `retry_after`.
    """
    affordable = WINDOW * cost / (POLL_SHARE * max(cap_per_minute, 1))
    wait = max(interval, affordable)
    if failures > 0:
        # From a second at least: the sandbox polls four times a second, and an outage needs no such haste.
        gap = backoff(failures, draw, first=max(interval, 1.0), cap=LONGEST_OUTAGE_GAP)
        wait = max(wait, gap)
    return max(wait, retry_after or 0.0)


def retry_gap(
    attempt: int, *, until_deadline: float | None, draw: float, retry_after: float | None = None
) -> float | None:
    """Seconds from the failed delivery number `attempt` (from 1) to the next, or None for no further one.

    With a deadline the gaps are those of a notice, the last one cut so that a try still fits before it.
    Without one: 10 s doubling to an hour, with equal jitter, for as long as the caller likes. A target that asks for
    more time (`retry_after`, seconds) gets it, but never past the deadline, nor more than an hour.
    """
    asked = max(retry_after or 0.0, 0.0)
    if until_deadline is None:
        return min(max(backoff(attempt, draw, first=10, cap=LONGEST_RETRY_GAP), asked), LONGEST_RETRY_GAP)
    gap = DEADLINE_GAPS[min(max(attempt, 1), len(DEADLINE_GAPS)) - 1]
    gap = min(max(gap, asked), until_deadline - ROOM_FOR_A_TRY)
    return gap if gap > 0 else None


def gathering(until_deadline: float | None) -> float:
    """Seconds that the first message about a node of a bid waits for those about the others."""
    return GATHERING if until_deadline is None else min(GATHERING, max(until_deadline, 0.0) * GATHERING_SHARE)


def request_delay(spent_times: Sequence[float], now: float, cap: int, urgent: bool) -> float:
    """Seconds until one more request is within `cap` in any sliding minute; 0 means now.

    `spent_times` are the monotonic times of earlier requests, oldest first. What is not urgent leaves
    a tenth of the cap (at least one request, where the cap has two) untouched.
    """
    allowance = max(cap, 1)
    if not urgent:
        allowance = max(allowance - math.ceil(allowance * URGENT_SHARE), 1)
    within = [spent for spent in spent_times if spent + WINDOW > now]
    if len(within) < allowance:
        return 0.0
    # As many of the oldest must leave the window as makes room for one; more than one after a lowered cap.
    return within[len(within) - allowance] + WINDOW - now
