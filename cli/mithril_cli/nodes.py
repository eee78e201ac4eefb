"""Node numbers: which instance of a bid is node 0, node 1 and so on. The same wherever a number is shown or typed."""

from __future__ import annotations

import re

from mithril_cli import answers

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.answers import Object

ENDED = ("terminated", "replaced")  # they never come back
# At rest, or on the way there: they may come back, or others come in their place.
RESTING = ("stopping", "stopped", "preempted", "paused", "error")
# A machine is there to be reached. During a notice it still runs, and that is when its owner is in a hurry.
REACHABLE = ("running", "preempting", "relocating")


def of(bid: Object) -> list[Object]:
    """The live instances of a bid (as `/v1/bids/{name}` tells of it), by name, `train-2` before `train-10`.

    The place in the list is the node's number. Instances at rest count only as long as the bid is not complete
    without them: what was put in their place has their number.
    """
    live = [one for one in answers.objects(bid, "instance_details") if not one.get("gone") and state(one) not in ENDED]
    moving = [one for one in live if state(one) not in RESTING]
    return sorted(moving if len(moving) >= count(bid) else live, key=_natural)


def count(bid: Object) -> int:
    """How many instances the bid wants."""
    return int(answers.number(bid.get("instances_wanted")) or 1)


def state(instance: Object) -> str:
    return answers.status_word(instance.get("status"))


def address(instance: Object) -> str | None:
    """The address at which an instance can be reached now; None for one that is not up, whatever it had before."""
    told = instance.get("ssh_destination")
    return told if isinstance(told, str) and told and state(instance) in REACHABLE else None


def _natural(instance: Object) -> tuple[list[str | int], str]:
    # Every other part is digits, so that numbers are only ever compared with numbers.
    parts = re.split(r"([0-9]+)", answers.words(instance.get("name"), ""))
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], answers.words(instance.get("fid"))
