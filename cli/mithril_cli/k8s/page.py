"""`ml k8s info`: one cluster, and the instances that are its nodes."""

from __future__ import annotations

from mithril_cli import answers, client, output, times
from mithril_cli.bidview import facts
from mithril_cli.command import project_query
from mithril_cli.table import Column, render
from mithril_cli.text import clean
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from mithril_cli.answers import Object

PATIENCE = 100.0  # seconds; the daemon asks the marketplace, and gives a slow one time
INSTANCES = (
    Column("INSTANCE", least=12),
    Column("STATE"),
    Column("SINCE", rank=2),
    Column("SSH", least=12, rank=1),
    Column("PRIVATE IP", rank=3),
    Column("TYPE", least=10, rank=4),
    Column("FID", rank=5),
)


def run(args: argparse.Namespace) -> int:
    query = project_query(args)
    if args.cluster is None:
        from mithril_cli.picker import pick_cluster

        args.cluster = pick_cluster(query, "ml k8s info")
    join = ("join", 1 if args.show_join_command else None)
    answer = client.get(f"/v1/clusters/{client.segment(args.cluster)}", [*query, join], PATIENCE)
    cluster, instances = answers.one(answer, "cluster"), answers.objects(answer, "instances")
    answers.tell_freshness(answer)
    if args.json:
        output.document({"cluster": cluster, "instances": instances})
        return wire.EXIT_DONE
    output.write(_page(cluster, instances))
    if args.show_join_command:
        _show_join_command(cluster)
    return wire.EXIT_DONE


def _page(cluster: Object, instances: Sequence[Object]) -> str:
    now, room = answers.present(), output.room()
    page = facts(_facts(cluster, now), room)
    if instances:
        page += "\n" + render(INSTANCES, [_row(one, now) for one in instances], room)
    return page


def _facts(cluster: Object, now: float) -> list[tuple[str, str]]:
    words, get = answers.words, cluster.get
    since, ended = times.moment(get("since")), times.moment(get("deleted_at"))
    status = words(get("state"))
    if since is not None:
        status += f" since {times.local(since, now)} ({times.duration(now - since)})"
    project, fid = words(get("project_name") or get("project")), words(get("project"))
    keys = cluster.get("ssh_keys")
    named = [words(one.get("name") or one.get("fid")) for one in keys or () if isinstance(one, dict)]
    pairs = [
        ("name", words(get("name"))),
        ("fid", words(get("fid"))),
        ("status", status),
        ("project", project if project == fid else f"{project} ({fid})"),
        ("region", words(get("region"))),
        ("version", words(get("k8s_version"))),
        ("endpoint", words(get("kube_host"))),
        ("nodes", f"{words(get('active_instances'))} of {words(get('total_instances'))} active"),
        ("ssh keys", ", ".join(named) or "-"),
        ("created", times.local(times.moment(get("created_at")), now)),
    ]
    if ended is not None:
        pairs.append(("ended", times.local(ended, now)))
    return pairs


def _row(instance: Object, now: float) -> tuple[str, ...]:
    words, get = answers.words, instance.get
    left = answers.remaining(instance, now)
    return (
        words(get("name")),
        f"{words(get('state'))} {left}".strip(),
        times.local(times.moment(get("since")), now),
        words(get("ssh_destination")),
        words(get("private_ip")),
        words(get("instance_type_name") or get("instance_type")),
        words(get("fid")),
    )


def _show_join_command(cluster: Object) -> None:
    """Whole, however narrow the terminal: it is there to be pasted."""
    command = cluster.get("join_command")
    if isinstance(command, str) and command:
        lines = [clean(line) for line in command.splitlines()]
        output.write("\n".join(["", "join command", *lines, ""]))
    else:
        output.note("the marketplace has no join command for this cluster")
