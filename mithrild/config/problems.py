"""Says in one line what is wrong with a value: the file or variable, the key, and what to write instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mithrild.config.hooks import ACTIONS
from mithrild.config.settings import Settings

_WORDS = {
    "string_type": "must be text in quotes",
    "string_too_short": "must not be empty",
    "bool_type": "must be true or false, without quotes",
    "int_type": "must be a whole number, without quotes",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "missing": "missing",
}
Places = Mapping[tuple[str, ...], str]


def lines(error: ValidationError, file: Path, places: Places, hooks: object) -> list[str]:
    """One line for each thing pydantic found. `hooks` is the list as written, which has their names."""
    return [
        f"{_place(detail['loc'], file, places, hooks)}: {_words(detail)}" for detail in error.errors(include_url=False)
    ]


def duplicates(file: Path, places: Places, hooks: object) -> list[str]:
    """Two hooks of one name: their deliveries could not be told apart."""
    names = [name for hook in _list(hooks) if isinstance(name := _name(hook), str)]
    where = _source(("hooks",), file, places)
    return [
        f'{where}: hook "{name}": name: {count} hooks have this name; give each its own'
        for name, count in Counter(names).items()
        if count > 1
    ]


def idle(file: Path, places: Places, hooks: object) -> list[str]:
    """Hooks that would do nothing. Asked of what is written, to be told together with all that is wrong with it."""
    return [
        f"{_place(('hooks', at), file, places, hooks)}: no action: add one of {', '.join(ACTIONS)}"
        for at, hook in enumerate(_list(hooks))
        if isinstance(hook, dict) and not any(kind in hook for kind in ACTIONS)
    ]


def _words(detail: ErrorDetails) -> str:
    kind, loc, context = detail["type"], detail["loc"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(loc)
    if kind == "tuple_type" and loc == ("hooks",):
        return "must be a list of tables: write [[hooks]], with two brackets"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']}"
    return _WORDS.get(kind, detail["msg"])


def _unknown_key(loc: tuple[int | str, ...]) -> str:
    *path, key = loc
    fields = list(_model_at(path).model_fields)
    if path and key in Settings.model_fields:
        return "belongs above the first [table] of the file"
    near = get_close_matches(str(key), fields, n=1)
    return f'unknown key (did you mean "{near[0]}"?)' if near else f"unknown key (there are: {', '.join(fields)})"


def _model_at(path: list[int | str]) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for step in path:
        if isinstance(step, str):
            model = table_in(model.model_fields[step].annotation) or model
    return model


def table_in(kind: Any) -> type[BaseModel] | None:
    """The table that a key takes, be it the only thing that it takes, one of several, or what its list is made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((table for part in get_args(kind) if (table := table_in(part)) is not None), None)


def _place(loc: tuple[int | str, ...], file: Path, places: Places, hooks: object) -> str:
    parts = [_source(loc, file, places)]
    if loc[0] == "hooks" and len(loc) > 1 and isinstance(loc[1], int):
        name = _name(_list(hooks)[loc[1]])
        parts.append(f'hook "{name}"' if isinstance(name, str) else f"hook {loc[1] + 1}")
        loc = loc[2:]
    elif parts[0] != str(file):
        return parts[0]  # the variable names the key
    # The place of an item in its list is left out: the line quotes the item.
    key = ".".join(step for step in loc if isinstance(step, str))
    return ": ".join([*parts, key] if key else parts)


def _source(loc: tuple[int | str, ...], file: Path, places: Places) -> str:
    for length in range(len(loc), 0, -1):
        if variable := places.get(tuple(str(step) for step in loc[:length])):
            return f"environment {variable}"
    return str(file)


def _list(hooks: object) -> list[Any]:
    return hooks if isinstance(hooks, list) else []


def _name(hook: object) -> object:
    return hook.get("name") if isinstance(hook, dict) else None
