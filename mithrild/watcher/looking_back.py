"""Looking back at all projects of the account: one beat, while the marketplace is there and takes our key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loguru import logger

from mithrild.clock import Clock
from mithrild.errors import StoreError
from mithrild.marketplace.budget import RequestBudget, on_behalf_of
from mithrild.marketplace.client import Marketplace
from mithrild.store.database import Database
from mithrild.watcher.backfill import NAME, Backfill
from mithrild.watcher.cadence import Beat, Cadence
from mithrild.watcher.recorder import Recorder

AGAIN = 30.0


class LookingBack:
    """`away` tells whether asking makes no sense now. Whatever commits a wish to look back wakes it."""

    def __init__(
        self,
        marketplace: Marketplace,
        budget: RequestBudget,
        database: Database,
        recorder: Recorder,
        cadence: Cadence,
        clock: Clock,
        away: Callable[[], bool],
    ) -> None:
        self._marketplace, self._budget, self._database = marketplace, budget, database
        self._recorder, self._cadence, self._clock, self._away = recorder, cadence, clock, away
        self._backfills: list[Backfill] = []
        recorder.on_wish = lambda: cadence.look_at_once(NAME)

    def begin(self, projects: Sequence[str]) -> None:
        self._backfills = [
            Backfill(fid, self._marketplace, self._budget, self._database, self._recorder, self._clock)
            for fid in projects
        ]
        self._cadence.add(Beat(NAME, self.run))

    async def run(self) -> float:
        """What nobody saw, as far as the marketplace remembers it. Returns the seconds until the next time."""
        if self._away():
            return AGAIN
        try:
            with on_behalf_of(NAME):
                return min([await one.run() for one in self._backfills], default=AGAIN)
        except StoreError as error:
            logger.debug("the history could not be kept: {}", error)
            return AGAIN
