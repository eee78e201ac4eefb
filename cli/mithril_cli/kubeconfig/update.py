"""`ml k8s update-kubeconfig`: a cluster's credentials, fetched, shown, merged and tried."""

from __future__ import annotations

import os

from mithril_cli import answers, client, consent, output, picker
from mithril_cli.bidview import facts
from mithril_cli.command import project_query
from mithril_cli.commands import k8s_ssh
from mithril_cli.errors import Failure
from mithril_cli.kubeconfig import credentials, document, fetch, files, kubectl, merge, naming
from mithril_cli.kubeconfig.document import CURRENT, KINDS
from mithril_cli.ssh import destination, words
from mithril_cli.ssh.errors import NotReached
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object
    from mithril_cli.kubeconfig.credentials import Credentials

PROG = "ml k8s update-kubeconfig"
COLUMNS = (Column("CHANGE"), Column("WHAT"), Column("NAME", least=12), Column("SERVER", rank=1))
NOTHING = "nothing was changed"


def run(args: argparse.Namespace) -> int:
    consent.need_somebody("a change of the kubeconfig", yes=args.yes)
    identity = words.checked_identity(args.identity)
    query = project_query(args)
    if args.cluster is None:
        args.cluster = picker.pick_cluster(query, PROG)
    cluster = k8s_ssh.find(args.cluster, query)
    file = files.choose(os.environ)
    before = files.read(file)
    text = _text(file, before)
    given = _fetched(cluster, identity, document.read(text))
    changed = _merged(file, text, given, switch=False) != text
    if changed and not args.yes:
        _ask(file, text, given)
    switch = _switches(document.read(text).get(CURRENT), given.context, args)
    after = _merged(file, text, given, switch=switch)
    saved = files.change(file, before, after.encode(), backup=not args.no_backup) if after != text else None
    report = {
        "kubeconfig": file,
        "context": given.context,
        "contexts": [entry["name"] for entry in given.entries["contexts"]],
        "changed": after != text,
        "backup": saved,
        CURRENT.replace("-", "_"): document.read(after).get(CURRENT) or None,
    }
    return _validated(report, as_json=args.json, skip=args.skip_validation)


def _text(file: str, content: bytes | None) -> str:
    """What the file says, which has to be a kubeconfig, or nothing."""
    try:
        text = (content or b"").decode()
        document.read(text)
    except UnicodeDecodeError:
        raise Failure(f"{file} is not UTF-8 text; {NOTHING}") from None
    except document.Unreadable as error:
        raise Failure(f"{file}: {error}; {NOTHING}") from None
    return text


def _fetched(cluster: Object, identity: str | None, held: Object) -> Credentials:
    name = answers.words(cluster.get("name"))
    try:
        machine = k8s_ssh.control_node(cluster, identity)
    except NotReached as error:  # whose exit code is for remote commands
        raise Failure(str(error)) from None
    if picker.on_terminal():
        output.note(f"reading ~/.kube/config of {name} ({machine.destination})")
    called = _called(cluster, machine.destination.host, held)
    try:
        return credentials.take(fetch.fetch(machine), called, machine.destination.host)
    except Failure as error:
        raise Failure(f"{NOTHING}: the kubeconfig of {name} was not taken: {error}") from None


def _called(cluster: Object, host: str, held: Object) -> str:
    """What the cluster is called in a kubeconfig that says `held`."""
    name, fid = (answers.words(cluster.get(key)) for key in ("name", "fid"))
    if name.encode("utf-8", "replace").decode() != name:
        return fid  # a name that is no text (JSON can hold such) cannot be written down
    project = answers.words(cluster.get("project_name") or cluster.get("project"))

    def others() -> set[str]:
        clusters = answers.objects(client.get("/v1/clusters", [("all_projects", 1)]), "clusters")
        hosts = (one.get("kube_host") for one in clusters if one.get("name") == name and one.get("fid") != fid)
        return {destination.parse(one).host for one in hosts if isinstance(one, str) and one}

    return naming.name_for(name, project, host, held, others)


def _merged(file: str, text: str, given: Credentials, *, switch: bool) -> str:
    try:
        return merge.merge(text, given, switch=switch)
    except merge.Unmergeable as error:
        raise Failure(f"{file}: {error}; {NOTHING}") from None


def _ask(file: str, text: str, given: Credentials) -> None:
    """Show what is about to change, and ask."""
    before = document.read(text)
    rows = []
    for kind, what in KINDS.items():
        held = {entry["name"]: entry for entry in before.get(kind) or ()}
        new = {entry["name"]: entry for entry in given.entries[kind]}
        for name, entry in new.items():
            if held.get(name) != entry:
                server = answers.words(entry[what].get("server"), "")
                rows.append(("replace" if name in held else "add", what, name, server))
        rows += [("remove", what, name, "") for name in held if given.owns(name) and name not in new]
    output.aside(render(COLUMNS, rows, output.room()))
    consent.ask(f"Change {file} so?", NOTHING)


def _switches(current: object, context: str, args: argparse.Namespace) -> bool:
    """Whether the context becomes the current one."""
    if args.keep_context or current == context:
        return False
    if args.yes:
        return True
    now = f"It is {current} now." if current else "There is none now."
    try:
        consent.ask(f"Make {context} the current context? {now}", "")
    except consent.Declined:
        return False
    return True


def _validated(report: Object, *, as_json: bool, skip: bool) -> int:
    """Try what is there now, and tell everything."""
    file, context = report["kubeconfig"], report["context"]
    report["validation"], why = ("skipped", "") if skip else kubectl.validate(file, context)
    if as_json:
        output.document({**report, "error": why or None})
    else:
        output.write(_told(report))
    if report["validation"] == kubectl.NOT_THERE:
        output.note("there is no kubectl on PATH, so that it was not tried")
    if report["validation"] != kubectl.FAILED:
        return wire.EXIT_DONE
    output.flush()
    stays = "what was merged stays" if report["changed"] else NOTHING
    output.note(f"`kubectl --context {context} cluster-info` fails: {why}; {stays} in {file}")
    return wire.EXIT_FAILED


def _told(report: Object) -> str:
    return facts(
        [
            ("kubeconfig", f"{report['kubeconfig']}{'' if report['changed'] else ' (says all that already)'}"),
            ("context", ", ".join(report["contexts"])),
            ("current", answers.words(report["current_context"])),
            ("backup", answers.words(report["backup"])),
            ("validation", report["validation"]),
        ],
        None,
    )
