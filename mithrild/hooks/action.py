"""What an action is: one small object that carries out one try, and says how it ended.

What becomes of the delivery then (another try, and when; done; dead) is decided by `fleet/tries.py`, the same
way for every action.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from mithrild.config import Hook
from mithrild.fleet.tries import Ending
from mithrild.store.outbox import Claim


@dataclass(frozen=True)
class Job:
    """One try of one delivery, or of several that go out together. `stop` is set when the daemon ends: then a try
    comes to its end at once."""

    hook: Hook
    claim: Claim
    stop: asyncio.Event

    @cached_property
    def event(self) -> Mapping[str, Any]:
        """The stored CloudEvents object; what changes from try to try stands in the claim."""
        return self.events[0]

    @cached_property
    def events(self) -> Sequence[Mapping[str, Any]]:
        """One for each delivery that goes out together."""
        return [json.loads(claim.body) for claim in (self.claim, *self.claim.together)]


@dataclass(frozen=True, slots=True)
class Result:
    """How a try ended. `reason` is one line for people, `output` what the target printed or answered.

    `retry_after`: seconds before which the target asked not to be tried again. `progress` is handed to the next try in
    its claim. `changed`: machines that were seen with another host key than before.
    """

    ending: Ending
    reason: str | None = None
    output: str = ""
    exit_code: int | None = None
    signal: int | None = None
    retry_after: float | None = None
    progress: str | None = None
    changed: tuple[KeyChange, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyChange:
    """`before` and `after` are fingerprints."""

    instance: str  # fid
    before: str
    after: str


class Action(Protocol):
    async def deliver(self, job: Job) -> Result:
        """Carries out one try. A target that fails is a result, never an exception."""
