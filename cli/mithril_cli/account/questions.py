"""What setting up asks of a person. All of it is said on the terminal; the key is typed unseen."""

from __future__ import annotations

import sys

from mithril_cli import output, picker
from mithril_cli.account.file import BrokenSettings
from mithril_cli.account.settings import check_key
from mithril_cli.errors import Usage
from mithril_cli.text import clean

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_KEY_BYTES = 4096
SHORTEST_SHOWN = 12  # characters; of a shorter key the last four would be too much of it


def profile(usual: str, there: Sequence[str]) -> str:
    others = f" (there are: {clean(', '.join(there))})" if there else ""
    return _line(f"profile{others} [{clean(usual)}]: ").strip() or usual


def key(where: str, keep: str | None) -> str:
    """The key that is typed, or the one that is there already. Raises Usage for none."""
    from getpass import getpass

    kept = f" [Enter keeps {masked(keep)}]" if keep else ""
    try:
        typed = getpass(f"API key for {clean(where)}{kept}: ", sys.stderr).strip()
    except (EOFError, UnicodeError):
        typed = ""
        keep = None
    if not typed and not keep:
        raise Usage("no key was given, and nothing was written")
    try:
        return check_key(typed or keep or "", "what was typed")
    except BrokenSettings as error:
        raise Usage(str(error)) from None


def key_from_input() -> str:
    """The key on standard input: its first line."""
    read = sys.stdin.buffer.readline(MOST_KEY_BYTES) if sys.stdin is not None else b""
    typed = read.decode("latin-1").strip()
    if not typed:
        raise Usage("there is no key on standard input")
    try:
        return check_key(typed, "standard input")
    except BrokenSettings as error:
        raise Usage(str(error)) from None


def project(prog: str, projects: Sequence[tuple[str, str]], present: str | None) -> str:
    """The fid of the one that is picked; the present one stands first."""
    first = sorted(projects, key=lambda one: one[0] != present)
    return picker.pick(prog, "project", [(fid, f"{name} ({fid})") for fid, name in first])


def agrees(question: str) -> bool:
    """Enter is yes: nothing that is asked so loses anything."""
    return _line(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")


def masked(secret: str | None) -> str:
    """A key as it may be shown."""
    if not secret:
        return "none"
    return f"…{secret[-4:]}" if len(secret) >= SHORTEST_SHOWN else "…"


def _line(question: str) -> str:
    output.aside(question)
    typed = sys.stdin.buffer.readline().decode("utf-8", "replace")
    if not typed:
        output.aside("\n")
        raise Usage("nothing was typed, and nothing was written")
    return typed
