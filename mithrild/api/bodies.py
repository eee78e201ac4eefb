"""The body of a request: JSON of a known shape, or a refusal that says what is wrong with it."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from mithrild.api.answers import Refusal

LONGEST_BODY = 1024 * 1024  # bytes: a startup script, and room
# What people may well type, in words of ours.
_FAULTS = {
    "string_too_short": "it is empty",
    "string_too_long": "it is longer than {max_length} characters",
    "less_than_equal": "it is more than {le}",
}
Word = Annotated[str, Field(min_length=1, max_length=1000)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Shape = TypeVar("Shape", bound=Body)


async def read(request: Request, model: type[Shape]) -> Shape:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LONGEST_BODY:
            raise Refusal("bad_request", f"the request is longer than {LONGEST_BODY >> 20} MiB")
    try:
        return model.model_validate_json(bytes(content))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        wrong = _FAULTS.get(fault["type"])
        said = wrong.format(**fault.get("ctx", {})) if wrong else fault["msg"]
        raise Refusal("bad_request", f"{where}: {said}" if where else said) from None
