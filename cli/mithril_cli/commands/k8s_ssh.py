"""`ml k8s ssh`: into the control node of a Kubernetes cluster. `SSH` stands in the table of `ml k8s`."""

from __future__ import annotations

import argparse

from mithril_cli import answers, client
from mithril_cli.command import CLUSTER, IDENTITY, PROJECT, Command, project_query
from mithril_cli.errors import Failure
from mithril_cli.ssh import known_hosts, run, words
from mithril_cli.ssh.errors import NotReached, beforehand
from mithril_cli.ssh.machine import Machine

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.answers import Object

PROG = "ml k8s ssh"


def connect(args: argparse.Namespace) -> int:
    command = words.remote_command(args, SSH, PROG)
    return beforehand(command and not args.show, lambda: _connect(args, command))


def _connect(args: argparse.Namespace, command: Sequence[str]) -> int:
    identity = words.checked_identity(args.identity)
    query = project_query(args)
    if args.cluster is None:
        from mithril_cli.picker import pick_cluster

        args.cluster = pick_cluster(query, PROG)
    machine = control_node(find(args.cluster, query), identity)
    if args.show:
        words.show(machine.argv(command))
        return 0
    if not command:
        run.become(machine.argv())
    return run.run_on(machine, command)


def find(name: str, query: client.Query) -> Object:
    """The cluster of a name or fid, as the record has it. Says on standard error how old that is."""
    answer = client.get("/v1/clusters", query)
    found = [one for one in answers.objects(answer, "clusters") if name in (one.get("fid"), one.get("name"))]
    if len(found) == 1:
        answers.tell_freshness(answer)
        return found[0]
    # None, several, or an ended one: the daemon has the words for it. It is not asked first, since what it says
    # of one cluster waits for the marketplace.
    answer = client.get(f"/v1/clusters/{client.segment(name)}", query)
    answers.tell_freshness(answer)
    return answers.one(answer, "cluster")


def control_node(cluster: Object, identity: str | None) -> Machine:
    """Where the cluster is to be dialled. Raises Failure where it has ended, or has no address."""
    name, host = answers.words(cluster.get("name")), cluster.get("kube_host")
    state = answers.words(cluster.get("state"))
    if state in ("terminated", "gone"):
        raise Failure(f"the cluster {name} is {state}: there is nothing to log in to")
    if not isinstance(host, str) or not host:
        raise NotReached(f"the cluster {name} is {state}, and has no address yet; see: ml k8s info {name}")
    return Machine(name, answers.words(cluster.get("fid")), host, known_hosts.path(), identity)


SSH = Command(
    "ssh",
    "Log in to the control node of a cluster, or run a command there",
    connect,
    about=(
        "Without a command this becomes the system's ssh. A command's output and exit code are returned as they are.\n"
        "\n"
        "Several words of COMMAND reach the program there as they are here; one word alone is a line for the\n"
        "shell there: ml k8s ssh prod 'kubectl get pods | wc -l'."
    ),
    options=(
        CLUSTER,
        words.COMMAND,
        words.SHOW,
        IDENTITY,
        *PROJECT,
    ),
    examples=(
        ("ml k8s ssh prod", "a shell on the control node of the cluster called prod"),
        ("ml k8s ssh prod -- kubectl get nodes", "a command there"),
        ("ml k8s ssh prod --show", "the command line of ssh, to be pasted"),
    ),
)
