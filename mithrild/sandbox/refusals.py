"""How the marketplace says no: FastAPI's 422 for a request it cannot read, `detail` text for the rest."""

from __future__ import annotations

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError


def unreadable(where: str, field: str, message: str, given: object) -> RequestValidationError:
    """A 422 that points at one field; `where` is query, path or body."""
    return RequestValidationError([{"type": "value_error", "loc": (where, field), "msg": message, "input": given}])


def refused(status: int, detail: str) -> HTTPException:
    return HTTPException(status, detail)


def unknown(what: str) -> HTTPException:
    return HTTPException(404, f"{what} not found")
