"""Which hooks an event concerns, and why not the others. Pure: facts and rules in, verdicts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Literal

Outcome = Literal["run", "skip", "no"]


@dataclass(frozen=True, slots=True)
class Match:
    """What an event must carry besides its type. Shell patterns, and case counts; None asks for nothing."""

    bid: str | None = None  # the bid's name
    region: str | None = None
    type: str | None = None  # the instance type's name or fid
    project: str | None = None  # the project's name or fid


@dataclass(frozen=True, slots=True)
class HookRule:
    name: str
    on: tuple[str, ...]  # event types and patterns of them
    match: Match
    max_age: timedelta | None  # None: news of any age is acted on
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What routing must know of one event at the moment of its commit."""

    type: str
    bid_name: str | None
    region: str | None
    instance_type: str | None
    instance_type_fid: str | None
    project: str
    project_name: str | None
    age: timedelta  # may be below zero where the two clocks differ
    deadline_passed: bool
    has_deadline: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """run: act on it. skip: it is this hook's, and recorded as not acted on. no: it is not this hook's."""

    hook: str
    outcome: Outcome
    reason: str | None  # None for run


def route(facts: Facts, rules: Sequence[HookRule]) -> list[Verdict]:
    """One verdict for each rule, in the order of the rules."""
    return [_judge(facts, rule) for rule in rules]


def type_matches(event_type: str, pattern: str) -> bool:
    """Whether a pattern of `on` takes in an event type.

    News of the hooks themselves needs a pattern that begins with "hook.": a hook on "*" that fails would
    otherwise be told of its own failure, and fail again.
    """
    if event_type.startswith("hook.") and not pattern.startswith("hook."):
        return False
    return fnmatchcase(event_type, pattern)


def _judge(facts: Facts, rule: HookRule) -> Verdict:
    if not any(type_matches(facts.type, pattern) for pattern in rule.on):
        return Verdict(rule.name, "no", f"on: no pattern takes in {facts.type}")
    wanted: tuple[tuple[str, str | None, tuple[str | None, ...]], ...] = (
        ("bid", rule.match.bid, (facts.bid_name,)),
        ("region", rule.match.region, (facts.region,)),
        ("type", rule.match.type, (facts.instance_type, facts.instance_type_fid)),
        ("project", rule.match.project, (facts.project_name, facts.project)),
    )
    for key, pattern, carried in wanted:
        if pattern is not None and (reason := _mismatch(pattern, carried)):
            return Verdict(rule.name, "no", f"match.{key}: {reason}")
    if (late := _too_late(facts, rule)) is not None:
        return Verdict(rule.name, "skip", late)
    return Verdict(rule.name, "run", None)


def _mismatch(pattern: str, carried: tuple[str | None, ...]) -> str | None:
    values = [value for value in carried if value is not None]
    if not values:
        return "the event carries none"
    if any(fnmatchcase(value, pattern) for value in values):
        return None
    return f'"{pattern}" does not match "{values[0]}"'


def _too_late(facts: Facts, rule: HookRule) -> str | None:
    # What matters of a notice is the time left, however late we learned of it.
    if facts.has_deadline:
        return "the deadline has passed" if facts.deadline_passed else None
    if rule.max_age is not None and facts.age > rule.max_age:
        return f"{facts.age.total_seconds():.0f} s old, max_age is {rule.max_age.total_seconds():.0f} s"
    return None
