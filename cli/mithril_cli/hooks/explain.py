"""`ml hooks explain`: which hooks an event concerns, and what kept back the others."""

from __future__ import annotations

from mithril_cli import answers, client, output, times
from mithril_cli.command import project_query
from mithril_cli.errors import Usage
from mithril_cli.hooks import deliveries
from mithril_cli.table import Column
from mithril_cli.text import clean
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from mithril_cli.answers import Object

VERDICT = 2
COLUMNS = (Column("HOOK", least=8), Column("ACTION"), Column("VERDICT"), Column("WHY"))
WORDS = {"run": "runs", "skip": "held back", "no": "not its own"}


def run(args: argparse.Namespace) -> int:
    hypothetical = args.type is not None or args.bid is not None
    if (args.event is not None) is hypothetical:
        raise Usage("explain takes an EVENT that came, or --type and --bid of one that might; try: ml hooks explain -h")
    answer = imagined(args.type, args.bid, project_query(args)) if hypothetical else _came(args.event)
    if args.json:
        output.document(answer)
        return wire.EXIT_DONE
    now = answers.present()
    output.write(_title(answers.one(answer, "event"), now, imagined=hypothetical) + "\n")
    output.write(table(answers.objects(answer, "hooks")))
    return wire.EXIT_DONE


def imagined(type: str | None, bid: str | None, query: client.Query) -> Object:
    """What would happen if an event of this type came now."""
    return client.get("/v1/explain", [*query, ("type", type), ("bid", bid)])


def table(verdicts: Sequence[Object]) -> str:
    rows = [
        (
            answers.words(one.get("hook")),
            answers.words(one.get("action")),
            WORDS.get(str(one.get("verdict")), answers.words(one.get("verdict"))),
            answers.words(one.get("reason"), ""),
        )
        for one in verdicts
    ]
    return deliveries.table(COLUMNS, rows, VERDICT)


def _came(event: str) -> Object:
    return client.get(f"/v1/events/{client.segment(event)}/explain")


def _title(event: Object, now: float, *, imagined: bool) -> str:
    data = answers.part(event, "data")
    of = answers.part(data, "instance").get("name") or answers.part(data, "bid").get("name")
    title = answers.words(event.get("type")) + (f" of {of}" if of else "")
    if imagined:
        return clean(f"{title}, if it came now")
    return clean(f"{title}, {times.local(times.moment(event.get('time')), now)} ({answers.words(event.get('id'))})")
