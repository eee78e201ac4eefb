"""What becomes of a delivery after a try. Pure: how the try ended in, what to write down out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mithrild.fleet.schedule import retry_gap

# done; retry: may succeed later; failed: for good; interrupted: we cut it short, and nobody knows how far it came;
# off: the target says that it wants no more of these, ever; put_off: it was not tried at all, since its target is to be
# left alone for now.
Ending = Literal["done", "retry", "failed", "interrupted", "off", "put_off"]
State = Literal["done", "pending", "failed", "expired", "dead"]


@dataclass(frozen=True, slots=True)
class Next:
    """`pending` tries again after `gap` seconds; every other state is the end. An interruption does not count."""

    state: State
    reason: str | None
    gap: float | None = None
    counts: bool = True


def after(
    ending: Ending,
    reason: str | None,
    *,
    tries: int,
    most: int,
    left: float | None,
    draw: float,
    retry_after: float | None = None,
) -> Next:
    """What follows the try number `tries` (this one included, interrupted ones not).

    `most` counts tries, not hours, so a machine that sleeps uses none up. `left` is the number of seconds before the
    deadline of a notice, None without one; a notice is tried until then, however often. `draw`: see schedule.
    """
    if ending == "interrupted":
        return Next("pending", reason, 0.0, counts=False)
    if ending == "put_off":
        return Next("pending", reason, retry_after or 0.0, counts=False)
    if ending != "retry":
        return Next("done" if ending == "done" else "failed", reason)
    if left is None and tries >= most:
        return Next("dead", f"{reason}; that was try {tries} of {most}")
    gap = retry_gap(tries, until_deadline=left, draw=draw, retry_after=retry_after)
    if gap is None:
        return Next("expired", f"{reason}; its deadline leaves no time for another try")
    return Next("pending", reason, gap)
