"""What an onlooker writes down beside the daemon: every event as it was first shown, and when things really were.

The record tells times by the daemon's clock, which scripts set at will. So whatever is new in it is noted with the
marketplace's time at once, before anybody can set a clock again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from mithrild.store import read
from mithrild.store.database import Database

WRONG = timedelta(seconds=1)  # to which clocks are compared
HOURS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as it was first seen. `at`: when it was committed; `looked`: when the last whole look before that was
    begun, None if there was none. Both by the marketplace's clock. `wrong`: what the answers had said of that clock by
    then, beside what it was. `doubtful`: where that was wrong, or had been when somebody looked before, how often the
    daemon had lost its bearings by the earlier of the two. `parted`: whether it lost them between the two looks.
    `adrift`: whether that was wrong, and our own clock is hours off."""

    sequence: int
    body: str
    at: datetime
    looked: datetime | None
    wrong: timedelta
    doubtful: int | None
    parted: bool
    adrift: bool

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@dataclass(frozen=True, slots=True)
class Try:
    """When a delivery was tried, by the marketplace's clock, and what its notice then still had, if it has one."""

    at: datetime
    left: timedelta | None


class Diary:
    def __init__(self) -> None:
        self.shown: dict[str, Shown] = {}
        self.tries: dict[str, list[Try]] = {}  # by delivery
        self.ended: dict[str, datetime] = {}  # delivery -> when it came to its end
        self.first_sight: tuple[int, int] | None = None  # the timeline before and after it
        self._polled_at: datetime | None = None  # by our clock, as it was then
        self._looked: datetime | None = None  # by the marketplace's
        self._breaks = 0  # how often the daemon had lost its bearings then
        self._newest = 0
        self._wrong_at: int | None = None  # the breaks when answers bore a wrong date, at the last look or since

    def look_from(self, newest: int) -> None:
        """Somebody is about to look; the timeline has come so far."""
        self._newest = newest

    def note(self, database: Database, ahead: timedelta, newest: int, breaks: int, *, misled: bool) -> None:
        """Takes down what is new. `ahead`: what really lies between the marketplace's clock and ours now; `newest`: how
        far the timeline has come; `breaks`: how often the daemon has lost its bearings; `misled`: whether more than one
        call has told a wrong time. Fails where what was shown before is there no more, or is not what it was."""
        with database.read() as connection:
            cursor = next(iter(read.projects(connection)), None)
            self._note_events(connection, ahead, breaks, misled)
            self._note_deliveries(connection, ahead)
        if cursor is not None and cursor["baseline_at"] is not None and self.first_sight is None:
            self.first_sight = (self._newest, newest)
        if cursor is not None and cursor["polled_at"] is not None:
            # It stands in terms of the clock as it was then, and the row knows the difference of that time.
            told = timedelta(seconds=cursor["ahead_seconds"])
            looked = cursor["polled_at"] + told
            # Where our clock was not set it stays, whatever difference other answers tell after it.
            if cursor["polled_at"] != self._polled_at and looked != self._looked:
                self._wrong_at, self._looked, self._breaks = None, looked, breaks
            self._polled_at = cursor["polled_at"]
            if misled and abs(told - ahead) > WRONG and self._wrong_at is None:
                self._wrong_at = breaks
        self._newest = newest

    def _note_events(self, connection: Connection, ahead: timedelta, breaks: int, misled: bool) -> None:
        events = read.events(connection, after=0, limit=1_000_000)
        rows = connection.exec_driver_sql("select sequence, ahead_seconds from transitions")
        told = {row.sequence: row.ahead_seconds for row in rows}
        sequences = [sequence for sequence, *_ in events]
        assert sequences == sorted(set(sequences)), "a sequence was used twice, or out of turn"
        assert len(events) >= len(self.shown), "an event that was shown is there no more"
        for (sequence, id, _, body), (known, one) in zip(events, self.shown.items(), strict=False):
            assert (sequence, id, body) == (one.sequence, known, one.body), "an event that was shown has changed"
        for sequence, id, _, body in events[len(self.shown) :]:
            observed = _moment(json.loads(body)["data"]["observed_at"])
            wrong = timedelta(seconds=told[sequence]) - ahead if misled else timedelta(0)
            doubtful = self._wrong_at if self._wrong_at is not None else breaks if abs(wrong) > WRONG else None
            parted, adrift = breaks != self._breaks, abs(wrong) > WRONG and abs(ahead) > HOURS
            self.shown[id] = Shown(sequence, body, observed + ahead, self._looked, wrong, doubtful, parted, adrift)

    def _note_deliveries(self, connection: Connection, ahead: timedelta) -> None:
        tries = (
            "select attempts.delivery, attempts.started_at, notices.deadline from attempts "
            "join deliveries on deliveries.id = delivery left join notices on notices.sequence = deliveries.notice "
            "order by delivery, number"
        )
        known = {id: len(had) for id, had in self.tries.items()}
        for id, started, deadline in connection.exec_driver_sql(tries):
            known[id] = known.get(id, 0) - 1
            if known[id] < 0:
                left = _moment(deadline) - _moment(started) if deadline else None
                self.tries.setdefault(id, []).append(Try(_moment(started) + ahead, left))
        ended = "select id, finished_at from deliveries where finished_at is not null"
        for id, finished in connection.exec_driver_sql(ended):
            self.ended.setdefault(id, _moment(finished) + ahead)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
