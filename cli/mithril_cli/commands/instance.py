"""`ml instance`: bids and their instances, as they are now."""

from __future__ import annotations

from mithril_cli import answers, bidview, client, output
from mithril_cli.command import JSON, PROJECT, Command, Option, bid_name, positive, project_query
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

# States by which ended bids are asked for; they imply --all.
ENDED_STATES = ("terminated", "completed", "cancelled")
# Instances that have ended, as the command reference counts them: hidden unless --all is given.
ENDED_INSTANCES = ("terminated", "replaced", "error")


def show_list(args: argparse.Namespace) -> int:
    state = args.state.lower() if args.state is not None else None
    everything = args.all or state in ENDED_STATES
    query = [*project_query(args), ("state", state), ("all", 1 if everything else None), ("limit", args.limit)]
    if not args.json:
        query.append(("details", 0))  # the table does not show single instances
    answer = client.get("/v1/bids", query)
    bids = answers.objects(answer, "bids")
    answers.tell_freshness(answer)
    if args.json:
        output.document({"bids": bids})
    elif bids:
        output.write(
            bidview.table(bids, answers.present(), output.room(), colours=output.colours(), projects=_several(bids))
        )
    else:
        output.note(_nothing(state, everything=everything))
    return wire.EXIT_DONE


def show_info(args: argparse.Namespace) -> int:
    query = project_query(args)
    if args.name is None:
        from mithril_cli.picker import pick_bid

        args.name = pick_bid(query, "ml instance info")
    answer = client.get(f"/v1/bids/{client.segment(args.name)}", [*query, ("all", 1)])
    bid, transitions = answers.one(answer, "bid"), answers.objects(answer, "transitions")
    answers.tell_freshness(answer)
    instances = answers.objects(bid, "instance_details")
    if args.json:
        shown = {key: value for key, value in bid.items() if key != "instance_details"}
        output.document({"bid": shown, "instances": instances, "transitions": transitions})
    else:
        over = bid.get("state") == "terminated"
        shown_instances = instances if over else [one for one in instances if not _has_ended(one)]
        output.write(bidview.page(bid, shown_instances, transitions, answers.present(), output.room()))
        if len(shown_instances) < len(instances):
            output.note(f"{len(instances) - len(shown_instances)} ended instances are left out; --json has them")
    return wire.EXIT_DONE


def _has_ended(instance: Object) -> bool:
    return bool(instance.get("gone")) or answers.status_word(instance.get("status")) in ENDED_INSTANCES


def _several(bids: list[Object]) -> bool:
    """Whether the bids are of more than one project, so that a row has to say of which."""
    return any(bid.get("project") != bids[0].get("project") for bid in bids)


def _nothing(state: str | None, *, everything: bool) -> str:
    if state is not None:
        return f"no bids are {state}"
    return "no bids" if everything else "no active bids; --all shows ended ones"


COMMANDS = (
    Command(
        "list",
        "List bids, with the state of their instances",
        show_list,
        about=(
            f"STATE is one of {', '.join(wire.BID_STATES)},\n"
            f"open, {' or '.join(ENDED_STATES[1:])} (both for terminated)."
        ),
        options=(
            Option("--all", action="store_true", help="ended bids too"),
            Option("-s", "--state", metavar="STATE", help="only bids in this state"),
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
        options=(
            Option("name", metavar="NAME", nargs="?", type=bid_name, help="a bid's name or fid; without it, pick one"),
            *PROJECT,
            JSON,
        ),
        examples=(
            ("ml instance info train", "the bid called train"),
            ("ml instance info bid_abc --json", "the same of a bid by its fid, for scripts"),
        ),
    ),
)
