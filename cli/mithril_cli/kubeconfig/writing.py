"""Entries as text that every reader of YAML understands alike, old ones too, to whom `yes` and `0x1f` are no words."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from typing import Any

_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9._/@:+=-]*[A-Za-z0-9_/@+=-])?")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"})


def block(value: dict[str, Any]) -> list[str]:
    """A table as lines of `key: value`, each step two blanks deeper."""
    lines: list[str] = []
    for key, one in value.items():
        if isinstance(one, dict) and one:
            lines.append(f"{scalar(key)}:")
            lines += [f"  {line}" for line in block(one)]
        else:
            lines.append(f"{scalar(key)}: {scalar(one) if isinstance(one, str) else flow(one)}")
    return lines


def scalar(text: str) -> str:
    """A text, in quotes wherever it might be taken for something else."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else flow(text)


def flow(value: Any) -> str:
    """Any value on one line, as JSON, which is YAML too; in ASCII as far as both read the same escapes."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() or ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in text)
