"""Puts the routes together: one FastAPI app whose lifespan keeps the market moving."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from mithrild.sandbox import bids_api, control, instances_api, inventory_api, keys_api
from mithrild.sandbox.faults import Connections, FaultLayer, Faults
from mithrild.sandbox.ledger import Door, Ledger
from mithrild.sandbox.market import Market
from mithrild.sandbox.refusals import told

_LONGEST_NAP = 0.1
_SHORTEST_NAP = 0.005
_BEARER = HTTPBearer(scheme_name="MithrilAPIKey", bearerFormat="fkey_<key>", auto_error=False)


def create_app(market: Market, key: str, faults: Faults, ledger: Ledger, connections: Connections) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        turning = asyncio.create_task(_turn(market))
        yield
        turning.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await turning

    app = FastAPI(title="A marketplace in a box", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.market = market
    app.add_exception_handler(RequestValidationError, told)
    checked = [Depends(_key_check(key))]
    for routes in (bids_api, instances_api, inventory_api, keys_api):
        app.include_router(routes.router(market), dependencies=checked)
    app.include_router(control.router(market, faults, ledger))
    app.add_middleware(FaultLayer, faults=faults, connections=connections, clock=market.agenda.clock)
    app.add_middleware(Door, market=market, ledger=ledger)
    return app


async def _turn(market: Market) -> None:
    """Step the market whenever something is due. A request or a turned clock may step it sooner."""
    while True:
        market.catch_up()
        due = market.agenda.due()
        nap = _LONGEST_NAP if due is None else due - market.agenda.clock()
        await asyncio.sleep(min(max(nap, _SHORTEST_NAP), _LONGEST_NAP))


def _key_check(key: str) -> Callable[..., Awaitable[None]]:
    expected = key.encode()

    async def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if given is None:
            raise _unauthorized("Not authenticated")
        if not secrets.compare_digest(given.credentials.encode(), expected):
            raise _unauthorized("Invalid API key")

    return check


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
