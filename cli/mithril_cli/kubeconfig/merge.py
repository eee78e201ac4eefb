"""Credentials into a kubeconfig's text: our own entries are replaced, all else stays to the byte. Pure.

A round trip through ruamel.yaml would keep comments, but tie each to the entry before it, and lose it with that one;
and lay out anew what it did not know how to keep. So it is asked only where things stand. What comes of the edits is
read again, and has to say what was meant.
"""

from __future__ import annotations

from mithril_cli.errors import Failure
from mithril_cli.kubeconfig import document
from mithril_cli.kubeconfig.document import CURRENT, KINDS
from mithril_cli.kubeconfig.edits import Overlap
from mithril_cli.kubeconfig.layout import Layout, begun

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from mithril_cli.kubeconfig.credentials import Credentials
    from mithril_cli.kubeconfig.document import Object

EMPTY: Object = {"apiVersion": "v1", "kind": "Config"}


class Unmergeable(Failure):
    """A kubeconfig is written in a way that cannot be changed in place."""


def merge(text: str, given: Credentials, *, switch: bool) -> str:
    """The text with the credentials in it; with `switch`, their context is the current one.

    It is the same text if it says all that already. Raises Unreadable and Unmergeable.
    """
    content = document.read(text)
    wanted = merged(content, given, switch=switch)
    if wanted == content:
        return text
    root = document.nodes(text)
    try:
        held = Layout(text, root, content) if content else None
        new = held.edited(given, wanted, switch=switch) if held else begun(text, root, wanted)
        if document.read(new) == wanted:
            return new
    except (document.Unreadable, Overlap):
        pass
    raise Unmergeable("it is written in a way that cannot be changed without touching the rest of it")


def merged(content: Object, given: Credentials, *, switch: bool) -> Object:
    """What the file has to say afterwards."""
    after = dict(content or EMPTY)
    for kind in KINDS:
        after[kind] = _placed(content.get(kind) or [], given, kind)
    if switch:
        after[CURRENT] = given.context
    return after


def _placed(before: list[Object], given: Credentials, kind: str) -> list[Object]:
    """Ours stand where they stood: the first in the first place, and so on; what is new comes last."""
    new = iter(given.entries[kind])
    kept = [next(new, None) if given.owns(entry["name"]) else entry for entry in before]
    return [*(entry for entry in kept if entry is not None), *new]
