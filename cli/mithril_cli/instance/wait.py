"""Waiting until the instances of a bid run, through whatever the daemon and the marketplace go through meanwhile."""

from __future__ import annotations

import time

from mithril_cli import answers, client, nodes, output, times
from mithril_cli.errors import ApiError, BrokenAnswer, Failure, Interrupted, NoDaemon
from mithril_cli.instance import wording
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.answers import Object
    from mithril_cli.instance.reach import Reach

LOOK_EVERY = 0.5  # seconds; a question to our own daemon costs it a few milliseconds
SSH_PATIENCE = 3.0  # seconds for all the servers together, before the bid is looked at again


class WillNotRun(Failure):
    """What was waited for does not come by itself any more."""


class TooLong(Failure):
    exit_code = wire.EXIT_TIMEOUT


class Lines:
    """Progress as lines on standard error: one whenever something has changed."""

    def __init__(self) -> None:
        self._last = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, bid: Object, line: str) -> None:
        if line != self._last:
            self._last = line
            output.note(line)

    def note(self, line: str) -> None:
        output.note(line)


class Wait:
    """`bid` is what is known of it: at the beginning as it was placed, then as it was last looked at."""

    def __init__(self, bid: Object, limit: float, *, ssh: bool, project: str | None) -> None:
        self.bid = bid
        self._limit, self._project = limit, project
        self._until = time.monotonic() + limit
        self._reach: Reach | None = None
        if ssh:
            from mithril_cli.instance.reach import Reach

            self._reach = Reach()
        self._trouble = False  # whether the person has been told of the one there is

    def run(self, shown: Lines) -> None:
        """Returns when all instances run. Raises WillNotRun, TooLong or Interrupted; in each case the bid stays."""
        try:
            while True:
                looked = self._look(shown)
                done = looked and self._arrived()
                shown.show(self.bid, self.line())
                if done:
                    return
                left = self._until - time.monotonic()
                if left <= 0:
                    raise TooLong(f"waited {times.duration(self._limit)}: {self.line()}; {self._stays()}")
                time.sleep(min(LOOK_EVERY, left))
        except KeyboardInterrupt:
            raise Interrupted(f"the waiting has ended, the bid has not: {self._stays()}") from None

    def line(self) -> str:
        """Where it stands: `train: starting, 1 of 2 running (1 initializing)`."""
        words = answers.words
        running = f"{words(self.bid.get('instances_running'))} of {words(self.bid.get('instances_wanted'))} running"
        others: dict[str, int] = {}
        for one in self._current():
            if (state := nodes.state(one)) != "running":
                others[state] = others.get(state, 0) + 1
        rest = f" ({', '.join(f'{count} {state}' for state, count in others.items())})" if others else ""
        ssh = ""
        if self._reach is not None and self.bid.get("state") == "running":
            ssh = f", {self._reach.among(self._running())} on ssh"
        return f"{words(self.bid.get('name'))}: {words(self.bid.get('state'))}, {running}{rest}{ssh}"

    def _look(self, shown: Lines) -> bool:
        """Whether the daemon answered. That it does not, or that what it knows is old, is said once each time."""
        path = f"/v1/bids/{client.segment(answers.words(self.bid.get('fid')))}"
        query = [*wording.inside(self.bid), ("all", 1), ("waiting", 1)]
        try:
            answer = client.get(path, query, timeout=max(min(self._until - time.monotonic(), client.TIMEOUT), 0.1))
        except (NoDaemon, BrokenAnswer) as error:
            return self._away(shown, str(error).partition(";")[0])
        except ApiError as error:
            if error.status < 500:
                raise
            return self._away(shown, str(error))
        self.bid = answers.one(answer, "bid")
        self._check()
        stale = answers.stale_line(answers.part(answer, "freshness"))
        if stale:
            self._away(shown, stale)
        else:
            self._trouble = False
        return True

    def _away(self, shown: Lines, trouble: str) -> bool:
        if not self._trouble:
            shown.note(f"{trouble}; waiting on")
        self._trouble = True
        return False

    def _check(self) -> None:
        """Raises WillNotRun where waiting has no use."""
        name = answers.words(self.bid.get("name"))
        state = self.bid.get("state")
        if state == "terminated":
            history = wording.spelled("ml history", name, self._project)
            raise WillNotRun(f"the bid {name!r} was terminated before its instances ran; see `{history}`")
        if state == "paused":
            resume = f"{wording.spelled('ml instance update', name, self._project)} --resume"
            raise WillNotRun(f"the bid {name!r} is paused, and will not run until `{resume}`")
        failed = [answers.words(one.get("name")) for one in self._current() if nodes.state(one) == "error"]
        if failed:
            raise WillNotRun(f"{', '.join(failed)} met an error; {self._stays()}")

    def _arrived(self) -> bool:
        if self.bid.get("state") != "running":
            return False
        if self._reach is None:
            return True
        running = self._running()
        if self._reach.among(running) < nodes.count(self.bid):
            self._reach.look(running, max(min(SSH_PATIENCE, self._until - time.monotonic()), 0.1))
        return self._reach.among(running) >= nodes.count(self.bid)

    def _current(self) -> list[Object]:
        return nodes.of(self.bid) if "instance_details" in self.bid else []

    def _running(self) -> list[Object]:
        return [one for one in self._current() if nodes.state(one) == "running"]

    def _stays(self) -> str:
        name, project = self.bid.get("name"), self._project
        cancel = wording.spelled("ml instance delete", name, project)
        return f"it stays: {wording.how_to_look(name, project)}, cancel it with `{cancel}`"
