"""Which events a hook takes: its `on`, `match`, `when` and `quiet`. What can take in nothing is refused: a hook that
silently never runs is found out at the worst moment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import time, timedelta
from difflib import get_close_matches
from fnmatch import translate
from typing import Annotated, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from mithrild.config.addresses import Table
from mithrild.config.durations import parse_duration
from mithrild.fleet import bounds, matching, routing
from mithrild.fleet.bounds import Bounds
from mithrild.fleet.model import Provenance
from mithrild.fleet.price import cents
from mithrild.fleet.stillness import QuietHours
from mithrild.wire import EVENT_FAMILIES, EVENT_TYPES

PROVENANCES: tuple[str, ...] = get_args(Provenance)

_STATUS_WORD = re.compile(r"[a-z0-9_]+")
# The marketplace may add a status to an instance on any day; nothing else grows without a release of ours.
_OPEN_FAMILY = "instance"
_NEVER = "(?!)"  # what the shell pattern of an empty set of characters becomes
_HOURS = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01]?[0-9]|2[0-3]):([0-5][0-9])(?:\s+(\S+))?")


def check_pattern(pattern: str) -> str:
    """A pattern of `on`; one after a "!" is held to the same, or it would leave out nothing."""
    wanted = pattern.removeprefix("!")
    family, dot, word = wanted.partition(".")
    if _matched(wanted):
        return pattern
    if family == _OPEN_FAMILY and dot:
        if is_plain(wanted) and not _STATUS_WORD.fullmatch(word):
            raise ValueError(f'unknown event "{wanted}": a status is written in lower case, such as instance.running')
        return pattern
    if is_plain(family) and dot and family not in EVENT_FAMILIES:
        raise ValueError(f'unknown family of events in "{wanted}"{_nearest(family, EVENT_FAMILIES)}')
    if is_plain(wanted):
        raise ValueError(f'unknown event "{wanted}"{_nearest(wanted, EVENT_TYPES)}')
    if family.startswith("hook"):
        raise ValueError(f'"{wanted}" takes in no event: news of hooks needs a pattern that begins with "hook."')
    raise ValueError(f'"{wanted}" takes in no event')


def check_on(on: tuple[str, ...]) -> tuple[str, ...]:
    if on and all(pattern.startswith("!") for pattern in on):
        raise ValueError('only leaves events out: say first which to take, such as ["*", "!instance.new"]')
    if on and not _taken(on):
        raise ValueError('takes in no event: what it names is left out again by a "!"')
    return on


def _taken(on: tuple[str, ...]) -> list[str]:
    """The types of events that these patterns take in; a status that nobody knows yet stands for itself."""
    unknown = [one for one in on if not one.startswith("!") and not _matched(one)]
    return [one for one in (*EVENT_TYPES, *unknown) if one in unknown or routing.takes(on, one)]


def _matched(pattern: str) -> bool:
    return any(routing.type_matches(event_type, pattern) for event_type in EVENT_TYPES)


def is_plain(text: str) -> bool:
    return not any(sign in text for sign in "*?[")


def _nearest(word: str, known: Iterable[str]) -> str:
    known = tuple(known)
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f' (did you mean "{near[0]}"?)' if near else f" (there are: {', '.join(known)})"


def remarks(on: Iterable[str]) -> list[str]:
    """What looks wrong with these patterns, and is no reason not to start."""
    found = []
    for pattern in (one.removeprefix("!") for one in on):
        if not _matched(pattern):
            near = get_close_matches(pattern, EVENT_TYPES, n=1, cutoff=0.8)
            hint = f' (did you mean "{near[0]}"?)' if near else ""
            found.append(f'on: "{pattern}" names a status that this version does not know{hint}')
    return found


def _one_or_several(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError('must be text in quotes, or a list of such: ["us-*", "eu-*"]')
    return value


def not_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    # Not pydantic's min_length: that counts what is left once the refused items are out.
    if not values:
        raise ValueError("must not be empty")
    return values


def _can_match(pattern: str) -> str:
    if _NEVER in translate(pattern):
        raise ValueError(f'"{pattern}" can match nothing: its [ ] is empty')
    return pattern


def _check_provenance(pattern: str) -> str:
    if not any(re.match(translate(pattern), one) for one in PROVENANCES):
        raise ValueError(f'no event has the provenance "{pattern}"{_nearest(pattern, PROVENANCES)}')
    return pattern


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_can_match)]
Patterns = Annotated[tuple[Pattern, ...], AfterValidator(not_empty), BeforeValidator(_one_or_several)]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f'"{text[:40]}" is no whole number: write it like ">=4"')
    return int(text)


def _cents(text: str) -> int:
    price = cents(text)
    if price is None:
        raise ValueError(f'"{text[:40]}" is no price: write it like ">=$10" or "<$9.50"')
    return price


def _milliseconds(text: str) -> int:
    return parse_duration(text) // timedelta(milliseconds=1)


def _bounded(unit: Callable[[str], int], lowest: int) -> PlainValidator:
    """Reads a range. One in which no value from `lowest` up lies can never match."""

    def read(value: object) -> Bounds:
        if isinstance(value, Bounds):
            return value
        if not isinstance(value, str):
            raise ValueError('must be a comparison in quotes, such as ">=4" or ">2m"')
        found = bounds.parse(value, unit)
        if not found.admit_any_from(lowest):
            raise ValueError(f'"{value[:40]}" can never match')
        return found

    return PlainValidator(read)


class Match(Table):
    """Shell patterns, one or a list of which any will do, and comparisons; what is left out asks for nothing."""

    bid: Patterns = Field(default=(), validate_default=False)
    region: Patterns = Field(default=(), validate_default=False)
    type: Patterns = Field(default=(), validate_default=False)
    project: Patterns = Field(default=(), validate_default=False)
    provenance: Annotated[
        tuple[Annotated[Pattern, AfterValidator(_check_provenance)], ...],
        AfterValidator(not_empty),
        BeforeValidator(_one_or_several),
    ] = Field(default=(), validate_default=False)
    nodes: Annotated[Bounds | None, _bounded(_count, 1)] = None
    price: Annotated[Bounds | None, _bounded(_cents, 0)] = None
    remaining: Annotated[Bounds | None, _bounded(_milliseconds, 1)] = None

    def asked(self) -> matching.Match:
        return matching.Match(**{name: getattr(self, name) for name in type(self).model_fields})

    def written(self) -> dict[str, str]:
        """What is asked for, by key, for people."""
        asked = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: one.written if isinstance(one, Bounds) else " or ".join(one) for name, one in asked.items() if one
        }

    def never(self, on: tuple[str, ...]) -> str | None:
        """Why no event that `on` takes in can match, None if one can."""
        types = _taken(on)
        for key in type(self).model_fields:
            if getattr(self, key) and types and not any(matching.carries(one, key) for one in types):
                what = "has a deadline" if key == "remaining" else f"carries a {_NOUNS.get(key, key)}"
                return f"match.{key}: can never match, since no event of `on` {what}"
        return None


_NOUNS = {"type": "type of instance", "nodes": "number of nodes"}


def counts_notices(on: tuple[str, ...]) -> bool:
    """Whether an event that `on` takes in may belong to a notice."""
    return any(matching.is_of_a_notice(one) for one in _taken(on))


def read_quiet(value: object) -> QuietHours:
    """`23:00-07:00`, by this machine's clock, or by another place's: `23:00-07:00 Europe/Berlin`."""
    if isinstance(value, QuietHours):
        return value
    found = _HOURS.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be hours such as "23:00-07:00", or "23:00-07:00 Europe/Berlin"')
    begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if begin == end:
        raise ValueError("begins when it ends: write the hours that are to be quiet")
    return QuietHours(begin, end, None if found[5] is None else _zone(found[5]))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f'no time zone is called "{name[:40]}": write it like Europe/Berlin') from None


Quiet = Annotated[QuietHours | None, PlainValidator(read_quiet)]
