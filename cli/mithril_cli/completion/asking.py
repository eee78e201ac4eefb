"""The values of each kind: from the daemon's record, at once or not at all."""

from __future__ import annotations

from mithril_cli import answers, client
from mithril_cli.command import chosen_project
from mithril_cli.completion.place import WORDS
from mithril_cli.completion.words import can_be_typed
from mithril_cli.errors import Failure
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mithril_cli.answers import Object
    from mithril_cli.completion.place import Sought

PATIENCE = 1.0  # seconds, of a person who has pressed a key
MOST = 500  # bids that are asked for; who has more types a letter or two first, and they are filtered here
STATE_WORDS = (*wire.BID_STATES, "open", "completed", "cancelled")
PAST = ("history", "events")  # groups in which ended bids are as good as any


def fitting(sought: Sought) -> list[tuple[str, str]]:
    """The candidates that begin as the current word does, with what they are, in order and none twice."""
    if sought.kind == WORDS:
        return [one for one in sought.words if one[0].startswith(sought.start)]
    try:
        found = dict(_values(sought))
    except Failure:
        return []
    return [(value, about) for value, about in found.items() if value.startswith(sought.start) and can_be_typed(value)]


def _values(sought: Sought) -> Iterable[tuple[str, str]]:
    kind, given = sought.kind, sought.given
    if kind == "states":
        return [(state, "") for state in STATE_WORDS]
    if kind == "events":
        return [*((f"{family}.*", "") for family in wire.EVENT_FAMILIES), *((each, "") for each in wire.EVENT_TYPES)]
    if kind == "bids":
        past = 1 if sought.group in PAST else None
        query = [*_project(given), ("details", 0), ("all", past), ("limit", MOST if past else None)]
        return _named(_asked("bids", query), "state", "instance_type_name", by_fid=sought.start.startswith("bid_"))
    if kind == "clusters":
        clusters = _asked("clusters", _project(given))
        return _named(clusters, "state", "region", by_fid=sought.start.startswith("clust"))
    if kind in ("types", "regions"):
        return _markets(kind, given)
    if kind == "projects":
        projects = answers.objects(_get("/v1/status"), "projects")
        return _named(projects, "fid", by_fid=sought.start.startswith("proj_"))
    if kind == "ssh-keys":
        return _named(answers.objects(_get("/v1/ssh-keys"), "ssh_keys"), "fid")
    if kind in _OF_HOOKS:
        return _OF_HOOKS[kind]()
    return _profiles() if kind == "profiles" else []


def _get(path: str, query: client.Query = ()) -> Object:
    return client.get(path, query, timeout=PATIENCE)


def _asked(noun: str, query: client.Query) -> list[Object]:
    return answers.objects(_get(f"/v1/{noun}", query), noun)


def _project(given: dict[str, str]) -> list[tuple[str, object]]:
    return [("project", chosen_project(given.get("--project")))]


def _named(things: Iterable[Object], *about: str, by_fid: bool = False) -> Iterator[tuple[str, str]]:
    """The name of each, or its fid where that is what is typed, or where nobody could type the name."""
    for thing in things:
        name, fid = thing.get("name"), thing.get("fid")
        said = ", ".join(str(thing[key]) for key in about if thing.get(key))
        if isinstance(name, str) and can_be_typed(name) and not by_fid:
            yield name, said
        elif isinstance(fid, str):
            yield fid, f"{answers.words(name)}, {said}"


def _markets(kind: str, given: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What has an auction: in the region that was named already, or for the type that was."""
    region, wanted = given.get("--region"), given.get("--instance-type")
    for one in answers.objects(_get("/v1/types", [("region", region if kind == "types" else None)]), "types"):
        price = f"spot {one['spot_price']}" if one.get("spot_price") else ""
        if kind == "types":
            yield str(one.get("name")), price
        elif wanted in (None, one.get("name"), one.get("fid")):
            yield str(one.get("region")), price if wanted else ""


def _profiles() -> Iterator[tuple[str, str]]:
    import os

    from mithril_cli.account.settings import read

    for name in read(os.environ, "default").profiles:
        yield name, ""


def _hooks() -> Iterator[tuple[str, str]]:
    for one in _asked("hooks", ()):
        yield answers.words(one.get("name")), ", ".join(map(str, one.get("on") or ()))


def _deliveries() -> Iterator[tuple[str, str]]:
    for one in _asked("deliveries", [("output", 0), ("limit", MOST)]):
        yield answers.words(one.get("id")), f"{answers.words(one.get('hook'))}, {answers.words(one.get('state'))}"


def _event_ids() -> Iterator[tuple[str, str]]:
    for one in reversed(_asked("events", [("all_projects", 1), ("limit", MOST)])):
        yield answers.words(one.get("id")), answers.words(one.get("type"))


def _silences() -> Iterator[tuple[str, str]]:
    for one in _asked("silences", ()):
        yield answers.words(one.get("id")), answers.words(one.get("pattern"))


_OF_HOOKS = {"hooks": _hooks, "deliveries": _deliveries, "event-ids": _event_ids, "silences": _silences}
