"""Bids as a person sees them: the table of the list, and the page of one."""

from __future__ import annotations

from mithril_cli import answers, output, timeline, times
from mithril_cli.table import Column, render
from mithril_cli.text import clean, shorten

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.answers import Object

STATE = 1  # the index of this column in the list
LIST = (
    Column("NAME", least=16),
    Column("STATE"),
    Column("TYPE", least=12, rank=1),
    Column("REGION", rank=4),
    Column("INSTANCES", rank=2),
    Column("LIMIT", least=8, rank=3),
    Column("SPOT", least=8, rank=5),
    Column("CREATED BY", least=8, rank=7),
    Column("AGE", rank=6),
)
PROJECT = Column("PROJECT", least=8)
INSTANCES = (
    Column("NODE", rank=2),
    Column("INSTANCE", least=12),
    Column("STATE"),
    Column("SINCE"),
    Column("SSH", least=12, rank=1),
    Column("PRIVATE IP", rank=3),
    Column("REGION", rank=5),
    Column("FID", rank=4),
)
COLOUR = {
    "running": output.GREEN,
    "preempting": output.RED,
    "relocating": output.YELLOW,
    "failed": output.RED,
    "error": output.RED,
    "paused": output.YELLOW,
    "terminated": output.DIM,
}


def table(bids: Sequence[Object], now: float, room: int | None, *, colours: bool, projects: bool) -> str:
    """The list. With `projects`, each row says in which project its bid is."""
    rows = [_row(bid, now) for bid in bids]
    columns = list(LIST)
    if projects:
        columns.append(PROJECT)
        rows = [
            (*row, answers.words(bid.get("project_name") or bid.get("project")))
            for row, bid in zip(rows, bids, strict=True)
        ]
    return render(columns, rows, room, _paint if colours else None)


def page(bid: Object, instances: Sequence[Object], transitions: Sequence[Object], now: float, room: int | None) -> str:
    """One bid: its facts, its instances, its last steps."""
    parts = [facts([("name", answers.words(bid.get("name"))), *_facts(bid, now)], room)]
    if instances:
        parts.append(instance_table(instances, now, room))
    if transitions:
        parts.append("last steps\n" + timeline.table(transitions, now, room))
    return "\n".join(parts)


def numbered(bid: Object) -> list[Object]:
    """All instances of a bid, each with the `node` number by which `ml ssh` knows it; null for those of the past."""
    from mithril_cli import nodes

    numbers = {one.get("fid"): number for number, one in enumerate(nodes.of(bid))}
    listed = [{**one, "node": numbers.get(one.get("fid"))} for one in answers.objects(bid, "instance_details")]
    return sorted(listed, key=lambda one: len(numbers) if one["node"] is None else one["node"])


def instance_table(instances: Sequence[Object], now: float, room: int | None) -> str:
    """Instances, one a line."""
    return render(INSTANCES, [_instance_row(one, now) for one in instances], room)


def facts(pairs: Sequence[tuple[str, str]], room: int | None) -> str:
    """Lines of a name and a value. Values may hold anything: they are made harmless here."""
    wide = max(len(name) for name, _ in pairs)
    lines = []
    for name, value in pairs:
        shown = clean(value)
        lines.append(f"{name.ljust(wide)}  {shown if room is None else shorten(shown, max(room - wide - 2, 8))}\n")
    return "".join(lines)


def _row(bid: Object, now: float) -> tuple[str, ...]:
    words, get = answers.words, bid.get
    created = times.moment(get("created_at"))
    return (
        words(get("name")),
        _state(bid, now),
        words(get("instance_type_name") or get("instance_type")),
        words(get("region")),
        f"{words(get('instances_running'))}/{words(get('instances_wanted'))}",
        words(get("limit_price")),
        words(get("spot_price")),
        words(get("created_by_name") or get("created_by")),
        "-" if created is None else times.age(now - created),
    )


def _state(thing: Object, now: float) -> str:
    """The state in a word, with the time left where it is counted down."""
    word = answers.words(thing.get("state"))
    left = answers.remaining(thing, now)
    if left:
        word += f" {left}"
    return f"{word} (gone)" if thing.get("gone") and word != "gone" else word


def _paint(column: int, cell: str) -> str:
    return COLOUR.get(cell.partition(" ")[0], "") if column == STATE else ""


def _facts(bid: Object, now: float) -> list[tuple[str, str]]:
    since, created, ended = (times.moment(bid.get(key)) for key in ("since", "created_at", "deactivated_at"))
    state = _state(bid, now)
    deadline = times.moment(bid.get("deadline"))
    if deadline is not None:
        state += f" left, until {times.local(deadline, now)}"
    status = answers.words(bid.get("status"))
    if since is not None:
        status += f" since {times.local(since, now)} ({times.duration(now - since)})"
    fid = bid.get("instance_type")
    kind = answers.words(bid.get("instance_type_name") or fid)
    project, project_fid = answers.words(bid.get("project_name") or bid.get("project")), bid.get("project")
    by = answers.words(bid.get("created_by_name") or bid.get("created_by"))
    pairs = [
        ("fid", answers.words(bid.get("fid"))),
        ("state", state),
        ("status", status),
        ("project", project if project == project_fid else f"{project} ({answers.words(project_fid)})"),
        ("type", kind if fid in (None, kind) else f"{kind} ({fid})"),
        ("region", answers.words(bid.get("region"))),
        ("limit price", answers.words(bid.get("limit_price"))),
        ("spot price", answers.words(bid.get("spot_price"))),
        (
            "instances",
            f"{answers.words(bid.get('instances_running'))} of {answers.words(bid.get('instances_wanted'))} running",
        ),
        ("created", f"{times.local(created, now)} by {by}"),
    ]
    if ended is not None:
        pairs.append(("ended", times.local(ended, now)))
    if bid.get("recorded") is False:
        pairs.append(("on record", "no: this is what the marketplace tells now"))
    cluster, name = bid.get("kubernetes_cluster"), bid.get("kubernetes_cluster_name")
    if cluster:
        shown = answers.words(cluster)
        pairs.append(("cluster", f"{answers.words(name)} ({shown})" if name else shown))
    return pairs


def _instance_row(instance: Object, now: float) -> tuple[str, ...]:
    return (
        answers.words(instance.get("node")),
        answers.words(instance.get("name")),
        _state(instance, now),
        times.local(times.moment(instance.get("since")), now),
        answers.words(instance.get("ssh_destination")),
        answers.words(instance.get("private_ip")),
        answers.words(instance.get("region")),
        answers.words(instance.get("fid")),
    )
