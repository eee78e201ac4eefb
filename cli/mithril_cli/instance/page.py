"""`ml instance info`: one bid, its instances and its last steps."""

from __future__ import annotations

from mithril_cli import answers, bidview, client, output
from mithril_cli.command import project_query
from mithril_cli.errors import ApiError
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

# Instances that are over. One in ERROR is not: whoever looks at the bid wants to see which it is.
ENDED_INSTANCES = ("terminated", "replaced")


def run(args: argparse.Namespace) -> int:
    query = project_query(args)
    if args.name is None:
        from mithril_cli.picker import pick_bid

        args.name = pick_bid(query, "ml instance info")
    answer = client.get(f"/v1/bids/{client.segment(args.name)}", [*query, ("all", 1)])
    bid, transitions = answers.one(answer, "bid"), answers.objects(answer, "transitions")
    answers.tell_freshness(answer)
    instances = bidview.numbered(bid)
    bid["kubernetes_cluster_name"] = _cluster_name(bid)
    if args.json:
        shown = {key: value for key, value in bid.items() if key != "instance_details"}
        output.document({"bid": shown, "instances": instances, "transitions": transitions})
        return wire.EXIT_DONE
    over = bid.get("state") == "terminated"
    shown_instances = instances if over else [one for one in instances if not _has_ended(one)]
    output.write(bidview.page(bid, shown_instances, transitions, answers.present(), output.room()))
    if len(shown_instances) < len(instances):
        output.note(f"{len(instances) - len(shown_instances)} ended instances are left out; --json has them")
    return wire.EXIT_DONE


def _has_ended(instance: Object) -> bool:
    return bool(instance.get("gone")) or answers.status_word(instance.get("status")) in ENDED_INSTANCES


def _cluster_name(bid: Object) -> str | None:
    """The name of the cluster that a bid's instances work for: the bid itself knows only its fid."""
    fid = bid.get("kubernetes_cluster")
    if not fid:
        return None
    try:
        answer = client.get("/v1/clusters", [("project", bid.get("project")), ("all", 1)])
    except ApiError:  # the fid is enough to go on with
        return None
    names = (one.get("name") for one in answers.objects(answer, "clusters") if one.get("fid") == fid)
    return next((name for name in names if isinstance(name, str)), None)
