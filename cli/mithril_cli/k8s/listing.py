"""`ml k8s list`: clusters, and how many of their nodes are active."""

from __future__ import annotations

from mithril_cli import answers, client, output, times
from mithril_cli.command import project_query
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

STATUS = 3  # the index of this column
COLUMNS = (
    Column("NAME", least=16),
    Column("PROJECT", least=8, rank=2),
    Column("REGION", rank=3),
    Column("STATUS"),
    Column("ACTIVE", rank=1),
    Column("AGE", rank=4),
)
COLOUR = {
    "available": output.GREEN,
    "pending": output.YELLOW,
    "terminated": output.DIM,
    "gone": output.DIM,
}


def run(args: argparse.Namespace) -> int:
    answer = client.get("/v1/clusters", [*project_query(args), ("all", 1 if args.all else None)])
    clusters = answers.objects(answer, "clusters")
    answers.tell_freshness(answer)
    if args.json:
        output.document({"clusters": clusters})
    elif clusters:
        now = answers.present()
        rows = [_row(one, now) for one in clusters]
        output.write(render(COLUMNS, rows, output.room(), _paint if output.colours() else None))
    else:
        output.note("no clusters" if args.all else "no active clusters; --all shows ended ones")
    return wire.EXIT_DONE


def _row(cluster: Object, now: float) -> tuple[str, ...]:
    words, get = answers.words, cluster.get
    created = times.moment(get("created_at"))
    return (
        words(get("name")),
        words(get("project_name") or get("project")),
        words(get("region")),
        words(get("state")),
        f"{words(get('active_instances'))}/{words(get('total_instances'))}",
        "-" if created is None else times.age(now - created),
    )


def _paint(column: int, cell: str) -> str:
    return COLOUR.get(cell, "") if column == STATUS else ""
