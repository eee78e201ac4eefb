"""The states of bids, instances and clusters, and what each step between two of them is called.

Theory of operation
    A bid competes in an auction about every two minutes. It is *Open* until it wins, *Allocated* while its
    instances come up and run, *Preempting* during the five minutes' notice that its machines get when the
    price rises above its limit, and then *Open* again; it ends only as *Terminated*. Its instances follow
    it through their own, longer life.

    The tables say what we expect, in the marketplace's words. They do not say what we accept: the order of
    statuses after a notice is documented loosely, and a word nobody has heard of may come any day. A step
    that is not in the table is recorded and passed on like any other, and logged as a surprise.

    The one exception: a terminated bid stays terminated. An answer that says otherwise comes from a
    replica that lags behind, and is not believed.

The diagrams in ARCHITECTURE.md are generated from these tables (`diagram`), and a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping

Table = Mapping[str, tuple[str, ...]]

BID: Table = {
    "Open": ("Allocated", "Paused", "Terminated"),
    "Allocated": ("Preempting", "Paused", "Terminated"),
    "Preempting": ("Open", "Allocated", "Paused", "Terminated"),
    "Paused": ("Open", "Allocated", "Terminated"),
    "Terminated": (),
}

_PREFIX = "STATUS_"
_STOPPED_WORDS = ("STOPPING", "STOPPED", "PREEMPTED", "PAUSED", "REPLACED", "TERMINATED", "ERROR")
_RISING_WORDS = ("NEW", "CONFIRMED", "SCHEDULED", "INITIALIZING", "STARTING")
_INSTANCE_WORDS: Table = {
    "NEW": ("CONFIRMED", "SCHEDULED", "INITIALIZING", "STARTING", "TERMINATED", "ERROR"),
    "CONFIRMED": ("SCHEDULED", "INITIALIZING", "STARTING", "STOPPING", "TERMINATED", "ERROR"),
    "SCHEDULED": ("INITIALIZING", "STARTING", "STOPPING", "TERMINATED", "ERROR"),
    "INITIALIZING": ("STARTING", "RUNNING", "PREEMPTING", "STOPPING", "TERMINATED", "ERROR"),
    "STARTING": ("RUNNING", "PREEMPTING", "RELOCATING", "STOPPING", "TERMINATED", "ERROR"),
    "RUNNING": ("PREEMPTING", "RELOCATING", "STOPPING", "STOPPED", "PAUSED", "TERMINATED", "ERROR"),
    "PREEMPTING": ("RUNNING", "STARTING", *_STOPPED_WORDS),
    "RELOCATING": ("RUNNING", "STARTING", "PREEMPTING", *_STOPPED_WORDS),
    "STOPPING": ("STOPPED", "PREEMPTED", "PAUSED", "REPLACED", "TERMINATED", "STARTING", "ERROR"),
    "STOPPED": ("STARTING", "INITIALIZING", "SCHEDULED", "PREEMPTED", "PAUSED", "REPLACED", "TERMINATED", "ERROR"),
    "PREEMPTED": (*_RISING_WORDS, "RUNNING", "PAUSED", "REPLACED", "TERMINATED"),
    "PAUSED": ("SCHEDULED", "INITIALIZING", "STARTING", "RUNNING", "PREEMPTED", "REPLACED", "TERMINATED", "ERROR"),
    "ERROR": ("STARTING", "RUNNING", "STOPPING", "REPLACED", "TERMINATED"),
    "REPLACED": ("TERMINATED",),
    "TERMINATED": (),
}  # fmt: skip
INSTANCE: Table = {_PREFIX + word: tuple(_PREFIX + to for to in after) for word, after in _INSTANCE_WORDS.items()}

CLUSTER: Table = {
    "Pending": ("Available", "Terminated"),
    "Available": ("Pending", "Terminated"),
    "Terminated": (),
}

ACTIVE_BID = ("Open", "Allocated", "Preempting", "Paused")

# What `GET /instances` is asked for. Only words of the API's own list may stand in a query (STOPPED and
# SCHEDULED are refused there); an instance that hides behind one of those is found by its bid.
LISTED_INSTANCE = tuple(
    _PREFIX + word
    for word in (
        "NEW", "CONFIRMED", "INITIALIZING", "STARTING", "RUNNING", "STOPPING", "RELOCATING", "PREEMPTING",
        "PREEMPTED", "PAUSED", "ERROR",
    )
)  # fmt: skip

RUNNING = "STATUS_RUNNING"
NOTICED = {"Preempting": "preemption", "STATUS_PREEMPTING": "preemption", "STATUS_RELOCATING": "relocation"}
FINAL = frozenset({"Terminated", "STATUS_TERMINATED", "STATUS_REPLACED"})
# Hidden from listings unless --all is given; an ERROR may still recover, so it is watched like the living.
HIDDEN = FINAL | {"STATUS_ERROR"}
# At rest: from here an instance moves only when its bid does. Every other status is on its way somewhere.
SETTLED = FINAL | {"STATUS_RUNNING", "STATUS_PREEMPTED", "STATUS_PAUSED", "STATUS_STOPPED", "STATUS_ERROR"}


def word(status: str) -> str:
    """A status as one lower-case word: `STATUS_RUNNING` -> `running`, `Open` -> `open`."""
    return status.removeprefix(_PREFIX).lower().replace(" ", "_")


def expected(table: Table, before: str | None, after: str) -> bool:
    """Whether the tables know this step. A first sight may be of any known status."""
    return after in table if before is None or before == "gone" else after in table.get(before, ())


def bid_event(before: str | None, after: str, *, in_time: bool) -> str:
    """The type of a step of a bid. `in_time`: a notice was open and its deadline had not passed."""
    if after == "Open":
        return {None: "bid.placed", "Paused": "bid.resumed"}.get(before, "bid.reopened")
    if after == "Allocated" and before == "Preempting" and in_time:
        return "bid.reprieved"
    return f"bid.{word(after)}"


def instance_event(before: str | None, after: str, *, in_time: bool) -> str:
    """The type of a step of an instance; a reprieve is one event, instead of `instance.running`."""
    if before == "STATUS_PREEMPTING" and after == RUNNING and in_time:
        return "instance.reprieved"
    return f"instance.{word(after)}"


def cluster_event(after: str) -> str:
    return f"cluster.{word(after)}"


def diagram(table: Table) -> str:
    """The table as a Mermaid state diagram, for ARCHITECTURE.md."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {word(before)} --> {word(after)}" for before, afters in table.items() for after in afters]
    lines += [f"    {word(status)} --> [*]" for status, afters in table.items() if not afters]
    return "\n".join(lines)
