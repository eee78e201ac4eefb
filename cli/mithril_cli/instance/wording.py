"""Words that several verbs use: which bid is meant, and what to type next."""

from __future__ import annotations

from mithril_cli import answers, client
from mithril_cli.errors import BrokenAnswer, Failure, OutcomeUnknown
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.answers import Object


class Ended(Failure):
    """The bid that is meant has ended: there is nothing left to change or to cancel."""

    exit_code = wire.EXIT_NOT_FOUND


def spelled(command: str, name: object, project: str | None = None) -> str:
    """A command line with a bid's name in it, as a person would have to type it: `ml instance info 'my bid'`."""
    import shlex

    words = [str(name), *(["-p", project] if project else [])]
    if words[0].startswith("-"):  # after `--` it is no option
        words = [*words[1:], "--", words[0]]
    return " ".join([command, *map(shlex.quote, words)])


def how_to_look(name: object, project: str | None) -> str:
    return f"look with `{spelled('ml instance info', name, project)}`"


def titled(bid: Object) -> str:
    """A bid by its name and fid, for a line about it."""
    return f"{answers.words(bid.get('name'))} ({answers.words(bid.get('fid'))})"


def find_live(name: str, query: client.Query) -> Object:
    """The bid of a name or fid. Raises Ended if it is over."""
    answer = client.get(f"/v1/bids/{client.segment(name)}", query)
    bid = answers.one(answer, "bid")
    answers.tell_freshness(answer)
    if bid.get("state") == "terminated":
        raise Ended(f"the bid {titled(bid)} has ended already")
    return bid


def changed_bid(answer: Object, unknown: str) -> Object:
    """The bid in the answer to a request that changed it; an answer without one tells as little as none at all."""
    try:
        return answers.one(answer, "bid")
    except BrokenAnswer as error:
        raise OutcomeUnknown(f"{error}; {unknown}") from None


def inside(bid: Object) -> list[tuple[str, object]]:
    """The query that keeps a request for a bid by its fid inside its own project."""
    return [("project", bid.get("project"))]
