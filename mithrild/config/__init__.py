"""The configuration: config.toml, `MITHRILD_…` variables over it, and the vendor's own settings."""

from mithrild.config.checking import check
from mithrild.config.durations import format_duration, parse_duration
from mithrild.config.hooks import Hook
from mithrild.config.loading import Config, config_home, load, restart_needed
from mithrild.config.settings import DEFAULT_API_URL, Backup, Keep, Log, Marketplace, Poll

__all__ = [
    "DEFAULT_API_URL",
    "Backup",
    "Config",
    "Hook",
    "Keep",
    "Log",
    "Marketplace",
    "Poll",
    "check",
    "config_home",
    "format_duration",
    "load",
    "parse_duration",
    "restart_needed",
]
