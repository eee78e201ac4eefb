"""Which key, project and address are in force: the environment over the profile over the default.

The daemon reads the same file by the same rules, which a test holds the two to.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field

from mithril_cli.account.file import BrokenSettings, config_file, parse, read_text, table

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DEFAULT_URL = "https://api.mithril.ai"
# From the setting to the variable that goes before it.
VARIABLES = {"api_key": "MITHRIL_API_KEY", "project_id": "MITHRIL_PROJECT", "api_url": "MITHRIL_API_URL"}


@dataclass
class Settings:
    file: str
    profile: str  # the one in use, whether or not it is there
    profiles: list[str] = field(default_factory=list)
    current: str | None = None  # what the file itself says is in use
    values: dict[str, str] = field(default_factory=dict)  # of api_key, project_id and api_url, those that are set
    sources: dict[str, str] = field(default_factory=dict)
    exposed: bool = False  # whether others may read a file that holds a key

    @property
    def key(self) -> str | None:
        return self.values.get("api_key")

    @property
    def project(self) -> str | None:
        return self.values.get("project_id")

    @property
    def api_url(self) -> str:
        return self.values.get("api_url", DEFAULT_URL)


def read(env: Mapping[str, str], profile: str | None = None) -> Settings:
    """What is in force; with `profile`, what that profile holds, unchecked, whatever the environment says.

    A profile that is asked for so may be missing. Raises BrokenSettings.
    """
    file = config_file(env)
    text, mode = read_text(file)
    content = parse(file, text)
    profiles = table(file, "profiles", content.get("profiles"))
    current = content.get("current_profile")
    if current is not None and not isinstance(current, str):
        raise BrokenSettings(f"{file}: current_profile: must be text")
    wanted = None if profile is not None else env.get("MITHRIL_PROFILE") or None
    name = profile or wanted or current or "default"
    settings = Settings(file, name, [str(one) for one in profiles], current)
    settings.exposed = "api_key" in text and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
    if name in profiles:
        _take(settings, table(file, f"profiles.{name}", profiles[name], empty=False))
    elif profile is None and (wanted or current):
        place = "environment MITHRIL_PROFILE" if wanted else f"{file}: current_profile"
        raise BrokenSettings(f'{place}: no profile "{name}" (there are: {", ".join(settings.profiles) or "none"})')
    if profile is None:
        _override(settings, env)
        _check(settings)
    return settings


def _take(settings: Settings, profile: dict[Any, Any]) -> None:
    for name in VARIABLES:
        place = f"profiles.{settings.profile}.{name}"
        value = profile.get(name)
        if value is not None and not isinstance(value, str):
            raise BrokenSettings(f"{settings.file}: {place}: must be text")
        if value and value.strip():
            settings.values[name] = value.strip()
            settings.sources[name] = f"profile {settings.profile}"


def _override(settings: Settings, env: Mapping[str, str]) -> None:
    for name, variable in VARIABLES.items():
        if value := env.get(variable):  # an empty one counts as unset
            settings.values[name] = value.strip() if name == "api_key" else value
            settings.sources[name] = f"environment {variable}"


def _check(settings: Settings) -> None:
    if settings.key is not None:
        check_key(settings.key, settings.sources["api_key"])
    if "api_url" in settings.values:
        settings.values["api_url"] = check_url(settings.api_url, settings.sources["api_url"])


def check_key(key: str, source: str) -> str:
    """The key as it goes into a header. Raises BrokenSettings, whose words do not hold it."""
    if not re.fullmatch(r"[!-~]*", key):
        raise BrokenSettings(f"{source}: api_key: has characters that no API key has")
    return key


def check_url(url: str, source: str) -> str:
    """The marketplace's address without its last slash. The key goes there, so plain http is for this machine."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BrokenSettings(f"{source}: api_url: not an address that can be read") from None
    if not host or not url.isprintable() or " " in url:
        raise BrokenSettings(f"{source}: api_url: must be an address such as {DEFAULT_URL}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BrokenSettings(f"{source}: api_url: must be a bare address, without a user, a query or a fragment")
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise BrokenSettings(f"{source}: api_url: must begin with https:// (http:// is for this machine itself)")
    return url.rstrip("/")
