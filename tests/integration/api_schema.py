"""Schemas of two programs, in one form that can be compared, and answers held against them.

One says `nullable: true`, the other `anyOf` with null, and so on. What `plain` leaves is the same if and only if it
means the same to a client.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

Schema = dict[str, Any]
ABSENT = "(absent)"

_PROSE = ("title", "description", "examples", "propertyNames")
"""Words for people. The file's `propertyNames` hold nothing but examples."""
_FORMATS = FormatChecker(formats=["email"])


@_FORMATS.checks("datetime", raises=ValueError)
def _is_a_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def plain(schema: Schema, known: Schema) -> Schema:
    """The schema without references and prose, with null as one of its types. It stays a JSON schema."""
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]] | {k: v for k, v in schema.items() if k != "$ref"}
    nullable = schema.get("nullable", False)
    rest = {k: v for k, v in schema.items() if k not in (*_PROSE, "nullable", "anyOf", "oneOf")}
    if choice := schema.get("anyOf") or schema.get("oneOf"):
        options = [plain(each, known) for each in choice]
        kinds = [each for each in options if each != {"type": ["null"]}]
        nullable = nullable or len(kinds) < len(options)
        rest = _joined(kinds) | rest
    if "const" in rest:
        rest["enum"] = [rest.pop("const")]
    if isinstance(rest.get("type"), str):
        rest["type"] = [rest["type"]]
    if rest.get("format") == "date-time":
        rest["format"] = "datetime"
    if nullable and "type" in rest:
        rest["type"] = [*rest["type"], "null"]
        if "enum" in rest:
            rest["enum"] = [*rest["enum"], None]
    for name in ("type", "enum", "required"):
        if name in rest:
            rest[name] = sorted(rest[name], key=str)
    for name in ("items", "additionalProperties"):
        if isinstance(rest.get(name), dict):
            rest[name] = plain(rest[name], known)
    if "properties" in rest:
        rest["properties"] = {name: plain(each, known) for name, each in rest["properties"].items()}
    return rest


def _joined(kinds: list[Schema]) -> Schema:
    """One schema for a choice between several: of types, or of words. Nothing that is compared has another."""
    if len(kinds) == 1:
        return kinds[0]
    names = {name for each in kinds for name in each}
    assert names <= {"type", "enum"}, kinds
    assert all(each.keys() == names for each in kinds), kinds
    return {name: list(dict.fromkeys(word for each in kinds for word in each[name])) for name in names}


def differences(theirs: Any, ours: Any, where: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Where the sandbox says something else (`ours`) than the file, and what both say."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted(theirs.keys() | ours.keys()):
            yield from differences(theirs.get(name, ABSENT), ours.get(name, ABSENT), f"{where}.{name}")
    elif theirs != ours:
        yield where, (theirs, ours)


def faults(value: object, schema: Schema) -> list[tuple[str, object, str]]:
    """What is wrong with an answer by a schema of the file: the rule, the value, and words. No field may be new."""
    found = Draft202012Validator(_closed(schema), format_checker=_FORMATS).iter_errors(value)
    return [(str(each.validator), each.instance, f"{each.json_path}: {each.message}") for each in found]


def _closed(schema: Schema) -> Schema:
    found = {name: _closed(value) if isinstance(value, dict) else value for name, value in schema.items()}
    return found | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else found


def fields(schema: Schema, where: str) -> Iterator[str]:
    """Every field that a schema names, as `.data[].fid`."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{where}.{name}"
        yield from fields(inner, f"{where}.{name}")
    if "items" in schema:
        yield from fields(schema["items"], f"{where}[]")


def filled(value: object, where: str) -> Iterator[str]:
    """Every field of an answer that is neither null nor empty."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if inner not in (None, [], {}):
                yield f"{where}.{name}"
                yield from filled(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from filled(inner, f"{where}[]")
