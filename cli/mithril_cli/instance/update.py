"""`ml instance update`: another limit price, a pause, or the end of one."""

from __future__ import annotations

from mithril_cli import answers, client, consent, output
from mithril_cli.bidview import facts
from mithril_cli.command import chosen_project
from mithril_cli.errors import Usage
from mithril_cli.instance import wording
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

# What may differ afterwards, and what it is called.
SHOWN = (("limit_price", "limit price"), ("status", "status"))


def run(args: argparse.Namespace) -> int:
    if args.pause and args.resume:
        raise Usage("--pause and --resume exclude each other")
    if args.max_price_per_hour is None and not args.pause and not args.resume:
        raise Usage("nothing to change: give -m PRICE, --pause or --resume")
    if args.pause:
        # Whether it holds machines at the moment is the marketplace's luck, and not for a script to rely on.
        consent.need_somebody("a pause, which stops running instances,", yes=args.yes)
    query = [("project", chosen_project(args.project)), ("strict", 1)]
    if args.name is None:
        from mithril_cli.picker import pick_bid

        args.name = pick_bid(query, "ml instance update")
    before = wording.find_live(args.name, query)
    if args.pause and not args.yes and before.get("status") not in ("Open", "Paused"):
        consent.ask(_question(before), "nothing was changed")
    after = _change(before, args)
    _warn(after)
    if args.json:
        output.document({"bid": {key: value for key, value in after.items() if key != "instance_details"}})
    else:
        output.write(_told(before, after))
    return wire.EXIT_DONE


def _question(bid: Object) -> str:
    running = answers.words(bid.get("instances_running"))
    return f"Pause {wording.titled(bid)}? Its {running} running instances stop."


def _change(bid: Object, args: argparse.Namespace) -> Object:
    body: Object = {}
    if args.max_price_per_hour is not None:
        body["limit_price"] = args.max_price_per_hour
    if args.pause or args.resume:
        body["paused"] = args.pause
    look = wording.how_to_look(bid.get("name"), args.project)
    unknown = f"whether {wording.titled(bid)} was changed is not known: {look}; changing it once more does no harm"
    path = f"/v1/bids/{client.segment(answers.words(bid.get('fid')))}"
    return wording.changed_bid(client.send("PATCH", path, wording.inside(bid), body, unknown=unknown), unknown)


def _told(before: Object, after: Object) -> str:
    """The name, and what is not as it was."""
    changed = [
        (label, f"{answers.words(before.get(key))} → {answers.words(after.get(key))}")
        for key, label in SHOWN
        if before.get(key) != after.get(key)
    ]
    if not changed:
        changed = [(label, f"{answers.words(after.get(key))}, as before") for key, label in SHOWN]
    return facts([("name", answers.words(after.get("name"))), *changed], output.room())


def _warn(bid: Object) -> None:
    limit, spot = answers.number(bid.get("limit_price_cents")), answers.number(bid.get("spot_price_cents"))
    if limit is None or spot is None or limit > spot:
        return
    holds = bid.get("status") == "Allocated"
    then = "its instances are about to be preempted" if holds else "it waits until the price falls"
    prices = f"the limit {answers.words(bid.get('limit_price'))} is not above the spot price"
    output.note(f"{prices} {answers.words(bid.get('spot_price'))}: {then}")
