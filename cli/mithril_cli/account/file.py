"""The vendor's file of settings: found, read, and written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress

from mithril_cli.errors import Failure

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ruamel.yaml import YAML

MOST_BYTES = 1_000_000


class BrokenSettings(Failure):
    """The settings cannot be read, or say what cannot be. The words never hold a value: any of them may be a key."""


def config_file(env: Mapping[str, str]) -> str:
    home = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".config")
    return os.path.abspath(os.path.join(home, "mithril", "config.yaml"))


def read_text(file: str) -> tuple[str, int]:
    """The text of the file and its mode; no text where there is no file. Raises BrokenSettings."""
    try:
        # Non-blocking, so that a named pipe in the file's place cannot hang us.
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise BrokenSettings(f"{file}: not a file")
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise BrokenSettings(f"{file}: larger than 1 MB: not a configuration file")
        return content.decode(), mode
    except (FileNotFoundError, NotADirectoryError):
        return "", 0
    except UnicodeDecodeError:
        raise BrokenSettings(f"{file}: not UTF-8 text") from None
    except OSError as error:
        raise BrokenSettings(f"{file}: cannot be read: {error.strerror}") from None


def parse(file: str, text: str, yaml: YAML | None = None) -> dict[Any, Any]:
    """The settings in a text, as `yaml` reads it. Raises BrokenSettings."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    where = ""
    try:
        content = (yaml or YAML(typ="safe", pure=True)).load(text)
    except MarkedYAMLError as error:
        if error.problem_mark is not None:  # only the place: the parser's own words quote the file
            where = f" (at line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1})"
    except (YAMLError, ValueError, RecursionError):  # ValueError: a date or number that is none
        pass
    else:
        return table(file, "", content)
    raise BrokenSettings(f"{file}: not valid YAML{where}")


def table(file: str, place: str, value: object, *, empty: bool = True) -> dict[Any, Any]:
    if value is None and empty:
        return {}
    if isinstance(value, dict):
        return value
    raise BrokenSettings(f"{file}: {place}: must be a table" if place else f"{file}: must be a table of settings")


def replace(file: str, text: str) -> None:
    """The new text in the file's place: whole or not at all, and for its owner's eyes only. Raises Failure.

    A link is kept, and what it leads to replaced: settings are often kept elsewhere.
    """
    target = os.path.realpath(file)
    folder = os.path.dirname(target)
    fresh = os.path.join(folder, f".config.{secrets.token_hex(8)}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(fresh, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh)
            raise
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}; nothing was changed") from None
