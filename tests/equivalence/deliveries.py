"""What the hooks had to do, and what they did: once and under one id, by the rules of age and deadline.

The judge knows when everything really happened, and allows for what the daemon cannot know: of a step whose time
nobody has told it yet it counts the age from the last look before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from mithrild.fleet.notices import NOTICE
from tests.equivalence.diary import Shown, Try
from tests.equivalence.life import EFFECTS, HOOKS, MAX_AGE
from tests.equivalence.truth import real_steps, when
from tests.equivalence.world import World

ABOUT = timedelta(seconds=10)  # what a poll with second tries takes, and below what nobody tells two clocks apart
NOTHING = timedelta(0)
OVERTAKEN = "what came after it was told first"
NOTICES = ("instance.preempting", "instance.relocating", "bid.preempting")


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery. `happened`, `followed` (when the next thing happened to the same subject) and `over` (when a notice
    was no longer in force, be it by its time alone) are the truth."""

    hook: str
    shown: Shown
    state: str
    reason: str | None
    tries: list[Try]
    runs: int  # how often the hook left its line
    ended: datetime | None
    happened: datetime
    followed: datetime | None
    over: datetime | None

    @property
    def wrong(self) -> timedelta:
        """What no two looks show is as old as the answers say, even if all of them bear a wrong date: two looks by one
        clock, for one that may have been set between them tells nothing."""
        data = self.shown.event["data"]
        unseen = data["provenance"] == "backfilled" or data["from"] is None or self.shown.parted
        return self.shown.wrong if unseen else NOTHING

    @property
    def is_notice(self) -> bool:
        return self.shown.event["type"] in NOTICES

    def __str__(self) -> str:
        event = self.shown.event
        return (
            f"{self.hook} {event['type']} {event['subject']} {event['data']['provenance']}, happened {self.happened}, "
            f"committed {self.shown.at}, over {self.over}: {self.state} ({self.reason}) at {self.ended}, "
            f"{self.runs} runs, tries {[(str(one.at), str(one.left)) for one in self.tries]}"
        )


def mistakes(world: World) -> Iterator[str]:
    """What a hook did and should not have done, or did not do and should have. The record's steps are taken to be
    those that really happened."""
    runs = Counter(tuple(line.split()[:2]) for line in _lines(world))
    cases = list(_cases(world, runs))
    has = Counter((case.hook, id) for case in cases if (id := case.shown.event["id"]))
    for id, shown in world.diary.shown.items():
        for hook, patterns in HOOKS.items():
            wanted = any(fnmatchcase(shown.event["type"], pattern) for pattern in patterns)
            if has[hook, id] != wanted:
                yield f"{hook} has {has[hook, id]} deliveries of {shown.body}"
    for stray in runs.keys() - has.keys():
        yield f"ran without a delivery: {stray}"
    for case in cases:
        overtaken = case.reason == OVERTAKEN and any(_came_first(other, case) for other in cases)
        yield from (f"{what}: {case}" for what in _judge(case, overtaken))


def _came_first(other: Case, case: Case) -> bool:
    """Whether a hook had been told of something later of the same subject before this was known."""
    same = (other.hook, other.shown.event["subject"]) == (case.hook, case.shown.event["subject"])
    return same and other.shown.sequence < case.shown.sequence and other.happened >= case.happened


def _judge(case: Case, overtaken: bool) -> Iterator[str]:
    if case.runs > len(case.tries):
        yield "ran more often than it was tried"
    if any(one.left is not None and one.left < timedelta(0) for one in case.tries):
        yield "tried after its deadline"
    if case.tries:
        # A status that still stands after its five minutes is seen for the first time: nobody can know how old it is.
        if case.is_notice and case.followed is not None and case.followed <= case.shown.at - ABOUT:
            yield "tried for a notice that was over when it was told"
        if not case.is_notice and case.tries[0].at - case.happened + min(case.wrong, NOTHING) > MAX_AGE + ABOUT:
            yield "tried for old news"
    if case.state == "done":
        if not case.runs:
            yield "done, and it never ran"
    elif case.state not in ("superseded", "expired", "skipped") or not case.reason or case.ended is None:
        yield "never came to an end"
    elif case.state == "skipped" and not case.is_notice:
        known = min(case.happened, case.shown.looked or case.happened)
        if case.ended - known + max(case.wrong, NOTHING) < MAX_AGE - ABOUT:
            yield "skipped, though it was news"
        if case.tries:
            yield "skipped, and it was tried"
    elif not overtaken and (case.over is None or case.over > case.ended + ABOUT):
        yield "put aside, though nothing came after it"


def _cases(world: World, runs: Counter[tuple[str, ...]]) -> Iterator[Case]:
    steps = real_steps(world)
    shown = {one.sequence: one for one in world.diary.shown.values()}
    query = "select id, sequence, hook, state, reason from deliveries order by sequence, hook"
    with world.record() as database, database.read() as connection:
        deliveries = connection.exec_driver_sql(query).all()
    for id, sequence, hook, state, reason in deliveries:
        one = shown[sequence]
        # What no step stands for (a bid's instances all run, the marketplace is away) is as old as its commit.
        step, after = steps.get(sequence, (None, None))
        happened = when(step) if step else one.at
        over = followed = when(after) if after else None
        if step is not None and step.seq in world.by_word:
            # Only said, so nothing follows when the five minutes are over.
            over = min(over or happened + NOTICE, happened + NOTICE)
        yield Case(
            hook=hook,
            shown=one,
            state=state,
            reason=reason,
            tries=world.diary.tries.get(id, []),
            runs=runs[hook, one.event["id"]],
            ended=world.diary.ended.get(id),
            happened=happened,
            followed=followed,
            over=over,
        )


def _lines(world: World) -> list[str]:
    path = world.folder / EFFECTS
    return path.read_text().splitlines() if path.exists() else []
