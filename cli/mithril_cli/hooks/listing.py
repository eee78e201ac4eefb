"""`ml hooks list` and `ml hooks enable`."""

from __future__ import annotations

from mithril_cli import answers, client, output, times
from mithril_cli.hooks import deliveries
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

COLUMNS = (
    Column("HOOK", least=8),
    Column("ON", least=24, rank=4),
    Column("ACTIONS", least=8, rank=1),
    Column("STATE", least=8),
    Column("WAITING", rank=3),
    Column("SUCCESS"),
    Column("LAST", least=17),
)


def run(args: argparse.Namespace) -> int:
    answer = client.get("/v1/hooks")
    hooks = answers.objects(answer, "hooks")
    if args.json:
        output.document({"hooks": hooks})
        return wire.EXIT_DONE
    if not hooks:
        output.note("no hooks are configured; the README has recipes")
        return wire.EXIT_DONE
    now = answers.present()
    output.write(render(COLUMNS, [_row(hook, now) for hook in hooks], output.room()))
    for hook in hooks:
        for action in answers.objects(hook, "actions"):
            if off := answers.part(action, "off"):
                name = answers.words(hook.get("name"))
                since = times.local(times.moment(off.get("at")), now)
                reason = answers.words(off.get("reason"))
                output.note(
                    f"{name}: {answers.words(action.get('name'))} is switched off since {since} ({reason}); "
                    f"`ml hooks enable {name}` switches it on"
                )
    return wire.EXIT_DONE


def enable(args: argparse.Namespace) -> int:
    path = f"/v1/hooks/{client.segment(args.hook)}/enable"
    answer = client.send("POST", path, unknown="look with `ml hooks list`")
    if args.json:
        output.document(answer)
        return wire.EXIT_DONE
    enabled = answer.get("enabled")
    if not isinstance(enabled, list) or not enabled:
        output.note(f"nothing of {args.hook} was switched off")
    else:
        deliveries.write_lines([f"enabled  {args.hook} ({answers.words(action)})" for action in enabled])
    return wire.EXIT_DONE


def _row(hook: Object, now: float) -> tuple[str, ...]:
    on, counts, last = hook.get("on"), answers.part(hook, "counts"), answers.part(hook, "last")
    actions = answers.objects(hook, "actions")
    waiting = sum(int(answers.number(counts.get(state)) or 0) for state in ("pending", "running"))
    return (
        answers.words(hook.get("name")),
        " ".join(map(str, on)) if isinstance(on, list) else answers.words(on),
        ", ".join(answers.words(action.get("name")) for action in actions),
        _state(hook, actions),
        str(waiting or "-"),
        _success(hook, counts),
        f"{answers.words(last.get('state'))} {times.local(times.moment(last.get('at')), now)}" if last else "-",
    )


def _state(hook: Object, actions: list[Object]) -> str:
    """What keeps it still, all or in part."""
    off = [answers.words(action.get("name")) for action in actions if action.get("off")]
    parts = [f"{', '.join(off)} off"] if off else []
    silenced = hook.get("silenced")
    if isinstance(silenced, list) and silenced:
        parts.append(f"silenced for {', '.join(map(str, silenced))}")
    if hook.get("quiet_now"):
        parts.append("quiet hours")
    return ", ".join(parts) or "on"


def _success(hook: Object, counts: Object) -> str:
    rate = answers.number(hook.get("success_rate"))
    if rate is None:
        return "-"
    ended = sum(int(answers.number(counts.get(state)) or 0) for state in ("done", *deliveries.FAILED))
    shown = 99 if 0.99 < rate < 1 else round(rate * 100)  # only all is all
    return f"{shown}% of {ended}"
