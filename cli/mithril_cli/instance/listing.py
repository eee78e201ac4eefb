"""`ml instance list`: bids, with the state of their instances."""

from __future__ import annotations

from mithril_cli import answers, bidview, client, output
from mithril_cli.command import project_query
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

# States by which ended bids are asked for; they imply --all.
ENDED_STATES = ("terminated", "completed", "cancelled")
# Seconds: the marketplace is asked for ended bids that the record does not hold, and there may be many pages of them.
PATIENCE = 90.0


def run(args: argparse.Namespace) -> int:
    state = args.state.lower() if args.state is not None else None
    everything = args.all or state in ENDED_STATES
    ended = 1 if everything else None
    query = [*project_query(args), ("state", state), ("all", ended), ("earlier", ended), ("limit", args.limit)]
    if not args.json:
        query.append(("details", 0))  # the table does not show single instances
    answer = client.get("/v1/bids", query, timeout=PATIENCE if everything else None)
    bids = answers.objects(answer, "bids")
    answers.tell_freshness(answer)
    _tell_missing(answers.part(answer, "earlier"))
    if args.json:
        output.document({"bids": bids})
    elif bids:
        output.write(
            bidview.table(bids, answers.present(), output.room(), colours=output.colours(), projects=_several(bids))
        )
    else:
        output.note(_nothing(state, everything=everything))
    return wire.EXIT_DONE


def _tell_missing(earlier: Object) -> None:
    if earlier.get("complete") is False:
        reason = answers.words(earlier.get("reason"), "for no reason that is known")
        output.note(f"ended bids that are not on record could not all be asked for: {reason}; --limit asks for fewer")


def _several(bids: list[Object]) -> bool:
    """Whether the bids are of more than one project, so that a row has to say of which."""
    return any(bid.get("project") != bids[0].get("project") for bid in bids)


def _nothing(state: str | None, *, everything: bool) -> str:
    if state is not None:
        return f"no bids are {state}"
    return "no bids" if everything else "no active bids; --all shows ended ones"
