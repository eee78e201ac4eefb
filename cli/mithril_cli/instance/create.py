"""`ml instance create`: places a bid, and waits for its instances where that is wanted.

Everything that can be checked the daemon checks, before it sends anything. The name is fixed here, so that a bid
whose answer was lost can be looked for.
"""

from __future__ import annotations

import json

from mithril_cli import answers, bidview, client, output, picker
from mithril_cli.command import chosen_project
from mithril_cli.errors import ApiError, Failure, Usage
from mithril_cli.instance import inputs, wording
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mithril_cli.answers import Object

PROG = "ml instance create"


def run(args: argparse.Namespace) -> int:
    body = _body(args)
    project = chosen_project(args.project)
    query = [("project", project if project is not None else _project())]
    if args.dry_run:
        return _rehearse(query, body, as_json=args.json)
    look = wording.how_to_look(body["name"], args.project)
    unknown = f"whether the bid {body['name']!r} was placed is not known: {look} before you try again"
    answer = _with_key(body, lambda asked: client.send("POST", "/v1/bids", query, asked, unknown=unknown))
    bid = wording.changed_bid(answer, unknown)
    if answer.get("adopted"):
        output.note("the answer to the request was lost; the bid was found by its name, and there is only this one")
    _tell_warnings(answer)
    waits = args.wait or args.watch or args.wait_ssh
    try:
        if not args.json:
            output.write(bidview.facts(_facts(args, bid), output.room()))
        elif not waits:
            _document(bid)
        output.flush()
    except (OSError, Failure):  # nobody reads it; that something was bought has to be said all the same
        output.note(f"the bid {wording.titled(bid)} was placed")
        raise
    return _wait(args, bid) if waits else wire.EXIT_DONE


def _body(args: argparse.Namespace) -> Object:
    body: Object = {
        "name": args.name or inputs.new_name(),
        "instance_type": args.instance_type,
        "region": args.region,
        "limit_price": args.max_price_per_hour,
        "quantity": args.num_instances,
        "ssh_keys": args.ssh_key,
        "public_keys": [] if args.ssh_key else inputs.public_keys(),
        "volumes": args.volume,
        "kubernetes_cluster": args.k8s,
        "startup_script": None if args.startup_script is None else inputs.startup_script(args.startup_script),
        "dry_run": args.dry_run,
    }
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # bytes of the command line that are no text
        raise Usage("an argument is not text in UTF-8") from None
    return body


def _project() -> str | None:
    """A project to pick where there is a choice and somebody to make it. None: the daemon's own rule."""
    if not picker.on_terminal():
        return None
    status = client.get("/v1/status")
    projects = answers.objects(status, "projects")
    if status.get("project") or len(projects) < 2:
        return None
    names = [(answers.words(one.get("fid")), answers.words(one.get("name"))) for one in projects]
    return picker.pick(PROG, "project", names)


def _with_key(body: Object, request: Callable[[Object], Object]) -> Object:
    """The answer to the request; where no SSH key could be chosen, with the one that a person picks."""
    try:
        return request(body)
    except ApiError as error:
        if error.what != "ssh_keys" or not error.choices or not picker.on_terminal():
            raise
        output.note("no SSH key of the project is one of yours; which one is meant to log in?")
        key = picker.pick(PROG, "SSH key", [(name, name) for name in error.choices])
    return request({**body, "ssh_keys": [key]})


def _rehearse(query: client.Query, body: Object, *, as_json: bool) -> int:
    answer = _with_key(body, lambda asked: client.ask("POST", "/v1/bids", query, asked))
    plan = answers.one(answer, "plan")
    _tell_warnings(answer)
    if as_json:
        output.document({"plan": plan, "warnings": answer.get("warnings", [])})
        return wire.EXIT_DONE
    words, get = answers.words, plan.get
    project = words(get("project_name") or get("project"))
    pairs = [
        ("name", words(get("name"))),
        ("project", f"{project} ({words(get('project'))})"),
        ("type", f"{words(get('instance_type_name'))} ({words(get('instance_type'))})"),
        ("region", words(get("region"))),
        ("limit price", f"{words(get('limit_price'))} an hour for each instance"),
        ("instances", words(get("instance_quantity"))),
        ("cluster", words(body["kubernetes_cluster"])),
        ("capacity", words(get("capacity"))),
        ("spot price", words(get("spot_price"))),
        ("win price", words(get("win_price"))),
    ]
    output.write(bidview.facts(pairs, output.room()))
    output.note("this was a dry run: it would be accepted, and nothing was placed")
    return wire.EXIT_DONE


def _facts(args: argparse.Namespace, bid: Object) -> list[tuple[str, str]]:
    words, get = answers.words, bid.get
    return [
        ("name", words(get("name"))),
        ("fid", words(get("fid"))),
        ("state", words(get("state"))),
        ("project", words(get("project_name") or get("project"))),
        ("type", words(get("instance_type_name") or get("instance_type"))),
        ("region", words(get("region"))),
        ("limit price", f"{words(get('limit_price'))} an hour for each instance"),
        ("spot price", words(get("spot_price"))),
        ("instances", words(get("instance_quantity"))),
        *([("cluster", args.k8s)] if args.k8s else []),
        ("next", wording.spelled("ml instance info", bid.get("name"), args.project)),
    ]


def _tell_warnings(answer: Object) -> None:
    warnings = answer.get("warnings")
    for line in warnings if isinstance(warnings, list) else []:
        output.note(str(line))


def _wait(args: argparse.Namespace, bid: Object) -> int:
    from mithril_cli.instance.wait import Lines, Wait

    waiting = Wait(bid, args.timeout, ssh=args.wait_ssh, project=args.project)
    shown = Lines()
    if args.watch:
        from mithril_cli.instance import watch

        shown = watch.Watch(vanishes=output.terminal() and not args.json) if watch.possible() else shown
    try:
        with shown:
            waiting.run(shown)
    except Failure:
        if args.json:
            _document(waiting.bid)  # it is there, and whoever placed it has to know it
        raise
    if args.json:
        _document(waiting.bid)
    else:
        running = [one for one in bidview.numbered(waiting.bid) if one.get("state") == "running"]
        output.write("\n" + bidview.instance_table(running, answers.present(), output.room()))
    return wire.EXIT_DONE


def _document(bid: Object) -> None:
    output.document({"bid": {key: value for key, value in bid.items() if key != "instance_details"}})
