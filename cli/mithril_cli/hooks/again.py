"""`ml hooks retry` and `ml hooks replay`."""

from __future__ import annotations

from mithril_cli import answers, client, output
from mithril_cli.hooks import deliveries
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

UNKNOWN = "look with `ml hooks log`"


def retry(args: argparse.Namespace) -> int:
    body = {"deliveries": args.deliveries}
    answer = client.send("POST", "/v1/deliveries/retry", body=body, unknown=UNKNOWN)
    if args.json:
        output.document(answer)
        return wire.EXIT_DONE
    queued = answer.get("deliveries")
    deliveries.write_lines([f"queued  {answers.words(id)}" for id in queued] if isinstance(queued, list) else [])
    return wire.EXIT_DONE


def replay(args: argparse.Namespace) -> int:
    path = f"/v1/events/{client.segment(args.event)}/replay"
    answer = client.send("POST", path, body={"hook": args.hook}, unknown=UNKNOWN)
    if args.json:
        output.document(answer)
        return wire.EXIT_DONE
    for one in answers.objects(answer, "deliveries"):
        if one.get("queued"):
            deliveries.write_lines([f"queued  {answers.words(one.get('id'))}"])
        else:
            output.note(f"{answers.words(one.get('id'))} is running at this moment")
    return wire.EXIT_DONE
