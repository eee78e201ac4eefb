"""A kubeconfig as a text: read, and held against what a kubeconfig is. Pure."""

from __future__ import annotations

from mithril_cli.errors import Failure

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ruamel.yaml import YAML

    Object = dict[str, Any]

# The lists of a kubeconfig, and what an entry of each is called.
KINDS = {"clusters": "cluster", "contexts": "context", "users": "user"}
CURRENT = "current-context"
_KNOWN = frozenset({"apiVersion", "kind", "preferences", "extensions", CURRENT, *KINDS})


class Unreadable(Failure):
    """A text is no kubeconfig. The words say why, and hold none of its values: any of them may be a secret."""


def read(text: str) -> Object:
    """What a text says; {} for one that says nothing. Raises Unreadable."""
    content = _parsed(lambda yaml: yaml.load(text))
    if content is None or content == {}:
        return {}
    if not isinstance(content, dict) or not _KNOWN.intersection(content):
        raise Unreadable("it is no kubeconfig")
    if content.get("kind", "Config") != "Config" or content.get("apiVersion", "v1") != "v1":
        raise Unreadable("it is no kubeconfig: it is of another kind or version")
    for kind in KINDS:
        entries = content.get(kind)
        if entries is not None and not (isinstance(entries, list) and all(map(_is_entry, entries))):
            raise Unreadable(f"it is no kubeconfig: its {kind} are not a list of things with names")
    if not isinstance(content.get(CURRENT), (str, type(None))):
        raise Unreadable(f"it is no kubeconfig: its {CURRENT} is no name")
    return content


def nodes(text: str) -> Any:
    """The same text as nodes that know where they stand in it; None if there are none. Raises Unreadable."""
    return _parsed(lambda yaml: yaml.compose(text))


def has_aliases(text: str) -> bool:
    """Whether a part of it stands for another. Few bytes could mean very many then. Raises Unreadable."""
    from ruamel.yaml.events import AliasEvent

    found: bool = _parsed(lambda yaml: any(isinstance(event, AliasEvent) for event in yaml.parse(text)))
    return found


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), (str, int))


def _parsed(how: Callable[[YAML], Any]) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    where = ""
    try:
        return how(YAML(typ="safe", pure=True))
    except MarkedYAMLError as error:
        if error.problem_mark is not None:  # only the place: the parser's own words quote the text
            where = f" (line {error.problem_mark.line + 1})"
    except (YAMLError, ValueError, TypeError, RecursionError):  # ValueError: a date or a number that is none
        pass
    raise Unreadable(f"it is not valid YAML{where}")
