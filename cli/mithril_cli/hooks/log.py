"""`ml hooks log` and `ml hooks show`: what hooks did, and why they did not."""

from __future__ import annotations

import time

from mithril_cli import answers, client, output, times
from mithril_cli.bidview import facts
from mithril_cli.errors import NoDaemon
from mithril_cli.hooks import deliveries
from mithril_cli.table import Column
from mithril_cli.text import clean, pad, shorten, width
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

STATE = 2
COLUMNS = (
    Column("WHEN"),
    Column("DELIVERY"),
    Column("STATE"),
    Column("HOOK", least=8),
    Column("EVENT", least=16),
    Column("OF", least=6, rank=1),
    Column("WHY"),
)
WIDTHS = (8, deliveries.SHORT, 10, 16, 0)  # of the columns where lines come one by one
USUAL = 20
EVERY = 1.0  # seconds between looks, with -f
# A delivery that ended is written down a moment after the time that it bears.
OVERLAP = 10.0  # seconds
MOST = 10_000


def run(args: argparse.Namespace) -> int:
    query: list[tuple[str, object]] = [("hook", args.hook), ("event", _event(args.event)), ("output", 0)]
    query.append(("failed", 1 if args.failed else None))
    limit = args.limit or (None if args.event else USUAL)
    found = _asked([*query, ("limit", limit or MOST)])
    if args.follow:
        return _follow(args, query, found)
    if args.json:
        output.document({"deliveries": found})
    elif found:
        now = answers.present()
        output.write(deliveries.table(COLUMNS, [_row(one, now) for one in reversed(found)], STATE))
    else:
        output.note("no delivery is on record" + (" that failed" if args.failed else ""))
    return wire.EXIT_DONE


def show(args: argparse.Namespace) -> int:
    answer = client.get(f"/v1/deliveries/{client.segment(args.delivery)}")
    delivery, event = answers.one(answer, "delivery"), answers.one(answer, "event")
    if args.json:
        output.document({"delivery": delivery, "event": event})
        return wire.EXIT_DONE
    now = answers.present()
    output.write(facts(_facts(delivery, event, now), output.room()))
    for one in answers.objects(delivery, "tries"):
        deliveries.write_lines(["", *deliveries.try_lines(one, now)])
    return wire.EXIT_DONE


def _follow(args: argparse.Namespace, query: list[tuple[str, object]], found: list[Object]) -> int:
    """What there is, and then each delivery as it ends, through restarts of the daemon."""
    started, away = answers.present(), False
    # What has ended just now, and was not asked for, is not to come with what ends from now on.
    told = {_key(one): _mark(one) for one in _ended(query, started)}
    for one in found:
        told.pop(_key(one), None)
    while True:
        for one in reversed(found):
            if told.get(_key(one)) != _mark(one):
                _print(one, as_json=args.json)
                told[_key(one)] = _mark(one)
        output.flush()
        if output.reader_gone():
            raise BrokenPipeError
        time.sleep(EVERY)
        try:
            found = _ended(query, started)
            started, away = answers.present(), False
        except NoDaemon as error:
            found = []
            if not away:
                output.note(f"{error}; waiting for it")
            away = True


def _ended(query: client.Query, since: float) -> list[Object]:
    return _asked([*query, ("ended_since", times.stamp(since - OVERLAP)), ("limit", MOST)])


def _key(one: Object) -> str:
    return answers.words(one.get("id"))


def _mark(one: Object) -> object:
    """What tells one end of a delivery from another: it may be asked for again."""
    return one.get("state"), one.get("attempts"), one.get("finished_at")


def _asked(query: client.Query) -> list[Object]:
    return answers.objects(client.get("/v1/deliveries", query), "deliveries")


def _event(text: str | None) -> str | None:
    """An event by its id, or by its sequence alone."""
    if text is None or not (text.isascii() and text.isdigit()):
        return text
    store = answers.part(client.get("/v1/status"), "store").get("id")
    return f"evt_{store}_{text}"


def _print(one: Object, *, as_json: bool) -> None:
    if as_json:
        import json

        output.write(json.dumps(one, separators=(",", ":")) + "\n")
        return
    *cells, of, why = _row(one, answers.present())
    line = "  ".join(
        pad(shorten(clean(cell), wide or width(clean(cell))), wide) for cell, wide in zip(cells, WIDTHS, strict=True)
    )
    room, rest = output.room(), [clean(part) for part in (of, why) if part]
    while rest and (room is None or width(line) + 2 + width(rest[0]) <= room):
        line = f"{line}  {rest.pop(0)}"
    below = deliveries.folded(": ".join(rest), room - 4) if rest and room is not None else []
    shown = [line, *(f"    {part}" for part in below)]
    deliveries.write_lines([part if room is None else shorten(part, room) for part in shown])


def _row(one: Object, now: float) -> tuple[str, ...]:
    at = next((one[key] for key in ("finished_at", "started_at", "created_at") if one.get(key)), None)
    return (
        times.local(times.moment(at), now),
        deliveries.short(one),
        answers.words(one.get("state")),
        deliveries.hook(one),
        answers.words(one.get("type")),
        deliveries.about(one),
        deliveries.why(one, now),
    )


def _facts(delivery: Object, event: Object, now: float) -> list[tuple[str, str]]:
    words = answers.words
    about = deliveries.about(delivery)
    came = times.local(times.moment(event.get("time")), now)
    state, why = words(delivery.get("state")), deliveries.why(delivery, now)
    pairs = [
        ("delivery", words(delivery.get("id"))),
        ("hook", deliveries.hook(delivery)),
        ("event", f"{words(delivery.get('type'))}{f' of {about}' if about else ''}, {came}"),
        ("event id", words(delivery.get("event"))),
        ("state", f"{state}: {why}" if why else state),
        ("queued", times.local(times.moment(delivery.get("created_at")), now)),
    ]
    if delivery.get("finished_at"):
        pairs.append(("ended", times.local(times.moment(delivery.get("finished_at")), now)))
    return pairs
