"""Reads what a person wrote, from config.toml and from `MITHRILD_…` variables, before any of it is judged."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel

from mithrild.config.settings import Settings
from mithrild.wire import HOOK_VARIABLES

PREFIX = "MITHRILD_"
# Ours, but no settings: where the socket is, and what a hook's command finds in its environment (a hook may
# well start `mithrild check-config`).
NOT_SETTINGS = frozenset(PREFIX + word for word in ("SOCKET", *HOOK_VARIABLES))
_MOST_BYTES = 1_000_000
_KEY_LINE = re.compile(r"""^\s*["']?api_key["']?\s*=\s*["'][^"']""", re.MULTILINE)


@dataclass
class Found:
    """What one source held. `places` leads from a key's path to the variable that set it."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[tuple[str, ...], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """A file as it was read, with its mode bits. Without `trouble`, no content means that there is no file."""

    content: str | None = None
    mode: int = 0
    trouble: str | None = None

    def exposed(self, path: Path) -> str | None:
        """What to type where others than the owner may read a file that holds a key."""
        if self.mode & (stat.S_IRGRP | stat.S_IROTH):
            return f"others can read the key in this file; type: chmod 600 {shlex.quote(str(path))}"
        return None


def _open(path: str, flags: int) -> int:
    # Non-blocking, so that a named pipe in the file's place cannot hang the start.
    return os.open(path, flags | os.O_NONBLOCK)


def read_text(path: Path) -> Text:
    try:
        with open(path, "rb", opener=_open) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                return Text(trouble="not a file")
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            return Text(trouble="larger than 1 MB: not a configuration file")
        return Text(content.decode(), mode)
    except (FileNotFoundError, NotADirectoryError):
        return Text()
    except UnicodeDecodeError:
        return Text(trouble="not UTF-8 text")
    except OSError as error:
        return Text(trouble=f"cannot be read: {error.strerror}")


def read_file(path: Path, required: bool) -> Found:
    found = Found()
    text = read_text(path)
    if text.trouble:
        found.problems.append(f"{path}: {text.trouble}")
    if text.content is None:
        if not text.trouble and required:
            found.problems.append(f"{path}: no such file")
        return found
    try:
        found.data = tomllib.loads(text.content)
    except tomllib.TOMLDecodeError as error:
        found.problems.append(f"{path}: not valid TOML: {error}")
    except RecursionError:
        found.problems.append(f"{path}: not valid TOML: nested too deep")
    # By the text too: a file that cannot be parsed, or has its key in the wrong table, shows it all the same.
    has_key = bool(found.data.get("api_key") or _KEY_LINE.search(text.content))
    if has_key and (advice := text.exposed(path)):
        found.problems.append(f"{path}: api_key: {advice}")
    if text.mode & stat.S_IWOTH:
        advice = f"chmod o-w {shlex.quote(str(path))}"
        found.warnings.append(f"{path}: anyone may write to it, and so run programs as you; type: {advice}")
    return found


def read_variables(env: Mapping[str, str]) -> Found:
    """Settings from the environment. An empty variable counts as unset."""
    found = Found()
    for name in sorted(env):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and env[name]:
            _take(found, name, env[name])
    return found


def _take(found: Found, name: str, text: str) -> None:
    path = tuple(name.removeprefix(PREFIX).lower().split("__"))
    fields: Mapping[str, Any] = Settings.model_fields
    table = found.data
    for depth, key in enumerate(path):
        if key not in fields:
            if len(path) == 1:  # may be somebody else's word, such as a hook variable of a later version
                found.warnings.append(f"environment {name}: no setting of this name{_nearest(key, fields)}")
            else:
                found.problems.append(f"environment {name}: unknown key{_nearest(key, fields)}")
            return
        kind = fields[key].annotation
        is_table = isinstance(kind, type) and issubclass(kind, BaseModel)
        if depth == len(path) - 1:
            if is_table:
                example = f"{name}__{next(iter(kind.model_fields)).upper()}"
                found.problems.append(f"environment {name}: names a table; set its keys, such as {example}")
                return
            try:
                table[key] = _value(key, kind, text)
                found.places[path] = name
            except ValueError as error:
                found.problems.append(f"environment {name}: {error}")
            return
        if not is_table:
            found.problems.append(f"environment {name}: {key} has no keys of its own")
            return
        table = table.setdefault(key, {})
        fields = kind.model_fields


def _value(key: str, kind: Any, text: str) -> Any:
    """Text as the type of its key: a list as JSON or, of plain words, parted by commas; text; a number."""
    if get_origin(kind) is tuple:
        if text.lstrip().startswith("[") or key == "hooks":
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                raise ValueError("must be a list in JSON") from None
        return [word.strip() for word in text.split(",")]
    if kind is int:
        try:
            return int(text[:20])
        except ValueError:
            raise ValueError("must be a whole number") from None
    return text


def _nearest(key: str, fields: Mapping[str, Any]) -> str:
    near = get_close_matches(key, fields, n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""
