"""The way to a machine: host, port, user, keys and the machines in between. From the hook, ~/.ssh/config, the address.

What the hook says comes first, then what the marketplace's address names, then ~/.ssh/config, then ubuntu and 22.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mithrild.config.actions import Ssh
from mithrild.wire import ssh_destination

if TYPE_CHECKING:
    from paramiko import SSHConfig

USER, PORT = "ubuntu", 22  # whom the marketplace's images let in, and where


@dataclass(frozen=True, slots=True)
class Hop:
    """One login. `name` is what its host key is kept under. With `only` no other keys than `keys` are offered."""

    name: str
    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    agent: bool
    only: bool

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" + (f" port {self.port}" if self.port != PORT else "")


def read_config(home: Path) -> SSHConfig:
    """~/.ssh/config, or an empty one where there is none. Raises ValueError if it cannot be used."""
    import paramiko

    file = home / ".ssh" / "config"
    try:
        return paramiko.SSHConfig.from_path(str(file)) if file.exists() else paramiko.SSHConfig()
    except (OSError, UnicodeError, paramiko.ConfigParseError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None


def route(address: str, fid: str, table: Ssh, config: SSHConfig) -> list[Hop]:
    """The machines to log in to, one through the other; the last one is the instance. Raises ValueError."""
    found = ssh_destination(address)
    if found is None:
        raise ValueError(f"{address[:100]!r} is no address that ssh could dial")
    user, host, port = found
    options = _options(config, host)
    target = _hop(fid, options, host, user=table.user or user, port=table.port or port, key=table.key)
    jumps = table.jump.split(",") if table.jump else _jumps(options)
    return [*(_jump(jump.strip(), config) for jump in jumps), target]


def _jumps(options: Mapping[str, Any]) -> list[str]:
    if options.get("proxyjump", "none") != "none":
        return str(options["proxyjump"]).split(",")
    if options.get("proxycommand", "none") != "none":
        raise ValueError("ProxyCommand of ~/.ssh/config is not used here: name a jump host")
    return []


def _jump(text: str, config: SSHConfig) -> Hop:
    found = ssh_destination(text.removeprefix("ssh://"))
    if found is None:
        raise ValueError(f"{text[:100]!r} is no jump host")
    user, host, port = found
    hop = _hop("", _options(config, host), host, user=user, port=port, key=None)
    name = hop.host if hop.port == PORT else f"[{hop.host}]:{hop.port}"
    return Hop(name, hop.host, hop.port, hop.user, hop.keys, hop.agent, hop.only)


def _hop(
    name: str, options: Mapping[str, Any], host: str, *, user: str | None, port: int | None, key: str | None
) -> Hop:
    files = (key,) if key else tuple(os.path.expanduser(file) for file in options.get("identityfile", ()))
    only = key is not None or options.get("identitiesonly", "no").lower() == "yes"
    return Hop(
        name=name,
        host=options.get("hostname", host),
        port=port or int(options.get("port", PORT)),
        user=user or options.get("user", USER),
        keys=tuple(file for file in files if key or os.path.isfile(file)),
        agent=not only and options.get("identityagent", "").lower() != "none",
        only=only,
    )


def _options(config: SSHConfig, host: str) -> Mapping[str, Any]:
    return config.lookup(host)
