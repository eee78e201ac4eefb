"""What a cluster's own kubeconfig becomes here: renamed, and pointing to where the cluster is reached. Pure."""

from __future__ import annotations

from mithril_cli.kubeconfig import document
from mithril_cli.kubeconfig.document import CURRENT, KINDS, Unreadable

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from typing import Any

    from mithril_cli.kubeconfig.document import Object

# What a control node has no say in: which programs run here, and which files of this machine are sent to it.
RUNS = ("exec", "auth-provider")
FILES = ("certificate-authority", "client-certificate", "client-key", "tokenfile")
TEXTS = frozenset({"server", "token", "username", "password", "namespace"})


class Credentials:
    """Entries of each kind, under the names that they have here; `context` is the one that it was about there."""

    __slots__ = ("context", "entries")

    def __init__(self, context: str, entries: dict[str, list[Object]]) -> None:
        self.context = context
        self.entries = entries

    def owns(self, name: object) -> bool:
        """Whether an entry of that name is from this cluster, now or before."""
        if not isinstance(name, str) or not name.startswith(self.context):
            return False
        rest = name[len(self.context) :]
        return not rest or (rest[0] == ":" and rest[1:].isascii() and rest[1:].isdigit())


def context_name(cluster: str) -> str:
    return f"mithril:{cluster}"


def take(text: str, cluster: str, host: str) -> Credentials:
    """The credentials in the kubeconfig of a cluster that is reached at `host`. Raises Unreadable."""
    if document.has_aliases(text):
        raise Unreadable("it has YAML aliases, as no tool of Kubernetes writes them")
    content = document.read(text)
    held = {kind: _named(content, kind) for kind in KINDS}
    for kind, entries in held.items():
        if not entries:
            raise Unreadable(f"it has no {kind}")
        for name, value in entries.items():
            _check(value, f"{KINDS[kind]} {name[:100]!r}")
    main = content.get(CURRENT)
    if main not in held["contexts"]:
        main = next(iter(held["contexts"]))
    first = {"contexts": main}
    for kind in ("clusters", "users"):
        first[kind] = held["contexts"][main].get(KINDS[kind])
    called = {kind: _renamed(entries, first[kind], context_name(cluster)) for kind, entries in held.items()}
    for name, value in held["contexts"].items():
        for kind in ("clusters", "users"):
            meant = value.get(KINDS[kind])
            if not isinstance(meant, str) or meant not in held[kind]:
                raise Unreadable(f"its context {name[:100]!r} is about a {KINDS[kind]} that is not there")
            value[KINDS[kind]] = called[kind][meant]
    for name, value in held["clusters"].items():
        value["server"] = _moved(value.get("server"), host, name)
    return Credentials(
        context_name(cluster),
        {
            kind: [{KINDS[kind]: held[kind][name], "name": here} for name, here in called[kind].items()]
            for kind in KINDS
        },
    )


def _named(content: Object, kind: str) -> dict[str, Object]:
    named: dict[str, Object] = {}
    for entry in content.get(kind) or ():
        name, value = entry["name"], entry.get(KINDS[kind])
        if not isinstance(name, str) or name in named or not isinstance(value, dict):
            raise Unreadable(f"its {kind} are not as they should be")
        named[name] = value
    return named


def _renamed(entries: dict[str, Object], first: object, base: str) -> dict[str, str]:
    """What each is called here, the most important first. With a colon, since a cluster may well be called prod-2."""
    order = sorted(entries, key=lambda name: name != first)
    return {name: base if place == 1 else f"{base}:{place}" for place, name in enumerate(order, 1)}


def _moved(server: object, host: str, cluster: str) -> str:
    """The address of an API server with another host in it. Its port is kept."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(server if isinstance(server, str) else "")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreadable(f"its cluster {cluster[:100]!r} has no address that can be read")
    place = f"[{host.replace('%', '%25')}]" if ":" in host else host
    return f"https://{place}{'' if port is None else f':{port}'}{parts.path}"


def _check(value: Object, what: str) -> None:
    """Raises Unreadable for what would make kubectl run a program or read a file here, and for odd values."""
    for key in value:
        if isinstance(key, str) and key.lower() in RUNS:
            raise Unreadable(f"its {what} would have kubectl run a program on this machine ({key})")
        if isinstance(key, str) and key.lower() in FILES:
            raise Unreadable(f"its {what} names a file of the control node, which is not on this machine ({key})")
        if isinstance(key, str) and (key in TEXTS or key.endswith("-data")) and not isinstance(value[key], str):
            raise Unreadable(f"the {key} of its {what} is no text")
    if not _is_plain(value):
        raise Unreadable(f"its {what} has values that no kubeconfig has")


def _is_plain(value: Any) -> bool:
    """Whether JSON could say it: text, numbers, yes and no, nothing, and lists and tables of these."""
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor no number
    return value is None or isinstance(value, (str, int))
