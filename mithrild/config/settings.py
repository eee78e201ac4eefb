"""Every setting that config.toml and `MITHRILD_…` variables may hold, with its default and its range."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StrictInt
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from mithrild.config.actions import a_list
from mithrild.config.addresses import Table
from mithrild.config.durations import Every, Grace, Interval, Kept, Span, Wait
from mithrild.config.filters import not_empty
from mithrild.config.hooks import Hook
from mithrild.fleet.keeping import Limits
from mithrild.web import is_loopback

DEFAULT_API_URL = "https://api.mithril.ai"


def check_url(url: str) -> str:
    """The marketplace's address without its last slash. Raises ValueError.

    The key goes out with every request, so plain http is for this machine alone.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not an address that can be read") from None
    if not host or not url.isprintable() or " " in url:
        raise ValueError(f"must be an address such as {DEFAULT_API_URL}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be a bare address, without a user, a query or a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("must begin with https:// (http:// is for this machine's own addresses, such as 127.0.0.1)")
    return url.rstrip("/")


def check_key(key: SecretStr) -> SecretStr:
    """An API key goes into a header: no blanks, no control characters. The words never repeat the key."""
    if not re.fullmatch(r"[!-~]*", key.get_secret_value().strip()):
        raise ValueError("has characters that no API key has")
    return SecretStr(key.get_secret_value().strip())


def _check_folder(path: str) -> str:
    if not path.startswith(("/", "~/")) or "\0" in path:
        raise ValueError("must be an absolute path, or one under ~/")
    return path


class Marketplace(Table):
    api_url: Annotated[str, AfterValidator(check_url)] = DEFAULT_API_URL
    connect_timeout: Wait = timedelta(seconds=5)
    read_timeout: Wait = timedelta(seconds=15)
    requests_per_minute: Annotated[StrictInt, Field(ge=10, le=100_000)] = 300


class Poll(Table):
    active: Interval = timedelta(seconds=5)
    changing: Interval = timedelta(seconds=2)
    idle: Interval = timedelta(seconds=30)
    instances: Interval = timedelta(minutes=1)
    prices: Interval = timedelta(minutes=2)
    clusters: Interval = timedelta(minutes=1)
    inventory: Interval = timedelta(hours=1)


class Keep(Table):
    transitions: Kept = None  # for ever
    output: Kept = timedelta(days=30)
    output_megabytes: Annotated[StrictInt, Field(ge=1, le=100_000)] = 100
    prices: Span = timedelta(days=2)
    prices_hourly: Span = timedelta(days=90)
    prices_daily: Kept = timedelta(days=730)

    def limits(self) -> Limits:
        return Limits(
            transitions=self.transitions,
            output=self.output,
            output_bytes=self.output_megabytes * 1_000_000,
            prices_whole=self.prices,
            prices_hourly=self.prices_hourly,
            prices_daily=self.prices_daily,
        )


class Backup(Table):
    every: Every = timedelta(days=1)
    keep: Annotated[StrictInt, Field(ge=1, le=1000)] = 7
    folder: Annotated[str, AfterValidator(_check_folder)] | None = None


class Log(Table):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    # pydantic-settings validates defaults too unless told: an empty list is refused only where it is written.
    projects: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], AfterValidator(not_empty), BeforeValidator(a_list)
    ] = Field(default=(), validate_default=False)
    shutdown_grace: Grace = timedelta(seconds=5)
    state_dir: Annotated[str, AfterValidator(_check_folder)] | None = None
    api_key: Annotated[SecretStr, AfterValidator(check_key)] | None = None
    marketplace: Marketplace = Field(default_factory=Marketplace)
    poll: Poll = Field(default_factory=Poll)
    keep: Keep = Field(default_factory=Keep)
    backup: Backup = Field(default_factory=Backup)
    log: Log = Field(default_factory=Log)
    hooks: tuple[Hook, ...] = ()

    @classmethod
    def merged(cls, variables: Mapping[str, Any], file: Mapping[str, Any]) -> Settings:
        """Variables over the file over the defaults, key by key. Raises pydantic's ValidationError."""

        class Merged(cls):  # type: ignore[valid-type, misc]  # sources are a matter of the class in pydantic-settings
            @classmethod
            def settings_customise_sources(
                cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                # Never the library's own reading of os.environ: it takes no other mapping, and stops at the
                # first value that it cannot read.
                return tuple(InitSettingsSource(settings_cls, dict(source)) for source in (variables, file))

        merged: Settings = Merged()
        return merged
