"""`ml history`: what one bid and its instances went through."""

from __future__ import annotations

from mithril_cli import answers, client, output, timeline, times
from mithril_cli.command import JSON, NAME, PROJECT, Command, project_query
from mithril_cli.text import clean, shorten
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse


def show(args: argparse.Namespace) -> int:
    query = project_query(args)
    if args.name is None:
        from mithril_cli.picker import pick_bid

        args.name = pick_bid(query, "ml history")
    answer = client.get(f"/v1/bids/{client.segment(args.name)}/history", query)
    bid, steps = answers.one(answer, "bid"), answers.objects(answer, "steps")
    answers.tell_freshness(answer)
    now = answers.present()
    since = times.moment(answer.get("kept_since"))
    if since is not None:
        output.note(f"what it went through until {times.local(since, now)} is no longer kept")
    if args.json:
        output.document({"bid": bid, "steps": timeline.documented(steps, now)})
        return wire.EXIT_DONE
    title = f"{answers.words(bid.get('name'))} ({answers.words(bid.get('fid'))})"
    output.write(shorten(clean(title), output.room() or len(title) * 12) + "\n")
    if steps:
        output.write(timeline.table(steps, now, output.room()))
    elif bid.get("recorded") is False:
        output.note("nothing of this bid is on record: the daemon has not seen it itself")
    else:
        output.note("nothing is recorded of this bid yet")
    return wire.EXIT_DONE


COMMANDS = (
    Command(
        "",
        "The timeline of one bid and its instances, and how long each status lasted",
        show,
        about=(
            "Steps stand in the order in which they happened. Where the marketplace told no time, a step\n"
            "happened between two polls, and both are given; durations from or to such a step begin with ~,\n"
            "and with > where the status is older than our first sight of it."
        ),
        options=(
            NAME,
            *PROJECT,
            JSON,
        ),
        examples=(
            ("ml history train", "the timeline of the bid called train"),
            ("ml history bid_abc --json", "the same of a bid by its fid, with lasted_seconds"),
        ),
    ),
)
