"""`ml k8s`: Kubernetes clusters. Here is the table; the verbs are modules of `mithril_cli.k8s` and `kubeconfig`."""

from __future__ import annotations

from mithril_cli.command import CLUSTER, IDENTITY, JSON, PROJECT, YES, Command, Elsewhere, Option

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse


def show_list(args: argparse.Namespace) -> int:
    from mithril_cli.k8s import listing

    return listing.run(args)


def show_info(args: argparse.Namespace) -> int:
    from mithril_cli.k8s import page

    return page.run(args)


def update_kubeconfig(args: argparse.Namespace) -> int:
    from mithril_cli.kubeconfig import update as verb

    return verb.run(args)


def _ssh() -> Command:
    from mithril_cli.commands.k8s_ssh import SSH

    return SSH


COMMANDS = (
    Command(
        "list",
        "List Kubernetes clusters",
        show_list,
        about="ACTIVE counts the nodes that run or are starting, and all there are.",
        options=(Option("--all", action="store_true", help="terminated clusters too"), *PROJECT, JSON),
        examples=(
            ("ml k8s list", "active clusters"),
            ("ml k8s list --all --json | jq -r '.clusters[].name'", "for scripts"),
        ),
    ),
    Command(
        "info",
        "Show one cluster and its nodes",
        show_info,
        about=(
            "The join command holds a secret: it is asked of the marketplace when it is to be shown, and kept nowhere."
        ),
        options=(
            CLUSTER,
            Option("--show-join-command", action="store_true", help="the command that makes a machine a node, too"),
            *PROJECT,
            JSON,
        ),
        examples=(
            ("ml k8s info prod", "the cluster called prod"),
            ("ml k8s info prod --show-join-command", "with what a new node has to run"),
        ),
    ),
    Elsewhere("ssh", "Log in to the control node of a cluster, or run a command there", _ssh),
    Command(
        "update-kubeconfig",
        "Fetch a cluster's credentials, and merge them into the kubeconfig",
        update_kubeconfig,
        about=(
            "Reads ~/.kube/config on the control node over ssh. Its clusters, contexts and users are called\n"
            "mithril:NAME here (a second one mithril:NAME:2), in place of what was called so before, or\n"
            "mithril:PROJECT/NAME where another project's cluster has that name; nothing else is touched.\n"
            "They go into the first file of $KUBECONFIG that exists, else into the last; without it, into\n"
            "~/.kube/config. With -y the context becomes the current one, unless --keep-context is said too."
        ),
        options=(
            CLUSTER,
            IDENTITY,
            YES,
            Option("--keep-context", action="store_true", help="leave the current context as it is"),
            Option("--no-backup", action="store_true", help="do not save the file as it was"),
            Option("--skip-validation", action="store_true", help="do not try it with `kubectl cluster-info`"),
            *PROJECT,
            JSON,
        ),
        examples=(
            ("ml k8s update-kubeconfig prod", "shows what changes, and asks"),
            ("ml k8s update-kubeconfig prod -y --keep-context", "renewed by a script, behind nobody's back"),
            ("kubectl --context mithril:prod get nodes", "afterwards"),
        ),
    ),
)
