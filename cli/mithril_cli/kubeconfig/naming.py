"""Under which name a cluster goes into a kubeconfig: names are a project's own, and a file may be for several. Pure."""

from __future__ import annotations

from mithril_cli.kubeconfig.credentials import context_name

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mithril_cli.kubeconfig.document import Object


def name_for(name: str, project: str, host: str, content: Object, others: Callable[[], Collection[str]]) -> str:
    """The cluster's own name; with its project before it where the file has another one under that name that is still
    there: `mithril:prod` must not become another cluster behind the back of whoever uses it.

    `others` gives the hosts of such clusters, and is asked only where it matters.
    """
    held = {
        entry["name"]: _host(entry["cluster"].get("server"))
        for entry in content.get("clusters") or ()
        if isinstance(entry.get("cluster"), dict)
    }
    apart = f"{project}/{name}"
    if context_name(apart) in held:
        return apart
    there = held.get(context_name(name))
    return apart if there is not None and there != host and there in others() else name


def _host(server: object) -> str | None:
    from urllib.parse import urlsplit

    try:
        return urlsplit(server if isinstance(server, str) else "").hostname
    except ValueError:
        return None
