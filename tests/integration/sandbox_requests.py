"""Requests that the API's description allows, and such as it rules out, made from one that is taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.integration.api_description import Call, Parameter
from tests.integration.api_schema import Schema
from tests.integration.sandbox_world import Ask

NONSENSE = "nonsense"
TIMES = ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00-00:00")
"""The file's own examples of a time."""


def queries(call: Call) -> list[Parameter]:
    return [each for each in call.parameters if each.place == "query"]


def allowed(ask: Ask) -> Iterator[Ask]:
    """The request with every word, bound and form of a time that the file allows in its query, one at a time."""
    for each in queries(ask.call):
        schema = each.schema
        for word in [*schema.get("enum", ()), *schema.get("items", {}).get("enum", ())]:
            if word is not None:
                yield ask.asking(each.name, word)
        if "enum" in schema.get("items", {}):
            yield ask.asking(each.name, ",".join(schema["items"]["enum"]))
            yield ask.asking(each.name, schema["items"]["enum"])
        for bound in ("minimum", "maximum"):
            if bound in schema:
                yield ask.asking(each.name, int(schema[bound]))
        if schema.get("type") == ["boolean"]:
            yield ask.asking(each.name, "true")
            yield ask.asking(each.name, "false")
        if schema.get("format") == "datetime":
            for time in TIMES:
                yield ask.asking(each.name, time)


def unreadable_queries(ask: Ask) -> Iterator[tuple[Ask, list[str]]]:
    """Requests with one fault in the query, and the place that the answer must name."""
    for each in queries(ask.call):
        schema, where = each.schema, ["query", each.name]
        if each.required:
            yield replace(ask, query={k: v for k, v in ask.query.items() if k != each.name}), where
        if "enum" in schema or "enum" in schema.get("items", {}):
            yield ask.asking(each.name, NONSENSE), where
        if "enum" in schema.get("items", {}):
            yield ask.asking(each.name, f"{schema['items']['enum'][0]},{NONSENSE}"), where
        if {"integer", "boolean"} & set(schema.get("type", ())) or schema.get("format") == "datetime":
            yield ask.asking(each.name, NONSENSE), where
        if "minimum" in schema:
            yield ask.asking(each.name, int(schema["minimum"]) - 1), where
        if "maximum" in schema:
            yield ask.asking(each.name, int(schema["maximum"]) + 1), where


def unreadable_bodies(ask: Ask) -> Iterator[tuple[Ask, list[str]]]:
    """The same for the body: it is missing, or one of its fields is missing or of another kind."""
    if ask.call.body is None:
        return
    yield replace(ask, body=None), ["body"]
    for body, where in _spoiled(ask.body, ask.call.body):
        yield replace(ask, body=body), ["body", *where]


def _spoiled(body: Schema, schema: Schema) -> Iterator[tuple[Schema, list[str]]]:
    for name, inner in schema["properties"].items():
        if name in schema.get("required", ()):
            yield {k: v for k, v in body.items() if k != name}, [name]
        yield body | {name: {NONSENSE: 1} if "object" not in inner["type"] else NONSENSE}, [name]
        if "enum" in inner:
            yield body | {name: NONSENSE}, [name]
        if "properties" in inner:
            for spoiled, where in _spoiled(body[name], inner):
                yield body | {name: spoiled}, [name, *where]
