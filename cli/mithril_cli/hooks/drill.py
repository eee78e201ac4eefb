"""`ml drill preempt`: a bid of one's own goes through a preemption that does not happen, with every hook that takes it.

The drill is walked from here: notice, wait, end. If this program is interrupted, nothing more of it begins and what
runs is ended; if the daemon ends, what it had queued does not run at the next start.
"""

from __future__ import annotations

import time

from mithril_cli import answers, client, consent, output, times
from mithril_cli.command import project_query
from mithril_cli.errors import Failure, Interrupted, Usage
from mithril_cli.hooks import deliveries, explain
from mithril_cli.hooks.report import document, show_report
from mithril_cli.instance import wording
from mithril_cli.text import clean
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from mithril_cli.answers import Object

EVERY = 0.25  # seconds between looks
LONGEST = 3600  # seconds of notice
ENDING = 15.0  # seconds in which what is ended has ended: TERM, a grace, KILL
LAST_MINUTE = 60.0
NOTICE = ("bid.preempting", "instance.preempting")
ENDS = {"ran_out": ("bid.reopened", "instance.preempted"), "reprieved": ("bid.reprieved", "instance.reprieved")}


class NothingToRun(Failure):
    """No hook takes anything of the drill."""


def preempt(args: argparse.Namespace) -> int:
    if args.notice > LONGEST:
        raise Usage(f"--notice is an hour at most, not {times.duration(args.notice)}")
    consent.need_somebody("a drill runs real hooks, so it", yes=args.yes)
    query = [*project_query(args), ("strict", 1)]
    bid = wording.find_live(args.bid, query)
    how = "reprieved" if args.reprieve else "ran_out"
    inside = wording.inside(bid)
    _ask(bid, [*NOTICE, *ENDS[how]], inside, yes=args.yes)
    body = {"bid": bid.get("fid"), "notice_seconds": args.notice}
    begun = client.send("POST", "/v1/drills", inside, body, unknown="look with `ml hooks log`")
    drill = Drill(begun, quiet=args.json)
    try:
        drill.walk(how, fast=args.fast)
    except KeyboardInterrupt:
        stopped = drill.stop()
        _tell(drill, how, as_json=args.json)
        raise Interrupted(f"the drill has ended: {stopped}") from None
    drill.stop()
    _tell(drill, how, as_json=args.json)
    return wire.EXIT_FAILED if drill.failed() else wire.EXIT_DONE


def _ask(bid: Object, types: Sequence[str], query: client.Query, *, yes: bool) -> None:
    """Shows what would run, and asks. Raises NothingToRun if that is nothing."""
    name = answers.words(bid.get("name"))
    lines: list[tuple[str, str]] = []
    for type in types:
        verdicts = answers.objects(
            explain.imagined(type, answers.words(bid.get("fid")), [*query, ("simulated", 1)]), "hooks"
        )
        runs = [deliveries.hook(one) for one in verdicts if one.get("verdict") == "run"]
        lines += [(type, hook) for hook in runs]
    if not lines:
        why = wording.spelled("ml hooks explain --type instance.preempting --bid", name)
        raise NothingToRun(f"no hook would run for a preemption of {name}; `{why}` says why")
    if not yes:
        wide = max(len(type) for type, _ in lines)
        output.aside("".join(f"  {type.ljust(wide)}  {clean(hook)}\n" for type, hook in lines))
        consent.ask(f"Run these in earnest, as if {name} were preempted?", "no drill was begun")


class Drill:
    """One that is under way. `deliveries` are those of all its events so far, the oldest first."""

    def __init__(self, begun: Object, *, quiet: bool) -> None:
        self.name = answers.words(begun.get("drill"))
        self.begun = begun
        self.deliveries: list[Object] = []
        self._quiet = quiet
        self._told: dict[str, object] = {}
        self._began = times.moment(begun.get("began_at")) or answers.present()
        self._deadline = times.moment(begun.get("deadline")) or self._began
        self._note(
            f"{answers.words(answers.part(begun, 'bid').get('name'))} is under notice until "
            f"{times.local(self._deadline, answers.present())}, for its hooks alone ({self.name})"
        )

    def walk(self, how: str, *, fast: bool) -> None:
        """From the notice to its end. `fast`: as soon as every hook of the notice has ended."""
        warned = self._deadline - self._began <= LAST_MINUTE
        while (left := self._deadline - answers.present()) > 0:
            self._look()
            if fast and not self._open():
                break
            if not warned and left <= LAST_MINUTE:
                self._say_what_is_open()
                warned = True
            time.sleep(max(min(EVERY, left), 0.01))
        path = f"/v1/drills/{client.segment(self.name)}/end"
        client.send("POST", path, body={"how": how}, unknown="look with `ml hooks log`")
        self._note("the notice is taken back" if how == "reprieved" else "the notice has run out")
        self._look()
        while self._open():
            time.sleep(EVERY)
            self._look()

    def stop(self) -> str:
        """Nothing that is still queued will run, and what runs is ended. How much that is, in words."""
        try:
            answer = client.ask("DELETE", f"/v1/drills/{client.segment(self.name)}", timeout=client.TIMEOUT)
            self._look()
            until = time.monotonic() + ENDING
            while (running := self._running()) and time.monotonic() < until:
                time.sleep(EVERY)
                self._look()
        except Failure as error:
            return str(error)
        ended = f", {answers.words(answer['ended'])} that ran were ended" if answer.get("ended") else ""
        still = f", still running: {', '.join(running)}" if running else ""
        return f"{answers.words(answer.get('superseded'))} that were queued will not run{ended}{still}"

    def _running(self) -> list[str]:
        return [deliveries.hook(one) for one in self.deliveries if one.get("state") == "running"]

    def failed(self) -> bool:
        return any(one.get("state") in (*deliveries.FAILED, "pending") for one in self.deliveries)

    def _look(self) -> None:
        query = [("rehearsal", self.name), ("output", 0), ("limit", 10_000)]
        found = answers.objects(client.get("/v1/deliveries", query), "deliveries")
        self.deliveries = found[::-1]
        for one in self.deliveries:
            if one.get("state") in ("pending", "running"):
                continue
            key = answers.words(one.get("id"))
            if self._told.get(key) != one.get("state"):
                self._told[key] = one.get("state")
                self._note(_line(one))

    def _open(self) -> list[Object]:
        """What has not come to an end. What wants another try some time has had the one of the drill."""
        return [
            one
            for one in self.deliveries
            if one.get("state") == "running"
            or (one.get("state") == "pending" and not (one.get("attempts") and one.get("type") not in NOTICE))
        ]

    def _say_what_is_open(self) -> None:
        names = [f"{deliveries.hook(one)} {deliveries.about(one)}".rstrip() for one in self._open()]
        self._note(f"the last minute: still at it: {', '.join(names)}" if names else "the last minute: all have ended")

    def _note(self, line: str) -> None:
        if not self._quiet:
            output.note(line)


def _line(one: Object) -> str:
    about, why, left = deliveries.about(one), answers.words(one.get("reason"), ""), deliveries.left(one)
    said = f"{answers.words(one.get('type'))}{f' {about}' if about else ''}: {deliveries.hook(one)} {one.get('state')}"
    return said + (f", begun with {left} left" if left else "") + (f": {why}" if why else "")


def _tell(drill: Drill, how: str, *, as_json: bool) -> None:
    if as_json:
        output.document(document(drill.begun, drill.deliveries, how))
    else:
        show_report(drill.begun, drill.deliveries)
