"""How the marketplace says no: FastAPI's 422 for a request it cannot read, `detail` text for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

T = TypeVar("T")


def unreadable(where: str, field: str, message: str) -> RequestValidationError:
    """A 422 that points at one field; `where` is query, path or body."""
    return RequestValidationError([{"type": "value_error", "loc": (where, field), "msg": message}])


async def told(_: Request, error: Exception) -> JSONResponse:
    """The answer to a request that cannot be read, with no more than the API description has: FastAPI would also
    send back what it was given.
    """
    assert isinstance(error, RequestValidationError)
    return JSONResponse(
        {"detail": [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]}, 422
    )


def refused(status: int, detail: str) -> HTTPException:
    return HTTPException(status, detail)


def unknown(what: str) -> HTTPException:
    return HTTPException(404, f"{what} not found")


def known(things: Mapping[str, T], fid: str, what: str) -> T:
    """The thing of that fid, or a 404 that says what there is none of."""
    if fid not in things:
        raise unknown(what)
    return things[fid]
