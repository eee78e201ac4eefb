"""What the API needs of whoever carries out what people ask for. The daemon's own is in the watcher."""

from __future__ import annotations

from typing import Protocol

from pydantic import SecretStr

from mithrild.fleet.model import Bid, SshKey
from mithrild.fleet.order import Order, Plan, Wish


class Desk(Protocol):
    """Whoever carries out what people ask for."""

    async def plan(self, wish: Wish) -> Plan: ...
    async def place(self, order: Order) -> tuple[Bid, bool]: ...
    async def change(self, bid: Bid, *, limit_cents: int | None, paused: bool | None) -> Bid: ...
    async def cancel(self, bid: Bid) -> Bid: ...

    async def join_command(self, cluster: str) -> SecretStr | None: ...
    async def ssh_keys(self, project: str) -> tuple[SshKey, ...]: ...
