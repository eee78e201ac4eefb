"""Joins all sources into one `Config`, or says everything that is wrong with them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr, ValidationError

from mithrild.config import problems
from mithrild.config.hooks import Hook
from mithrild.config.settings import (
    DEFAULT_API_URL,
    Backup,
    Keep,
    Log,
    Marketplace,
    Poll,
    Settings,
    check_key,
    check_url,
)
from mithrild.config.sources import Found, read_file, read_variables
from mithrild.config.vendor import Vendor, read_vendor
from mithrild.errors import ConfigError
from mithrild.logs import one_line
from mithrild.wire import state_home


@dataclass(frozen=True, slots=True)
class Config:
    """What the daemon runs by. No secret shows in its repr.

    The key, the project and the API address are each taken from the first place that has one: a `MITHRILD_…`
    variable, the vendor's variable, config.toml, the vendor's profile, the default. What somebody wrote into
    our file for this daemon stands over what the vendor's file holds for every program.
    """

    file: Path  # whether or not it is there
    projects: tuple[str, ...]  # names or fids, none twice; empty where none is named anywhere
    project: str | None  # the vendor's configured one, whatever `projects` says
    shutdown_grace: timedelta
    state_dir: Path
    api_key: SecretStr | None
    key_source: str | None
    marketplace: Marketplace  # api_url resolved
    poll: Poll
    keep: Keep
    backup: Backup  # its folder written out, where one is named
    log: Log
    hooks: tuple[Hook, ...]  # programs located, where they are to be found
    watched_files: tuple[Path, Path]  # ours and the vendor's: read, or would have been, had they been there
    warnings: tuple[str, ...] = ()

    @property
    def key_places(self) -> str:
        """Where a key is looked for, for a person who has to put one somewhere."""
        ours, vendors = self.watched_files
        return f"the environment (MITHRIL_API_KEY), api_key in {ours}, the profile in use in {vendors}"

    @property
    def backup_folder(self) -> Path:
        return Path(self.backup.folder) if self.backup.folder else self.state_dir / "backups"

    @property
    def api_url(self) -> str:
        return self.marketplace.api_url


def config_home(env: Mapping[str, str]) -> Path:
    return Path(env.get("XDG_CONFIG_HOME") or _home(env) / ".config")


def load(path: Path | None, env: Mapping[str, str]) -> Config:
    """Read everything. `path` is None for the default file, which need not exist.

    Raises ConfigError with one line for each problem, of all sources.
    """
    file = (path if path is not None else config_home(env) / "mithrild" / "config.toml").absolute()
    written = read_file(file, required=path is not None)
    variables = read_variables(env)
    vendor = read_vendor((config_home(env) / "mithril" / "config.yaml").absolute(), env)
    wrong = [*written.problems, *variables.problems, *vendor.problems]
    warnings = [*written.warnings, *variables.warnings]

    hooks = variables.data.get("hooks", written.data.get("hooks"))
    wrong += problems.duplicates(file, variables.places, hooks)
    wrong += problems.idle(file, variables.places, hooks)
    try:
        settings = Settings.merged(variables.data, written.data)
    except ValidationError as error:
        wrong += problems.lines(error, file, variables.places, hooks)
        settings = Settings.merged({}, {})  # to go on looking for problems

    key, key_source = _key(settings, variables, vendor, env, wrong)
    if vendor.exposed:
        # Of a key that is not used the owner is told, and the daemon starts.
        (wrong if key_source == _profile(vendor) else warnings).append(f"{vendor.file}: api_key: {vendor.exposed}")
    api_url = _api_url(settings, variables, vendor, env, wrong)
    located = tuple(hook.located(_home(env), file.parent, env) for hook in settings.hooks)
    place = variables.places.get(("hooks",))
    where = f"environment {place}" if place else str(file)
    wrong += [f'{where}: hook "{hook.name}": {fault}' for hook in located for fault in hook.faults(env)]
    if wrong:
        raise ConfigError([one_line(line) for line in wrong])

    warnings += [f'{where}: hook "{hook.name}": {remark}' for hook in located for remark in hook.remarks()]
    project = env.get("MITHRIL_PROJECT") or vendor.project
    return Config(
        file=file,
        projects=tuple(dict.fromkeys(settings.projects or ([project] if project else []))),
        project=project,
        shutdown_grace=settings.shutdown_grace,
        state_dir=_state_dir(settings, env),
        api_key=key,
        key_source=key_source,
        marketplace=settings.marketplace.model_copy(update={"api_url": api_url}),
        poll=settings.poll,
        keep=settings.keep,
        backup=_located(settings.backup, env),
        log=settings.log,
        hooks=located,
        warnings=tuple(map(one_line, warnings)),
        watched_files=(file, vendor.file),
    )


def restart_needed(old: Config, new: Config) -> list[str]:
    """The changed settings that a reload cannot take; everything else it can."""
    pairs = {
        "marketplace.api_url": (old.api_url, new.api_url),
        "marketplace.connect_timeout": (old.marketplace.connect_timeout, new.marketplace.connect_timeout),
        "marketplace.read_timeout": (old.marketplace.read_timeout, new.marketplace.read_timeout),
        "state_dir": (old.state_dir, new.state_dir),
        "projects": (sorted(old.projects), sorted(new.projects)),
    }
    return [name for name, (before, after) in pairs.items() if before != after]


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or os.path.expanduser("~"))


def _state_dir(settings: Settings, env: Mapping[str, str]) -> Path:
    if settings.state_dir is None:
        return Path(state_home(dict(env))).absolute() / "mithrild"
    return _folder(settings.state_dir, env)


def _located(backup: Backup, env: Mapping[str, str]) -> Backup:
    return backup if backup.folder is None else backup.model_copy(update={"folder": str(_folder(backup.folder, env))})


def _folder(path: str, env: Mapping[str, str]) -> Path:
    return _home(env) / path[2:] if path.startswith("~/") else Path(path)


def _profile(vendor: Vendor) -> str:
    return f"config.yaml profile {vendor.profile}"


def _key(
    settings: Settings, variables: Found, vendor: Vendor, env: Mapping[str, str], wrong: list[str]
) -> tuple[SecretStr | None, str | None]:
    own = settings.api_key
    of_variable = variables.places.get(("api_key",))
    if of_variable and own:
        return own, f"environment {of_variable}"
    if env.get("MITHRIL_API_KEY"):
        found, source, place = SecretStr(env["MITHRIL_API_KEY"]), "environment MITHRIL_API_KEY", ""
    elif own and own.get_secret_value():
        return own, "config.toml"
    elif vendor.api_key:
        found, source, place = vendor.api_key, _profile(vendor), vendor.place("api_key")
    else:
        return None, None
    _try(lambda: check_key(found), place or source, wrong)
    return SecretStr(found.get_secret_value().strip()), source


def _api_url(settings: Settings, variables: Found, vendor: Vendor, env: Mapping[str, str], wrong: list[str]) -> str:
    own = settings.marketplace
    if ("marketplace", "api_url") in variables.places:
        return own.api_url
    if env.get("MITHRIL_API_URL"):
        url, place = env["MITHRIL_API_URL"], "environment MITHRIL_API_URL"
    elif "api_url" in own.model_fields_set:
        return own.api_url
    elif vendor.api_url:
        url, place = vendor.api_url, vendor.place("api_url")
    else:
        return DEFAULT_API_URL
    _try(lambda: check_url(url), place, wrong)
    return url.rstrip("/")


def _try(check: Callable[[], object], place: str, wrong: list[str]) -> None:
    try:
        check()
    except ValueError as error:
        wrong.append(f"{place}: {error}")
