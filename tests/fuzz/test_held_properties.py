"""Whatever happens while the disk refuses, and whenever it does: in the end the record is what it would have been."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mithrild.fleet.model import Transition
from mithrild.store import outbox
from mithrild.store.database import Database
from mithrild.store.outbox import Claim, Outcome
from mithrild.store.record import record_condition
from tests.acceptance.fault_table import THOROUGH
from tests.integration.disk_rig import full, pragma, read_only, story, whole
from tests.integration.store_builders import (
    HOST,
    PREEMPTING,
    RUNNING,
    TERMINATED,
    a_bid,
    a_rule,
    an_instance,
    at,
    keep,
    opened,
    poll,
    settle_one,
)

RULES = [a_rule("save", "instance.preempting"), a_rule("log")]
AWAY = Transition(
    "marketplace", "here", "", None, "status", None, "unreachable", "marketplace.unreachable", at(0), None
)

Step = tuple[str, Any]
polls = st.tuples(
    st.just("poll"),
    st.tuples(
        st.sampled_from(["Allocated", "Preempting", "Open", "Paused"]),
        *[st.sampled_from([RUNNING, PREEMPTING, TERMINATED])] * 2,
    ),
)
works = st.tuples(st.just("work"), st.lists(st.sampled_from(["done", "failed", "retry"]), max_size=3))
conditions = st.tuples(st.just("condition"), st.booleans())
refusals = st.tuples(st.just("refuse"), st.sampled_from([full, read_only]))
steps = st.one_of(polls, polls, works, works, conditions, refusals, st.tuples(st.just("accept"), st.none()))


class Life:
    """One record, and what has been claimed of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._claims: list[Claim] = []

    def live(self, step: Step, seconds: int) -> None:
        match step:
            case "poll", (bid, *machines):
                things = [an_instance(f"inst_{n}", status) for n, status in enumerate(machines)]
                keep(self.database, poll(seconds, a_bid(status=bid), *things), RULES)
            case "condition", away:
                after = "unreachable" if away else "reachable"
                type = "marketplace.unreachable" if away else "marketplace.recovered"
                record_condition(
                    self.database, replace(AWAY, after=after, type=type, observed_at=at(seconds)), RULES, host=HOST
                )
            case "work", endings:
                self._work(endings, seconds)

    def _work(self, endings: list[str], seconds: int) -> None:
        """What was claimed before ends now, as far as endings go; and more is claimed."""
        for ending in endings[: len(self._claims)]:
            again = ending == "retry"
            outcome = Outcome("pending" if again else ending, ending, next_at=at(seconds + 7) if again else None)
            settle_one(self.database, self._claims.pop(0), outcome, run="run", now=at(seconds))
        for rule in RULES:
            self._claims += outbox.claim(
                self.database, (rule.name, "run"), free=2, max_age=timedelta(minutes=1), run="run", now=at(seconds)
            )


@settings(max_examples=100 if THOROUGH else 12, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=25))
def test_a_disk_that_refuses_changes_nothing_of_what_is_recorded_in_the_end(happens: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as records:
        good, bad = (Life(records.enter_context(opened(Path(folder, name)))) for name in ("good", "bad"))
        for life in (good, bad):
            pragma(life.database, "synchronous = OFF")  # nobody pulls the plug here, and it takes its time
        refusing = records.enter_context(ExitStack())
        for number, step in enumerate([("poll", ("Allocated", RUNNING, RUNNING)), *happens]):
            if step[0] == "refuse":
                refusing.close()
                refusing.enter_context(step[1](bad.database))
            elif step[0] == "accept":
                refusing.close()
                bad.database.mend()
            else:
                for life in (good, bad):
                    life.live(step, 5 * number)
        refusing.close()
        bad.database.mend()
        assert bad.database.disk.trouble is None
        assert whole(bad.database)
        assert story(bad.database) == story(good.database)
