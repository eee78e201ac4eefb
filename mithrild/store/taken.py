"""Which hooks have taken a notice of a bid already: for those that are to run once for each bid and notice.

By the rows as they stand inside the transaction, so that it holds across polls and restarts. A notice of a bid is
that of each of its instances too: they are told in several events, and not always in one poll.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, or_, select

from mithrild.fleet.matching import is_of_a_notice
from mithrild.fleet.model import Transition
from mithrild.fleet.routing import HookRule
from mithrild.store import read
from mithrild.store.tables import DeliveryRow, EventRow, NoticeRow, TransitionRow, table_of

_deliveries, _events = table_of(DeliveryRow), table_of(EventRow)
_transitions, _notices = table_of(TransitionRow), table_of(NoticeRow)

# A delivery that never ran and never will has taken nothing.
_COUNTED = ("pending", "running", "done", "failed", "dead")
_REPRIEVED = "reprieved"


class Taken:
    """For the steps of one commit. `add` what each of them is delivered to."""

    def __init__(
        self, connection: Connection, rules: Sequence[HookRule], steps: Sequence[Transition], now: datetime
    ) -> None:
        self._hooks = {rule.name for rule in rules if rule.first}
        # (hook, bid, what happened) -> (sequence, event)
        self._taken: dict[tuple[str, str, str], tuple[int, str]] = {}
        self._opened: dict[str, int] = {}  # subject -> the transition that opened its latest notice
        of_notices = [step for step in steps if step.bid is not None and is_of_a_notice(step.type)]
        if self._hooks and of_notices:
            self._read(connection, of_notices, now)

    def by(self, step: Transition) -> Mapping[str, str]:
        """hook -> the event of the same notice, of the same bid, that it has taken."""
        if step.bid is None or not self._hooks or not is_of_a_notice(step.type):
            return {}
        what = _what(step.type)
        found = {}
        for hook in self._hooks:
            sequence, event = self._taken.get((hook, step.bid, what), (0, ""))
            # A bid may be reprieved again and again: only what came after this notice had begun is of this notice.
            if event and (what != _REPRIEVED or sequence > self._opened.get(step.subject, 0)):
                found[hook] = event
        return found

    def add(self, hook: str, step: Transition, sequence: int, event: str) -> None:
        if step.bid is not None and hook in self._hooks and is_of_a_notice(step.type):
            self._taken[hook, step.bid, _what(step.type)] = (sequence, event)

    def _read(self, connection: Connection, steps: Sequence[Transition], now: datetime) -> None:
        bids = {step.bid for step in steps if step.bid is not None}
        # One that ran out goes on for its siblings: they are not all seen at one moment.
        goes_on = or_(_notices.c.ended_at.is_(None), (_notices.c.ended_how != _REPRIEVED) & (_notices.c.deadline > now))
        query = (
            select(_deliveries.c.hook, _transitions.c.bid, _transitions.c.type, _transitions.c.sequence, _events.c.id)
            .select_from(
                _deliveries.join(_events, _events.c.sequence == _deliveries.c.sequence)
                .join(_transitions, _transitions.c.sequence == _deliveries.c.sequence)
                .join(_notices, _notices.c.sequence == _deliveries.c.notice, isouter=True)
            )
            .where(_deliveries.c.hook.in_(self._hooks), _deliveries.c.state.in_(_COUNTED))
            .where(or_(_notices.c.sequence.is_not(None) & goes_on, _transitions.c.type.endswith(f".{_REPRIEVED}")))
            .order_by(_transitions.c.sequence)
        )
        latest = select(_notices.c.subject, func.max(_notices.c.sequence)).group_by(_notices.c.subject)
        for some in read.chunks(sorted(bids)):
            for hook, bid, type, sequence, event in connection.execute(query.where(_transitions.c.bid.in_(some))):
                self._taken[hook, bid, _what(type)] = (sequence, event)
        for some in read.chunks(sorted({step.subject for step in steps})):
            self._opened |= dict(connection.execute(latest.where(_notices.c.subject.in_(some))).all())


def _what(event_type: str) -> str:
    """`instance.preempting` and `bid.preempting` tell of one notice."""
    return event_type.partition(".")[2]
