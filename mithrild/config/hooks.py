"""One `[[hooks]]` table: when it runs, and what."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from hashlib import sha256
from os import X_OK, access, defpath
from pathlib import Path
from shutil import which
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StrictInt

from mithrild.config.actions import Run, Webhook, a_list
from mithrild.config.addresses import Table
from mithrild.config.durations import Age, Timeout
from mithrild.fleet import routing
from mithrild.wire import EVENT_FAMILIES, EVENT_TYPES, LATER_EVENTS

ACTIONS = ("run", "webhook")  # the keys of which a hook has at least one

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STATUS_WORD = re.compile(r"[a-z0-9_]+")
# The marketplace may add a status to an instance on any day; nothing else grows without a release of ours.
_OPEN_FAMILY = "instance"


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must be 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit")
    return name


def check_pattern(pattern: str) -> str:
    """Refuse what can take in no event: a hook that silently never runs is found out at the worst moment."""
    family, dot, word = pattern.partition(".")
    if _matched(pattern):
        return pattern
    if family == _OPEN_FAMILY and dot:
        if _is_plain(pattern) and not _STATUS_WORD.fullmatch(word):
            raise ValueError(f'unknown event "{pattern}": a status is written in lower case, such as instance.running')
        return pattern
    if _is_plain(family) and dot and family not in EVENT_FAMILIES:
        raise ValueError(f'unknown family of events in "{pattern}"{_nearest(family, EVENT_FAMILIES)}')
    if _is_plain(pattern):
        raise ValueError(f'unknown event "{pattern}"{_nearest(pattern, EVENT_TYPES)}')
    if family.startswith("hook"):
        raise ValueError(f'"{pattern}" takes in no event: news of hooks needs a pattern that begins with "hook."')
    raise ValueError(f'"{pattern}" takes in no event')


def _matched(pattern: str) -> bool:
    return any(routing.type_matches(event_type, pattern) for event_type in EVENT_TYPES)


def _is_plain(text: str) -> bool:
    return not any(sign in text for sign in "*?[")


def _nearest(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f' (did you mean "{near[0]}"?)' if near else f" (there are: {', '.join(known)})"


def not_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    # Not pydantic's min_length: that counts what is left once the refused items are out.
    if not values:
        raise ValueError("must not be empty")
    return values


Pattern = Annotated[str, Field(min_length=1)]


class Match(Table):
    """Shell patterns; what is left out asks for nothing."""

    bid: Pattern | None = None
    region: Pattern | None = None
    type: Pattern | None = None
    project: Pattern | None = None


class Hook(Table):
    name: Annotated[str, AfterValidator(check_name)]
    on: Annotated[
        tuple[Annotated[str, AfterValidator(check_pattern)], ...],
        AfterValidator(not_empty),
        BeforeValidator(a_list),
    ]
    match: Match = Field(default_factory=Match)
    run: Run | None = None
    webhook: Webhook | None = None
    timeout: Timeout = timedelta(minutes=1)
    max_age: Age = timedelta(minutes=10)
    max_parallel: Annotated[StrictInt, Field(ge=1, le=64)] = 4
    tries: Annotated[StrictInt, Field(ge=1, le=100)] = 10

    @property
    def actions(self) -> tuple[str, ...]:
        """What this hook does, by name: each is a delivery of its own."""
        return tuple(kind for kind in ACTIONS if getattr(self, kind) is not None)

    def mark(self, action: str) -> str:
        """Tells one definition of an action from another, and nothing of what is in it."""
        written = json.dumps(self.model_dump()[action.partition("-")[0]], default=SecretStr.get_secret_value)
        return sha256(written.encode()).hexdigest()[:16]

    def rule(self) -> routing.HookRule:
        match = routing.Match(**self.match.model_dump())
        return routing.HookRule(self.name, self.on, match, self.max_age, self.actions)

    def located(self, home: Path, folder: Path, env: Mapping[str, str]) -> Hook:
        """The same hook with its program and its files as absolute paths. `folder` is that of config.toml."""
        found: dict[str, object] = {}
        if self.run is not None:
            program = self.run[0]
            if program.startswith("~/"):
                program = str(home / program[2:])
            elif "/" not in program:
                program = which(program, path=env.get("PATH") or defpath) or program
            found["run"] = (program, *self.run[1:])
        if self.webhook is not None:
            found["webhook"] = self.webhook.located(home, folder, env)
        return self.model_copy(update=found)

    def faults(self, env: Mapping[str, str]) -> list[str]:
        """What is wrong beside the words of the file, and a reason not to start. To be asked of a located hook."""
        return [*self.webhook.faults(env)] if self.webhook else []

    def remarks(self) -> list[str]:
        """What looks wrong and is no reason not to start. To be asked of a located hook."""
        found = []
        for pattern in self.on:
            if not _matched(pattern):
                near = get_close_matches(pattern, EVENT_TYPES, n=1, cutoff=0.8)
                hint = f' (did you mean "{near[0]}"?)' if near else ""
                found.append(f'on: "{pattern}" names a status that this version does not know{hint}')
            elif pattern in LATER_EVENTS:
                found.append(f'on: "{pattern}" comes in a later version; nothing makes this event yet')
        if self.run is not None:
            program = Path(self.run[0])
            if not program.is_absolute():
                found.append(f"run: {program} is not on PATH; deliveries will fail until it is")
            elif not program.is_file():
                found.append(f"run: {program} is not there; deliveries will fail until it is")
            elif not access(program, X_OK):
                found.append(f"run: {program} is not executable; deliveries will fail until it is (chmod +x)")
        return found
