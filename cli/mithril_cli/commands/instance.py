"""`ml instance`: bids and their instances. Here is the table; each verb is a module of `mithril_cli.instance`."""

from __future__ import annotations

from mithril_cli.command import JSON, NAME, PROJECT, YES, Command, Elsewhere, Option, positive, span, word
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse


def show_list(args: argparse.Namespace) -> int:
    from mithril_cli.instance import listing

    return listing.run(args)


def show_info(args: argparse.Namespace) -> int:
    from mithril_cli.instance import page

    return page.run(args)


def create(args: argparse.Namespace) -> int:
    from mithril_cli.instance import create as verb

    return verb.run(args)


def delete(args: argparse.Namespace) -> int:
    from mithril_cli.instance import delete as verb

    return verb.run(args)


def update(args: argparse.Namespace) -> int:
    from mithril_cli.instance import update as verb

    return verb.run(args)


def list_types(args: argparse.Namespace) -> int:
    from mithril_cli.instance import market

    return market.run(args)


def _ssh() -> Command:
    from mithril_cli.commands.ssh import INSTANCE_SSH

    return INSTANCE_SSH


IN_PROJECT = PROJECT[0]
PRICE = ("-m", "--max-price-per-hour")

COMMANDS = (
    Command(
        "create",
        "Place a bid for one or more instances",
        create,
        about=(
            "TYPE is a name or fid of `ml instance list-types`, or the beginning of a name, with the number of GPUs\n"
            "before it: 8xa100. PRICE is the most you pay for each instance and hour: 8, 8.0 or $8.0.\n"
            "TIME is in seconds, or 10m, 2h. The bid stays when the waiting for it ends."
        ),
        options=(
            Option("-i", "--instance-type", metavar="TYPE", type=word, required=True, help="what to rent"),
            Option("-r", "--region", metavar="REGION", type=word, required=True, help="where"),
            Option(*PRICE, metavar="PRICE", type=word, required=True, help="for each instance and hour, in dollars"),
            Option("-n", "--name", metavar="NAME", type=word, help="a name nobody had before; else one is made up"),
            Option("-N", "--num-instances", metavar="N", type=positive, default=1, help="how many (1)"),
            IN_PROJECT,
            Option("--k8s", metavar="CLUSTER", type=word, help="have them work for a Kubernetes cluster"),
            Option(
                "--ssh-key",
                metavar="KEY",
                type=word,
                action="append",
                default=[],
                help="a key of the project; repeatable",
            ),
            Option(
                "--volume", metavar="VOLUME", type=word, action="append", default=[], help="attach a volume; repeatable"
            ),
            Option("--startup-script", metavar="FILE", type=word, help="run at the first boot"),
            Option("--wait", action="store_true", help="until all instances run"),
            Option("--wait-ssh", action="store_true", help="until they answer on ssh, too"),
            Option("-w", "--watch", action="store_true", help="wait, and show each instance meanwhile"),
            Option("--timeout", metavar="TIME", type=span, default=1800, help="how long to wait at most (30m)"),
            Option("-d", "--dry-run", action="store_true", help="check everything, and place nothing"),
            JSON,
        ),
        examples=(
            ("ml instance create -i 8xa100 -r us-central2-a -m 8", "one instance, at most $8 an hour"),
            ("ml instance create -i b200 -r us-central5-a -m 24 -N 2 --wait", "two, and wait for them"),
            ("ml instance create -i b200 -r us-central5-a -m 24 -d", "what would be placed, and at what prices"),
        ),
    ),
    Command(
        "list",
        "List bids, with the state of their instances",
        show_list,
        about=(f"STATE is one of {', '.join(wire.BID_STATES)},\nopen, completed or cancelled (both for terminated)."),
        options=(
            Option("--all", action="store_true", help="ended bids too"),
            Option("-s", "--state", metavar="STATE", type=word, help="only bids in this state"),
            Option("--limit", metavar="N", type=positive, help="at most N bids"),
            *PROJECT,
            JSON,
        ),
        examples=(
            ("ml instance list", "active bids"),
            ("ml instance list -s preempting", "those that are about to lose their machines"),
            ("ml instance list --all --json | jq -r '.bids[].name'", "for scripts"),
        ),
    ),
    Command(
        "info",
        "Show one bid, its instances and its last steps",
        show_info,
        options=(NAME, *PROJECT, JSON),
        examples=(
            ("ml instance info train", "the bid called train"),
            ("ml instance info bid_abc --json", "the same of a bid by its fid, for scripts"),
        ),
    ),
    Command(
        "update",
        "Change what a bid pays at most; pause or resume it",
        update,
        options=(
            NAME,
            Option(*PRICE, metavar="PRICE", type=word, help="for each instance and hour, in dollars"),
            Option("--pause", action="store_true", help="stop its instances, and bid no more for now"),
            Option("--resume", action="store_true", help="bid again"),
            YES,
            IN_PROJECT,
            JSON,
        ),
        examples=(
            ("ml instance update train -m 9.50", "pay up to $9.50 an hour"),
            ("ml instance update train --pause", "stop its instances, and keep the bid"),
            ("ml instance update train --resume -m 12", "go on, at a higher price"),
        ),
    ),
    Command(
        "delete",
        "Cancel bids, and end their instances for good",
        delete,
        options=(
            NAME,
            YES,
            Option("--all", action="store_true", help="every active bid of the project"),
            Option("-n", "--name-pattern", metavar="PATTERN", type=word, help="active bids with such names: 'dev-*'"),
            IN_PROJECT,
            JSON,
        ),
        examples=(
            ("ml instance delete train", "the bid called train; asks first"),
            ("ml instance delete -n 'dev-*' -y", "all that begin with dev-, unasked"),
        ),
    ),
    Command(
        "list-types",
        "Show what there is to rent where, and what it costs",
        list_types,
        options=(
            Option("-r", "--region", metavar="REGION", type=word, help="only what this region has"),
            Option("-v", "--verbose", action="store_true", help="memory of the GPUs and of the machine, too"),
            JSON,
        ),
        examples=(
            ("ml instance list-types -r us-central5-a", "one region"),
            ("ml instance list-types --json | jq -r '.[].name' | sort -u", "for scripts"),
        ),
    ),
    Elsewhere("ssh", "Log in to an instance of a bid, or run a command on all of them", _ssh),
)
