"""One `[[hooks]]` table: when it runs, and what."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from os import defpath
from os.path import isabs
from pathlib import Path
from shutil import which
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StrictInt, model_validator

from mithrild.config import notifying
from mithrild.config.actions import Notify, Run, Ssh, Webhook, a_list, notify_faults
from mithrild.config.addresses import Address, Table
from mithrild.config.durations import Age, Timeout
from mithrild.config.filters import Match, Quiet, check_on, check_pattern, counts_notices, not_empty, remarks
from mithrild.config.programs import program_faults, program_remarks
from mithrild.config.secrets import check_variable
from mithrild.fleet import routing

ACTIONS = ("run", "webhook", "notify", "ssh")  # the keys of which a hook has at least one

WAITING_PARALLEL = 32  # tries at once, where nobody says otherwise, of what waits for other machines
OURS = ("MITHRIL_", "MITHRILD_")  # variables of the daemon and the vendor, the key among them

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must be 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit")
    return name


def check_passed(name: str) -> str:
    """A variable of the daemon's that a command may have. Never the key, and never what is ours to set."""
    if check_variable(name).startswith(OURS):
        raise ValueError(f'"{name}" is passed to no command: it is the daemon\'s own')
    return name


class Hook(Table):
    name: Annotated[str, AfterValidator(check_name)]
    on: Annotated[
        tuple[Annotated[str, AfterValidator(check_pattern)], ...],
        AfterValidator(check_on),
        AfterValidator(not_empty),
        BeforeValidator(a_list),
    ]
    match: Match = Field(default_factory=Match)
    when: Literal["first"] | None = None
    quiet: Quiet = None
    run: Run | None = None
    webhook: Webhook | None = None
    notify: Notify | None = None
    ssh: Ssh | None = None
    env: Annotated[tuple[Annotated[str, AfterValidator(check_passed)], ...], BeforeValidator(a_list)] = ()
    timeout: Timeout = timedelta(minutes=1)
    max_age: Age = timedelta(minutes=10)
    on_late: Literal["skip", "run"] = "skip"
    mode: Literal["parallel", "queue", "restart", "single"] = "parallel"
    max_parallel: Annotated[StrictInt, Field(ge=1, le=64)] = 4
    tries: Annotated[StrictInt, Field(ge=1, le=100)] = 10

    @model_validator(mode="after")
    def _can_ever_run(self) -> Self:
        if (never := self.match.never(self.on)) is not None:
            raise ValueError(never)
        if self.when is not None and not counts_notices(self.on):
            raise ValueError('when: "first" counts notices, and no event of `on` belongs to one')
        if self.quiet is not None and self.notify is None:
            raise ValueError("quiet: holds back notify alone, and this hook has none")
        return self

    @property
    def actions(self) -> tuple[str, ...]:
        """What this hook does, by name: each is a delivery of its own. Addresses of `notify` go by their place."""
        named = [kind for kind in ACTIONS if getattr(self, kind) is not None]
        return (*named, *(f"notify-{place}" for place in range(2, len(self.notify or ()) + 1)))

    def places(self, action: str) -> int:
        """How many tries of an action may be under way at once. What waits for other machines costs this one little."""
        if self.mode in ("queue", "single"):
            return 1
        return self.max_parallel if action == "run" or "max_parallel" in self.model_fields_set else WAITING_PARALLEL

    def target(self, action: str) -> str | None:
        """What several deliveries would fail at together, in words that may be logged. The machines of an ssh hook are
        known when it runs: see hooks/hosts.py."""
        if action == "run" and self.run is not None:
            return f"run {self.run[0]}"
        if action == "webhook" and self.webhook is not None:
            return f"webhook {self.webhook.shown}"
        if action.startswith("notify"):
            return f"notify {self.notified(action).scheme} {self.mark(action)} {action}"
        return None

    @property
    def oldest(self) -> timedelta | None:
        """How old news may be that this hook acts on, None for any age. A notice goes by its deadline."""
        return None if self.on_late == "run" else self.max_age

    def notified(self, action: str) -> Address:
        """The address that `notify`, `notify-2` … stands for."""
        assert self.notify is not None
        return self.notify[int(action.partition("-")[2] or 1) - 1]

    def mark(self, action: str) -> str:
        """Tells one definition of an action from another, and nothing of what is in it."""
        kind = action.partition("-")[0]
        definition = self.model_dump(include={kind})[kind]
        written = json.dumps(definition, default=SecretStr.get_secret_value)
        return sha256(written.encode()).hexdigest()[:16]

    def rule(self) -> routing.HookRule:
        return routing.HookRule(
            self.name,
            self.on,
            self.match.asked(),
            self.oldest,
            self.actions,
            first=self.when == "first",
            quiet=self.quiet,
        )

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
        if self.ssh is not None:
            found["ssh"] = self.ssh.located(home, folder, env)
        if self.notify is not None:
            found["notify"] = tuple(address.located(home, folder, env) for address in self.notify)
        return self.model_copy(update=found)

    def faults(self, env: Mapping[str, str]) -> list[str]:
        """What is wrong beside the words of the file, and a reason not to start. To be asked of a located hook."""
        return [
            *(program_faults(self.run[0]) if self.run else ()),
            *(self.webhook.faults(env) if self.webhook else ()),
            *notify_faults(self.notify or (), env),
            *(self.ssh.faults() if self.ssh else ()),
        ]

    def remarks(self) -> list[str]:
        """What looks wrong and is no reason not to start. To be asked of a located hook."""
        found = remarks(self.on)
        for address in self.notify or ():
            if address.url is not None and (lack := notifying.remark(address.url.get_secret_value())) is not None:
                found.append(f"notify: {lack}")
        if self.run is not None and isabs(self.run[0]):
            found += program_remarks(self.run[0])
        return found
