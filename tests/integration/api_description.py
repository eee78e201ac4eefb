"""The calls of the API as its own description has them, and those of the sandbox as it describes itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mithrild.sandbox.server import build
from tests.integration.api_schema import Schema, plain

DESCRIPTION = Path(__file__).parents[3] / "shared" / "mithril-openapi.json"


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: str
    required: bool
    schema: Schema


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One method of one route. `answers` is by the status of success, None for an answer without a body."""

    method: str
    path: str
    secured: bool
    parameters: tuple[Parameter, ...]
    body: Schema | None
    body_required: bool
    answers: dict[str, Schema | None]
    refusals: frozenset[int]

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def status(self) -> int:
        """Of success. No call of the sandbox has two."""
        (status,) = self.answers
        return int(status)

    def parts(self) -> Schema:
        """What is compared."""
        return {
            "secured": self.secured,
            "parameters": {
                f"{each.place} {each.name}": {"required": each.required, "schema": each.schema}
                for each in self.parameters
            },
            "body": None if self.body is None else {"required": self.body_required, "schema": self.body},
            "answers": self.answers,
        }


@cache
def described() -> dict[str, Call]:
    """All calls of the file, by name, such as `get /v2/me`."""
    return _calls(_file())


@cache
def served() -> dict[str, Call]:
    """The calls of the sandbox that imitate the API: those under /v2."""
    calls = _calls(build(market=False, demo=False).app.openapi())
    return {name: call for name, call in calls.items() if call.path.startswith("/v2/")}


@cache
def unreadable() -> Schema:
    """The body of a 422, which the file has once for all calls."""
    known = _file()["components"]["schemas"]
    return plain(known["HTTPValidationError"], known)


def _file() -> Schema:
    document: Schema = json.loads(DESCRIPTION.read_text())
    return document


def _calls(document: Schema) -> dict[str, Call]:
    known = document["components"]["schemas"]
    calls = [
        _call(method, path, operation, known)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return {call.name: call for call in calls}


def _call(method: str, path: str, operation: Schema, known: Schema) -> Call:
    body, answers = operation.get("requestBody"), operation["responses"]
    return Call(
        method=method,
        path=path,
        secured=bool(operation.get("security")),
        parameters=tuple(
            Parameter(each["name"], each["in"], each["required"], plain(each["schema"], known))
            for each in operation.get("parameters", ())
        ),
        body=None if body is None else _json(body, known),
        body_required=body is not None and body.get("required", False),
        answers={status: _json(answer, known) for status, answer in answers.items() if status.startswith("2")},
        refusals=frozenset(int(status) for status in answers if not status.startswith("2")),
    )


def _json(message: Schema, known: Schema) -> Schema | None:
    return plain(message["content"]["application/json"]["schema"], known) if "content" in message else None
