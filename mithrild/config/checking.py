"""`mithrild check-config`: everything that is wrong, or what the daemon would run by."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mithrild.config.durations import format_duration
from mithrild.config.hooks import Hook
from mithrild.config.loading import Config, load
from mithrild.errors import ConfigError
from mithrild.wire import EXIT_DONE, EXIT_USAGE


def check(path: Path | None, env: Mapping[str, str]) -> int:
    """Print problems to standard error and return 2, or a summary to standard output and return 0."""
    try:
        config = load(path, env)
    except ConfigError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EXIT_USAGE
    sys.stdout.write("".join(f"{line}\n" for line in summary(config)))
    return EXIT_DONE


def summary(config: Config) -> list[str]:
    """What a configuration says, a line each. The key's source is named, the key never."""
    missing = "" if config.file.exists() else " (not there: defaults)"
    return [
        f"file: {config.file}{missing}",
        f"key: {config.key_source or f'none found; looked in {config.key_places}'}",
        f"marketplace: {config.api_url}",
        f"projects: {', '.join(config.projects) or 'none named'}",
        f"state: {config.state_dir}",
        f"backups: {_backups(config)}",
        *(_hook(hook) for hook in config.hooks),
        *(f"warning: {warning}" for warning in config.warnings),
    ]


def _backups(config: Config) -> str:
    every, kept = config.backup.every, f"the last {config.backup.keep} are kept in {config.backup_folder}"
    return f"{'made only when asked for' if every is None else f'every {format_duration(every)}'}; {kept}"


def _hook(hook: Hook) -> str:
    match = ", ".join(f"{key}={wanted}" for key, wanted in hook.match.written().items())
    return (
        f"hook {hook.name}: on {', '.join(hook.on)}{f' where {match}' if match else ''}: "
        f"{', '.join(_actions(hook))} (at most {format_duration(hook.timeout)})"
    )


def _actions(hook: Hook) -> Iterator[str]:
    """Each action, and as much of its target as may be shown."""
    if hook.run is not None:
        yield f"run {hook.run[0]}"
    if hook.webhook is not None:
        yield f"webhook {hook.webhook.shown}"
    for address in hook.notify or ():
        yield f"notify {address.scheme}"
    if hook.ssh is not None:
        yield f"ssh {hook.ssh.command}"
