"""`ml daemon`: how the daemon itself is doing."""

from __future__ import annotations

from mithril_cli import answers, client, output, times
from mithril_cli.bidview import facts
from mithril_cli.command import JSON, Command
from mithril_cli.daemon import upkeep, watching
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

HOOKS = (
    Column("HOOK", least=12),
    Column("ON", least=12, rank=2),
    Column("PENDING"),
    Column("RUNNING"),
    Column("DONE"),
    Column("FAILED"),
    Column("NOT RUN", least=9, rank=1),
    Column("LAST", least=12, rank=3),
)
NOT_RUN = ("skipped", "superseded", "cancelled")


def show_status(args: argparse.Namespace) -> int:
    status = client.get("/v1/status")
    answers.tell_freshness(status)
    if args.json:
        output.document(status)
        return wire.EXIT_DONE
    now, room = answers.present(), output.room()
    output.write(facts(_facts(status, now), room))
    hooks = answers.objects(status, "hooks") if status.get("hooks") else []
    if hooks:
        output.write("\n" + render(HOOKS, [_hook_row(hook, now) for hook in hooks], room))
    return wire.EXIT_DONE


def _facts(status: Object, now: float) -> list[tuple[str, str]]:
    fleet = answers.part(status, "fleet")
    uptime = answers.number(status.get("uptime_seconds")) or 0.0
    box = ", watching the sandbox" if status.get("sandbox") else ""
    pairs = [
        (
            "daemon",
            f"{answers.words(status.get('version'))}, process {answers.words(status.get('pid'))}, "
            f"up {times.duration(uptime)}{box}",
        ),
        ("socket", answers.words(status.get("socket"))),
        *upkeep.facts(status, now),
        *_account(status),
        ("marketplace", _marketplace(answers.part(status, "marketplace"), now)),
        ("fleet", f"{answers.words(fleet.get('bids'))} bids, {answers.words(fleet.get('instances'))} instances"),
        ("as of", _freshness(answers.part(status, "freshness"), now)),
        *watching.facts(status, now),
        ("projects", _projects(status)),
        *(("looking back", _unwatched(project, now)) for project in _list(status) if project.get("unwatched")),
    ]
    aside = answers.part(status, "set_aside")
    if aside.get("items"):
        last = f", the last: {aside['last']}" if aside.get("last") else ""
        pairs.append(("set aside", f"{aside['items']} items that could not be read{last}"))
    restart = status.get("restart_needed")
    if isinstance(restart, list) and restart:
        pairs.append(("restart for", ", ".join(map(str, restart))))
    return pairs


def _account(status: Object) -> list[tuple[str, str]]:
    account, key = answers.part(status, "account"), answers.part(status, "key")
    who = " of ".join(str(account[part]) for part in ("user", "organization") if account.get(part))
    source = f", from {key['source']}" if key.get("source") else ""
    message = f": {key['message']}" if key.get("message") else ""
    where = answers.words(account.get("api_url"))
    return [
        ("account", f"{who} at {where}" if who else where),
        ("key", f"{answers.words(key.get('state'))}{source}{message}"),
    ]


def _marketplace(marketplace: Object, now: float) -> str:
    answering = "answers" if marketplace.get("reachable") else "does not answer"
    since = times.moment(marketplace.get("since"))
    span = f" since {times.local(since, now)}" if since is not None else ""
    error = f" (last error: {marketplace['last_error']})" if marketplace.get("last_error") else ""
    return f"{answering}{span}{error}"


def _freshness(freshness: Object, now: float) -> str:
    at, seconds = times.moment(freshness.get("as_of")), answers.number(freshness.get("age_seconds"))
    if at is None:
        return "no complete poll yet"
    age = f"{times.duration(seconds)} ago" if seconds is not None else "by a clock that was ahead of this one"
    return f"{times.local(at, now)}, {age}"


def _list(status: Object) -> list[Object]:
    return answers.objects(status, "projects") if status.get("projects") else []


def _projects(status: Object) -> str:
    named = (f"{answers.words(one.get('name'))} ({answers.words(one.get('fid'))})" for one in _list(status))
    return ", ".join(named) or "none"


def _unwatched(project: Object, now: float) -> str:
    gap = answers.part(project, "unwatched")
    since, until = (times.local(times.moment(gap.get(end)), now) for end in ("from", "to"))
    return (
        f"nobody watched {answers.words(project.get('name'))} from {since} to {until}; the marketplace is being asked"
    )


def _hook_row(hook: Object, now: float) -> tuple[str, ...]:
    on = hook.get("on")
    last = answers.part(hook, "last")
    reason = f": {last['reason']}" if last.get("reason") else ""
    return (
        answers.words(hook.get("name")),
        " ".join(map(str, on)) if isinstance(on, list) else answers.words(on),
        *(answers.words(hook.get(key)) for key in ("pending", "running", "done", "failed")),
        ", ".join(f"{count} {state}" for state in NOT_RUN if (count := hook.get(state))) or "-",
        f"{answers.words(last.get('state'))} {times.local(times.moment(last.get('at')), now)}{reason}" if last else "-",
    )


def make_backup(args: argparse.Namespace) -> int:
    from mithril_cli.daemon import backup

    return backup.run(args)


COMMANDS = (
    Command(
        "status",
        "Show the daemon, its record, its polling and its hooks",
        show_status,
        options=(JSON,),
        examples=(
            ("ml daemon status", "is it well, and how fresh is what it knows"),
            ("ml daemon status --json | jq .freshness", "for scripts and monitoring"),
        ),
    ),
    Command(
        "backup",
        "Make a backup of the record now, and print where it lies",
        make_backup,
        options=(JSON,),
        about=(
            "The daemon makes one by itself each day (backup.every). A backup is one file, complete, compact and\n"
            "verified. To go back to it: stop the daemon, copy the file over mithrild.db, and start the daemon."
        ),
        examples=(
            ("ml daemon backup", "before an upgrade of the machine, say"),
            ('cp "$(ml daemon backup)" /mnt/elsewhere/', "and a copy in another place"),
        ),
    ),
)
