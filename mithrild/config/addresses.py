"""Addresses to which hooks send, as they are written in config.toml: in place, or in a file or a variable.

An address often holds a token, so none is shown beyond its scheme and host, in no error either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from mithrild.config.secrets import FileName, Source, VariableName, locate
from mithrild.web import is_loopback


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Address(Table):
    """`url` itself, or the file or variable that holds it. Text alone is a `url`."""

    url: SecretStr | None = None
    url_file: FileName | None = None
    url_env: VariableName | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"url": value}
        if not isinstance(value, Mapping | BaseModel):
            raise ValueError("must be an address in quotes, or a table")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.url, self.url_file, self.url_env)) != 1:
            raise ValueError("needs one of url, url_file and url_env")
        return self

    def located(self, home: Path, folder: Path, env: Mapping[str, str]) -> Self:
        if self.url_file is None:
            return self
        return self.model_copy(update={"url_file": locate(self.url_file, home, folder, env)})

    @property
    def source(self) -> Source:
        return Source(Path(self.url_file) if self.url_file else None, self.url_env, self.url)

    @property
    def shown(self) -> str:
        """As much of it as may be shown."""
        if self.url is not None:
            return shown(self.url.get_secret_value())
        return f"in {self.url_file}" if self.url_file else f"in the variable {self.url_env}"

    @property
    def scheme(self) -> str:
        """What may be shown where even the host may be a token."""
        return self.url.get_secret_value().partition("://")[0] if self.url is not None else self.shown


def check_web_address(url: str, allow_http: Sequence[str] = ()) -> SplitResult:
    """Raises ValueError for what no webhook is sent to."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not an address that can be read") from None
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be an address such as https://example.org/hook")
    if parts.fragment:
        raise ValueError("what follows a # is never sent: leave it out")
    if parts.scheme == "http" and (is_loopback(host) or host in allow_http):
        return parts
    if parts.scheme != "https":
        raise ValueError(f'must begin with https:// (for plain http, name its host: allow_http = ["{host}"])')
    return parts


def shown(url: str) -> str:
    """An address as it may be shown: scheme, host and port."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "?"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}"
