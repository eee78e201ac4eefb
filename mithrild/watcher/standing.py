"""How we stand with the marketplace: does it answer, all that is asked of it, and does it take our key?

Each of the three troubles is said in the log when it begins and when it ends, however many polls it lasts; two of them
are events too (`conditions`). Of an outage that is told once it has lasted for two minutes, polled or not: a
Retry-After may be an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mithrild.clock import Clock
from mithrild.errors import BrokenAnswer, KeyUnusable, MarketplaceError, Paused, StoreError, Unreachable
from mithrild.health import Health
from mithrild.logs import Trouble
from mithrild.watcher.cadence import Beat, Cadence
from mithrild.watcher.conditions import Condition, Conditions

UNREACHABLE_AFTER = timedelta(minutes=2)
SELDOM = 3600.0  # seconds until the beat runs again that has nothing to do until it is laid down anew


class Standing:
    """Keeps what `health` says of it. `failures` counts the polls in a row in which nothing answered as it should."""

    def __init__(self, conditions: Conditions, cadence: Cadence, clock: Clock, health: Health, disk: Trouble) -> None:
        self._conditions, self._cadence, self._clock = conditions, cadence, clock
        self._health, self._disk = health, disk
        self._outage, self._gaps = Trouble("marketplace", clock), Trouble("marketplace", clock)
        self._lockout = Trouble("marketplace", clock)
        self.failures = 0

    @property
    def away(self) -> bool:
        return self.failures > 0 or not self._health.reachable

    async def answered(self, trouble: Sequence[str]) -> None:
        """A poll was answered; `trouble` has a line for each thing that could not be asked."""
        self.failures = 0
        recovered = self._outage.recovered()
        if trouble:
            self._health.discarded += 1
            self._health.last_error = trouble[0]
            self._gaps.failed(f"{trouble[0]}; nothing is concluded from what is missing")
        else:
            self._health.last_error = None
            recovered |= self._gaps.recovered()
        if recovered:
            self._look_at_the_rest()
        await self._is_there()

    async def failed(self, error: MarketplaceError) -> None:
        """A poll came to nothing."""
        if not (self.failures and isinstance(error, Paused)):
            self.failures += 1  # what was not asked says nothing new, and is no reason to come back later still
        self._health.discarded += 1
        self._health.last_error = str(error)
        if not isinstance(error, Unreachable | BrokenAnswer):
            self._outage.recovered()  # it said no, but it spoke
            self._gaps.failed(str(error))
            await self._is_there()
            return
        self._outage.failed(str(error))
        self._health.reachable = False
        if self._health.failing_since is None:
            self._health.failing_since = self._clock.now()
            self._cadence.add(Beat("outage", self._mind_outage), delay=UNREACHABLE_AFTER.total_seconds())
        await self._mind_outage()

    async def refused(self, error: MarketplaceError, *, missing: bool, places: str) -> None:
        """The key is `missing`, or was refused; `places` says where one is looked for."""
        health = self._health
        if isinstance(error, KeyUnusable):
            health.failing_since = None  # nothing was asked: of an outage nothing more can be said
        else:
            self.failures = 0
            self._outage.recovered()
            await self._is_there()
        health.discarded += 1
        health.key, health.key_message = ("missing" if missing else "refused"), str(error)
        health.last_error = "there is no API key" if missing else str(error)
        what = "there is no API key; it" if missing else f"the key was refused ({error}); a key"
        self._lockout.failed(f"{what} is looked for in {places}")
        if not missing:
            await self._tell("rejected")

    async def accepted(self) -> None:
        self._health.key, self._health.key_message = "ok", None
        if self._lockout.recovered():
            self._look_at_the_rest()
        await self._tell("accepted")

    def _look_at_the_rest(self) -> None:
        """What is asked for beside the polls was not, and would wait for its own turn."""
        self._cadence.look_at_once("prices", "clusters")

    async def _is_there(self) -> None:
        self._health.reachable, self._health.failing_since = True, None
        await self._tell("reachable")

    async def _mind_outage(self) -> float:
        """Seconds until the outage has lasted for long enough to be told."""
        now, since = self._clock.now(), self._health.failing_since
        if since is None:
            return SELDOM
        self._health.failing_since = since = min(since, now)  # the clock may have been set back
        if now - since < UNREACHABLE_AFTER:
            return (UNREACHABLE_AFTER - (now - since)).total_seconds()
        await self._tell("unreachable")
        return SELDOM

    async def _tell(self, condition: Condition) -> None:
        try:
            await self._conditions.are(condition, self._clock.now())
        except StoreError as error:
            self._disk.failed(str(error))
