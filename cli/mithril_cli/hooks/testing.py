"""`ml hooks test`: one hook, its real actions, an event that did not happen."""

from __future__ import annotations

import time

from mithril_cli import answers, client, output
from mithril_cli.command import project_query
from mithril_cli.errors import Failure, Interrupted
from mithril_cli.hooks import deliveries
from mithril_cli.text import clean
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from mithril_cli.answers import Object

EVERY = 0.2  # seconds between looks


def run(args: argparse.Namespace) -> int:
    path = f"/v1/hooks/{client.segment(args.hook)}/test"
    body = {"type": args.type, "bid": args.bid}
    begun = client.send("POST", path, project_query(args), body, unknown="look with `ml hooks log`")
    ids, test = begun.get("deliveries"), answers.words(begun.get("test"))
    if not args.json:
        of = f"of {args.bid}" if args.bid else "of a bid that there is not"
        output.note(f"{args.hook} is told of an imagined {answers.words(begun.get('type'))} {of}")
        if begun.get("note"):
            output.note(f"it would not have run by itself: {begun['note']}")
    try:
        ended = [_wait(answers.words(id)) for id in ids] if isinstance(ids, list) else []
    except KeyboardInterrupt:
        _stop(test)
        raise Interrupted("interrupted; what had begun goes on, and nothing is begun any more") from None
    _stop(test)  # one try is a test: what wants another is not tried again
    if args.json:
        output.document({**{key: begun.get(key) for key in ("test", "event", "type", "note")}, "deliveries": ended})
    else:
        _print(ended)
    return wire.EXIT_DONE if all(one.get("state") == "done" for one in ended) else wire.EXIT_FAILED


def _wait(id: str) -> Object:
    """The delivery with its tries, once it has ended, or wants another try."""
    while True:
        delivery = answers.one(client.get(f"/v1/deliveries/{id}"), "delivery")
        if delivery.get("state") in deliveries.ENDED:
            return delivery
        if delivery.get("state") == "pending" and delivery.get("attempts"):
            return delivery
        time.sleep(EVERY)


def _stop(test: str) -> None:
    try:
        client.ask("DELETE", f"/v1/drills/{client.segment(test)}", timeout=client.TIMEOUT)
    except Failure as error:
        output.note(str(error))


def _print(ended: Sequence[Object]) -> None:
    for one in ended:
        state = "wants another try" if one.get("state") == "pending" else answers.words(one.get("state"))
        why = answers.words(one.get("reason"), "")
        spent = deliveries.took(one)
        head = f"{answers.words(one.get('action'))}  {state}{f' after {spent}' if spent else ''}"
        lines = [clean(f"{head}: {why}" if why else head)]
        for each in answers.objects(one, "tries"):
            lines += deliveries.output_lines(each)
        deliveries.write_lines(lines)
