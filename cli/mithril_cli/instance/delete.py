"""`ml instance delete`: cancels bids, one after another, and tells how each went."""

from __future__ import annotations

from mithril_cli import answers, client, consent, output
from mithril_cli.command import chosen_project
from mithril_cli.errors import ApiError, Failure, Interrupted, Usage
from mithril_cli.instance import wording
from mithril_cli.picker import NothingToPick, pick_bid
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from mithril_cli.answers import Object

COLUMNS = (
    Column("NAME", least=12),
    Column("STATE"),
    Column("RUNNING"),
    Column("TYPE", least=10, rank=1),
    Column("REGION", rank=2),
    Column("FID", rank=3),
)


class Report:
    """How each went, told as it goes, or in one document at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self.cancelled: list[Object] = []
        self.failed: list[Object] = []
        self._as_json = as_json
        self._unread: Exception | None = None  # that nobody reads the answer is no reason to stop halfway

    def done(self, bid: Object) -> None:
        self.cancelled.append({key: value for key, value in bid.items() if key != "instance_details"})
        if not self._as_json:
            from mithril_cli.text import clean

            try:
                output.write(f"cancelled  {clean(wording.titled(bid))}\n")
                output.flush()
            except (OSError, Failure) as error:
                self._unread = error

    def over(self, bid: Object) -> None:
        """It ended by itself, or by another's hand, before it was its turn: as was wanted."""
        output.note(f"{wording.titled(bid)} had ended already")

    def not_done(self, bid: Object, error: Failure) -> None:
        self.failed.append({"fid": bid.get("fid"), "name": bid.get("name"), "error": str(error)})
        unknown = getattr(error, "code", "") == "outcome_unknown"  # the error says so, in so many words
        output.note(str(error) if unknown else f"{wording.titled(bid)} was not cancelled: {error}")

    def end(self) -> None:
        if self._as_json:
            output.document({"cancelled": self.cancelled, "failed": self.failed})
        if self._unread is not None:
            raise self._unread


def run(args: argparse.Namespace) -> int:
    query = [("project", chosen_project(args.project)), ("strict", 1)]
    several = args.all or args.name_pattern is not None
    if args.name is not None and several:
        raise Usage("NAME goes neither with --all nor with -n: it names one bid, and they choose several")
    if args.all and args.name_pattern is not None:
        raise Usage("--all and -n exclude each other: --all takes every active bid, -n those that match")
    consent.need_somebody("a cancellation", yes=args.yes)
    bids = _several(args.name_pattern, query) if several else [_one(args.name, query)]
    if not args.yes:
        _ask(bids)
    report = Report(as_json=args.json)
    try:
        for place, bid in enumerate(bids):
            try:
                report.done(_cancel(bid, args.project))
            except (Interrupted, KeyboardInterrupt) as cut:
                left = len(bids) - place - 1
                raise Interrupted(f"{str(cut) or 'interrupted'}; {left} more were not asked for") from None
            except Failure as error:
                if isinstance(error, ApiError) and error.code == "conflict":
                    report.over(bid)
                elif several:
                    report.not_done(bid, error)
                else:
                    report.failed.append({"fid": bid.get("fid"), "name": bid.get("name"), "error": str(error)})
                    raise
    finally:
        report.end()
    return wire.EXIT_FAILED if report.failed else wire.EXIT_DONE


def _one(name: str | None, query: client.Query) -> Object:
    return wording.find_live(name if name is not None else pick_bid(query, "ml instance delete"), query)


def _several(pattern: str | None, query: client.Query) -> list[Object]:
    answer = client.get("/v1/bids", [*query, ("details", 0)])
    bids = answers.objects(answer, "bids")
    answers.tell_freshness(answer)
    if pattern is not None:
        from fnmatch import fnmatchcase

        bids = [bid for bid in bids if fnmatchcase(answers.words(bid.get("name"), ""), pattern)]
    if not bids:
        raise NothingToPick("no active bids" if pattern is None else f"no active bid is called like {pattern!r}")
    return bids


def _ask(bids: Sequence[Object]) -> None:
    """Show what is about to end, and ask."""
    rows = [
        (
            *(answers.words(bid.get(key)) for key in ("name", "state")),
            f"{answers.words(bid.get('instances_running'))} of {answers.words(bid.get('instances_wanted'))}",
            *(answers.words(bid.get(key)) for key in ("instance_type_name", "region", "fid")),
        )
        for bid in bids
    ]
    output.aside(render(COLUMNS, rows, output.room()))
    which = "this bid? Its instances end" if len(bids) == 1 else f"these {len(bids)} bids? Their instances end"
    consent.ask(f"Cancel {which} at once, for good.", "nothing was cancelled")


def _cancel(bid: Object, project: str | None) -> Object:
    unknown = (
        f"whether {wording.titled(bid)} was cancelled is not known: {wording.how_to_look(bid.get('fid'), project)}"
    )
    path = f"/v1/bids/{client.segment(answers.words(bid.get('fid')))}"
    return wording.changed_bid(client.send("DELETE", path, wording.inside(bid), unknown=unknown), unknown)
