"""Which hooks an event concerns, and why not the others. Pure: facts and rules in, verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal

from mithrild.fleet.matching import Facts, Match, is_of_a_notice, mismatch, too_little
from mithrild.fleet.stillness import QuietHours, Silence

__all__ = ["Facts", "HookRule", "Match", "Outlook", "Verdict", "route", "takes", "type_matches"]

Outcome = Literal["run", "skip", "no"]
LOUD = "notify"  # the action that quiet hours hold back; what acts is never held back by the hour


@dataclass(frozen=True, slots=True)
class HookRule:
    name: str
    on: tuple[str, ...]  # event types and patterns of them; those after a "!" are left out
    match: Match
    max_age: timedelta | None  # None: news of any age is acted on
    actions: tuple[str, ...]
    first: bool = False  # once for each bid and notice
    quiet: QuietHours | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What stands between a hook and an event that is its own, apart from the two of them.

    `taken`: by hook, the event of the same notice that it has taken already.
    """

    now: datetime
    silences: Sequence[Silence] = ()
    taken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """run: act on it. skip: it is this hook's, and recorded as not acted on. no: it is not this hook's.

    `held`: of a hook that runs, the actions that are held back all the same, and why.
    """

    hook: str
    outcome: Outcome
    reason: str | None  # None for run
    held: Mapping[str, str] = field(default_factory=dict)

    def of(self, action: str) -> str | None:
        """Why this action is not carried out, None if it is."""
        return self.reason or self.held.get(action)


def route(facts: Facts, rules: Sequence[HookRule], outlook: Outlook) -> list[Verdict]:
    """One verdict for each rule, in the order of the rules."""
    return [_judge(facts, rule, outlook) for rule in rules]


def takes(on: Sequence[str], event_type: str) -> bool:
    """Whether an event's type is among those of `on`, and not among those after a "!"."""
    wanted = [pattern for pattern in on if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in on if pattern.startswith("!")]
    return any(type_matches(event_type, one) for one in wanted) and not any(
        fnmatchcase(event_type, one) for one in unwanted
    )


def type_matches(event_type: str, pattern: str) -> bool:
    """Whether a pattern of `on` takes in an event type.

    News of the hooks themselves needs a pattern that begins with "hook.": a hook on "*" that fails would
    otherwise be told of its own failure, and fail again.
    """
    if event_type.startswith("hook.") and not pattern.startswith("hook."):
        return False
    return fnmatchcase(event_type, pattern)


def quiet(rule: HookRule, action: str, now: datetime) -> str | None:
    """Why the hour holds an action back, None if it does not. Before each try anew."""
    if action.partition("-")[0] != LOUD or rule.quiet is None or not rule.quiet.hold(now):
        return None
    return rule.quiet.reason


def _judge(facts: Facts, rule: HookRule, outlook: Outlook) -> Verdict:
    if not takes(rule.on, facts.type):
        return Verdict(rule.name, "no", f"on: {_untaken(rule.on, facts.type)}")
    if (reason := mismatch(rule.match, facts)) is not None:
        return Verdict(rule.name, "no", reason)
    held_back = _too_late(facts, rule) or _silenced(facts, rule, outlook) or _taken(facts, rule, outlook)
    if held_back is not None:
        return Verdict(rule.name, "skip", held_back)
    held = {action: why for action in rule.actions if (why := quiet(rule, action, outlook.now)) is not None}
    return Verdict(rule.name, "run", None, held)


def _untaken(on: Sequence[str], event_type: str) -> str:
    excluded = next((one for one in on if one.startswith("!") and fnmatchcase(event_type, one[1:])), None)
    return f'"{excluded}" leaves out {event_type}' if excluded else f"no pattern takes in {event_type}"


def _too_late(facts: Facts, rule: HookRule) -> str | None:
    # What matters of a notice is the time left, however late we learned of it.
    if facts.left is not None:
        return "the deadline has passed" if facts.left < timedelta(0) else too_little(rule.match, facts.left)
    if rule.max_age is not None and facts.age > rule.max_age:
        unseen = "" if facts.provenance == "observed" else f", and nobody saw it happen ({facts.provenance})"
        return f"{facts.age.total_seconds():.0f} s old, max_age is {rule.max_age.total_seconds():.0f} s{unseen}"
    return None


def _silenced(facts: Facts, rule: HookRule, outlook: Outlook) -> str | None:
    for silence in outlook.silences:
        if silence.holds(rule.name, facts.bid, facts.bid_name, outlook.now):
            return silence.reason
    return None


def _taken(facts: Facts, rule: HookRule, outlook: Outlook) -> str | None:
    if rule.first and is_of_a_notice(facts.type) and (event := outlook.taken.get(rule.name)) is not None:
        return came_before(event)
    return None


def came_before(event: str) -> str:
    """Why a hook that is to run once for each bid and notice does not run. It names who does: see fleet/turns.py."""
    return f'when = "first": {event} came before it'
