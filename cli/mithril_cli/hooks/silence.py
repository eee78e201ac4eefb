"""`ml hooks silence`, `unsilence` and `silences`."""

from __future__ import annotations

from mithril_cli import answers, client, output, times
from mithril_cli.errors import Usage
from mithril_cli.hooks import deliveries
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

COLUMNS = (Column("ID"), Column("PATTERN", least=10), Column("HOOK", least=8), Column("BEGAN"), Column("UNTIL"))
UNKNOWN = "look with `ml hooks silences`"


def begin(args: argparse.Namespace) -> int:
    if (args.span is None) is (args.until is None):
        raise Usage("how long? say either --for 8h or --until 07:00")
    now = answers.present()
    end = now + args.span if args.span is not None else _until(args.until, now)
    body = {"pattern": args.pattern, "hook": args.hook, "until": times.stamp(end)}
    answer = client.send("POST", "/v1/silences", body=body, unknown=UNKNOWN)
    silence = answers.one(answer, "silence")
    if args.json:
        output.document(answer)
        return wire.EXIT_DONE
    deliveries.write_lines([f"silenced  {_told(silence, now)}"])
    if held := answer.get("held"):
        output.note(f"{held} that waited for another try were put aside")
    if args.hook is None:
        output.note("this holds back what acts, too, such as a checkpoint; --hook names one")
    return wire.EXIT_DONE


def end(args: argparse.Namespace) -> int:
    path = f"/v1/silences/{client.segment(args.which)}"
    answer = client.send("DELETE", path, unknown=UNKNOWN)
    if args.json:
        output.document(answer)
        return wire.EXIT_DONE
    for one in answers.objects(answer, "silences"):
        words = f"{answers.words(one.get('id'))}: {answers.words(one.get('pattern'))}"
        deliveries.write_lines([f"ended  silence {words}"])
    return wire.EXIT_DONE


def show(args: argparse.Namespace) -> int:
    answer = client.get("/v1/silences", [("all", 1 if args.all else None)])
    found = answers.objects(answer, "silences")
    if args.json:
        output.document({"silences": found})
    elif found:
        now = answers.present()
        output.write(render(COLUMNS, [_row(one, now) for one in found], output.room()))
    else:
        output.note("nothing is silenced")
    return wire.EXIT_DONE


def _until(text: str, now: float) -> float:
    """The next time at which a clock here shows 07:00, or a moment with its date."""
    found = times.next_wall(text, now)
    if found is None:
        raise Usage(f"--until takes a time such as 07:00 or 2026-11-24T07:00, not {text}")
    if found <= now:
        raise Usage(f"--until {text} is over already")
    return found


def _told(silence: Object, now: float) -> str:
    until = times.moment(silence.get("until"))
    hook = silence.get("hook")
    lasts = "" if until is None else f", {times.duration(until - now)}"
    return (
        f"{answers.words(silence.get('pattern'))} until {times.local(until, now)}{lasts}"
        f" ({hook or 'every hook'}; silence {answers.words(silence.get('id'))})"
    )


def _row(one: Object, now: float) -> tuple[str, ...]:
    return (
        answers.words(one.get("id")),
        answers.words(one.get("pattern")),
        answers.words(one.get("hook"), "every hook"),
        times.local(times.moment(one.get("begun_at")), now),
        times.local(times.moment(one.get("until")), now) + ("" if one.get("holds") else " (over)"),
    )
