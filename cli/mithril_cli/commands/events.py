"""`ml events`: what has changed, and with `-f` what is changing."""

from __future__ import annotations

from mithril_cli import answers, client, feed, output, times
from mithril_cli.command import PROJECT, Command, Option, positive, project_query, word
from mithril_cli.errors import BrokenAnswer, Usage
from mithril_cli.text import clean, pad, shorten
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from mithril_cli.answers import Object

PAGE = 500
LONGEST_NAME = 40  # columns of a name in a line


def show(args: argparse.Namespace) -> int:
    query = [*project_query(args), *(("type", _event_type(pattern)) for pattern in args.type or ()), ("bid", args.bid)]
    query.append(("simulated", 1 if args.simulated else None))
    after, since = _cursor(args.after), _since(args.since)
    if args.follow:
        return _follow(args, query, after, since)
    for event in _recorded(query, after, since, args.limit, tell=True):
        _print(event, args.json)
    return wire.EXIT_DONE


def _follow(args: argparse.Namespace, query: list[tuple[str, object]], after: str | None, since: str | None) -> int:
    if args.limit and (after or since):
        raise Usage("with -f, --limit N shows the newest N first: it does not go with --after or --since")
    # Where the record stands before anything is shown: what comes after is the feed's, whatever the filters hid.
    status = client.get("/v1/status")
    answers.tell_freshness(status)
    newest = answers.part(status, "store").get("newest_sequence")
    position = newest if isinstance(newest, int) else 0
    if after is None and (since is not None or args.limit):
        for event in _recorded(query, None, since, args.limit, tell=False):
            _print(event, args.json)
            position = max(position, feed.sequence_of(event))
    output.flush()
    for followed in feed.follow(query, after or str(position)):
        if followed is not None:
            _print(followed, args.json)
            output.flush()
        elif output.reader_gone():
            raise BrokenPipeError
    return wire.EXIT_DONE


def _recorded(
    query: client.Query, after: str | None, since: str | None, limit: int | None, *, tell: bool
) -> Iterator[Object]:
    """Events of the record, ascending: all after a cursor or time, else the newest; at most `limit`."""
    newest = after is None and since is None
    left = limit
    while left is None or left > 0:
        size = limit if newest else min(left or PAGE, PAGE)
        answer = client.get("/v1/events", [*query, ("after", after), ("since", since), ("limit", size)])
        events, reached = answers.objects(answer, "events"), answer.get("next")
        if tell:
            answers.tell_freshness(answer)
            tell = False
        yield from events[:left]
        if newest or not events:
            return
        if left is not None:
            left -= len(events)
        last = reached if isinstance(reached, int) else feed.sequence_of(events[-1])
        if after is not None and last <= feed.cursor_sequence(after):
            raise BrokenAnswer("the daemon's answer is broken: its pages of events do not advance")
        after = str(last)


def _print(event: Object, as_json: bool) -> None:
    if as_json:
        import json

        output.write(json.dumps(event, separators=(",", ":")) + "\n")
    else:
        output.write(line(event, answers.present()) + "\n")


def line(event: Object, now: float) -> str:
    """One event for a person: when, what, whose, from what to what, and how long is left. A late one tells of a
    notice that was over before anybody heard of it."""
    data = answers.part(event, "data")
    parts = [
        times.local(times.moment(event.get("time")), now),
        _cell(event.get("type"), 22),
        _cell(answers.part(data, "bid").get("name"), 16),
        _cell(answers.part(data, "instance").get("name") or answers.part(data, "cluster").get("name"), 18),
        _change(data),
    ]
    deadline = times.moment(data.get("deadline"))
    provenance = str(data.get("provenance"))
    if deadline is not None and deadline > now and provenance != "backfilled":
        parts.append(f"{answers.remaining(data, now)} left")
    late = "(late, inferred)" if data.get("inferred") else "(late)"
    if mark := {"backfilled": late, "simulated": "(simulated)"}.get(provenance):
        parts.append(mark)
    return "  ".join(part for part in parts if part).rstrip()


def _cell(value: object, wide: int = 0) -> str:
    return pad(shorten(clean(answers.words(value)), LONGEST_NAME), wide)


def _change(data: Object) -> str:
    gap = data.get("gap")
    if isinstance(gap, dict):
        since, until = (times.local(times.moment(data.get(end)), answers.present()) for end in ("from", "to"))
        return f"nobody watched from {since} to {until}: {clean(answers.words(gap.get('reason')))}"
    before, to = (data.get(end) for end in ("from", "to"))
    if before is None and to is None:
        return ""
    return _cell(to) if before is None else f"{_cell(before)} → {_cell(to)}"


def _event_type(pattern: str) -> str:
    """A pattern as it stands, if it can match: families are fixed, while the marketplace may invent statuses."""
    family = pattern.partition(".")[0]
    if family in wire.EVENT_FAMILIES or any(sign in family for sign in "*?["):
        return pattern
    raise Usage(f"no event is of type {pattern}: types begin with {', '.join(wire.EVENT_FAMILIES)}, as in instance.*")


def _cursor(text: str | None) -> str | None:
    if text is None or (text.isascii() and text.isdigit()) or text.startswith("evt_"):
        return text
    raise Usage(f"--after takes a sequence number or an event id, not {text}")


def _since(text: str | None) -> str | None:
    try:
        return None if text is None else times.since(text, answers.present())
    except ValueError:
        raise Usage(f"--since takes an age (30m, 2h, 1d) or a time (2026-11-23T14:00), not {text}") from None


COMMANDS = (
    Command(
        "",
        "Events of bids and instances, oldest first",
        show,
        about=(
            "Without --since or --after the newest 100 are shown, with either all from there on. -f goes on with\n"
            "what comes, through restarts of the daemon, and misses and repeats nothing."
        ),
        options=(
            *PROJECT,
            Option("-f", "--follow", action="store_true", help="go on with events as they come, until interrupted"),
            Option("--since", metavar="AGE|TIME", help="from an age ago (30m, 2h, 1d) or a time on"),
            Option("--after", metavar="SEQ", help="after this sequence number or event id"),
            Option("--type", metavar="PATTERN", action="append", help="only this type, as instance.*; may be repeated"),
            Option("--bid", metavar="NAME", type=word, help="only of this bid and its instances; a name or fid"),
            Option("--simulated", action="store_true", help="those of tests and drills, too"),
            Option("--limit", metavar="N", type=positive, help="at most N; with -f, the newest N before what comes"),
            Option("--json", action="store_true", help="print one CloudEvents object a line"),
        ),
        examples=(
            ("ml events -f", "what changes from now on"),
            ("ml events --since 2h --type 'instance.*'", "two hours of the instances' changes"),
            ("ml events -f --json --bid train | jq -r .type", "for scripts: one object a line"),
        ),
    ),
)
