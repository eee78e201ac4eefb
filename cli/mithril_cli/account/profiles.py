"""Writes one profile into the vendor's file. Everything else in it stays: other profiles, unknown keys, comments."""

from __future__ import annotations

import re
from io import StringIO

from mithril_cli.account.file import parse, read_text, replace, table

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ruamel.yaml import YAML

WIDEST_LINE = 1_000_000  # nobody's long lines are folded anew
# How far the first profile is indented: comments and empty lines may come before it.
_FIRST_STEP = re.compile(r"^profiles:[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*( +)[^\s#]", re.MULTILINE)


def write(file: str, name: str, values: Mapping[str, str | None], *, use: bool) -> None:
    """Puts the values into the profile, and, with `use`, makes it the one in use. None takes a value out.

    The file is read again right before, so that what came to be in it meanwhile is kept. Raises Failure.
    """
    text, _ = read_text(file)
    yaml = _yaml(text)
    content = parse(file, text, yaml) or _table({})
    if use:
        content["current_profile"] = name
    if content.get("profiles") is None:
        content["profiles"] = _table({})
    profile = _own(table(file, "profiles", content["profiles"]), name)
    for key, value in values.items():
        if value is None:
            profile.pop(key, None)
        elif profile.get(key) != value:
            profile[key] = value
    out = StringIO()
    yaml.dump(content, out)
    replace(file, out.getvalue())


def _yaml(text: str) -> YAML:
    """Reads and writes with everything that is not a value kept: comments, order, quotes, the depth of its steps."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = WIDEST_LINE
    if step := _FIRST_STEP.search(text):
        yaml.indent(mapping=len(step[1]))
    return yaml


def _own(profiles: dict[Any, Any], name: str) -> dict[Any, Any]:
    """The profile itself. One that is an alias of another is made a table of its own first."""
    found = profiles.get(name)
    if not isinstance(found, dict):
        profiles[name] = _table({})
    elif any(found is other for key, other in profiles.items() if key != name):
        profiles[name] = _table(dict(found))
    own: dict[Any, Any] = profiles[name]
    return own


def _table(values: dict[Any, Any]) -> Any:
    from ruamel.yaml.comments import CommentedMap

    return CommentedMap(values)
