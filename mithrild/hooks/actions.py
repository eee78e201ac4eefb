"""Makes the action that a name stands for."""

from __future__ import annotations

from collections.abc import Mapping

from mithrild.clock import Clock
from mithrild.hooks.action import Action
from mithrild.hooks.notify import Notify
from mithrild.hooks.remote import Remote
from mithrild.hooks.run import Run
from mithrild.hooks.secrets import Secrets
from mithrild.hooks.webhook import Webhooks
from mithrild.store.database import Database


class Actions:
    """The actions of all hooks, and what they share. A hook names them in `Hook.actions`."""

    def __init__(self, clock: Clock, database: Database, secrets: Secrets, env: Mapping[str, str]) -> None:
        self._webhooks = Webhooks(clock, secrets)
        self._of_kind: dict[str, Action] = {
            "run": Run(clock, env),
            "webhook": self._webhooks,
            "notify": Notify(clock, secrets),
            "ssh": Remote(clock, database, env),
        }

    def named(self, action: str) -> Action:
        return self._of_kind[action.partition("-")[0]]

    async def aclose(self) -> None:
        await self._webhooks.aclose()
