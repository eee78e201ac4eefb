"""Scripts that once failed, the shortest that did, each with what was wrong. They are played for ever."""

from __future__ import annotations

from tests.equivalence.moves import (
    Asleep,
    Away,
    Become,
    Calm,
    Cost,
    End,
    Force,
    Jump,
    Kill,
    KillAt,
    Limit,
    Place,
    Script,
    Trouble,
    Watch,
)

NO_TIME: dict[str, object] = {"notice_seconds": 0}
KEPT = {
    "what the history tells of one moment stays in the order in which it was told": Script(
        [Watch(1), Force(0, "pause"), Force(0, "allocate"), End(0)]
    ),
    "a notice of no time at all comes before its end": Script(
        [Watch(2), Force(1, "preempt", {"notice_seconds": 0}), Watch(1)]
    ),
    "two lines of a history that read alike are two steps": Script(
        [Watch(1), Force(2, "allocate"), Force(2, "preempt"), Force(2, "allocate"), Watch(1)]
    ),
    "a clock that is set back does not put what was seen before what was seen": Script(
        [Watch(1), Force(1, "allocate"), Jump(-14400.0)]
    ),
    "a clock that is set back does not make of news what came before the first sight": Script(
        [Watch(1), Asleep(), Jump(-14400.0)]
    ),
    "what ended just before a kill is asked about after it": Script(
        [Watch(1), Away(130.0), Watch(1), End(0), KillAt("between claim and effect", 1), Watch(2)]
    ),
    "a history that came broken is asked for again": Script(
        [Watch(1), Trouble("not-json", "bid history", None), Limit(0, "$15.00"), Watch(3)]
    ),
    "the age of what happened is taken by the clock that told it": Script(
        [Watch(1), Place(), Away(20.0)], ahead=-600.0
    ),
    "an instance that was set aside for a while is told its times": Script(
        [Watch(1), Force(0, "allocate"), Trouble("bad-item", "instances", None), Watch(5)], ahead=-600.0
    ),
    "clocks that differ by less than anybody minds still tell the time": Script(
        [Watch(1), Limit(1, "$15.00")], ahead=3.0
    ),
    "a row is told its own time and not that of an earlier step of the same word": Script(
        [Watch(1), Asleep(), Force(3, "preempt", {"notice_seconds": 900}), Cost(2, None), Watch(1)], ahead=600.0
    ),
    "what comes and goes right after the first sight is found, whatever the clock was set to meanwhile": Script(
        [Watch(1), Jump(14400.0), Place("$4.00", 1), End(3)], ahead=3.0
    ),
    "what comes and goes between two looks is found though nothing else happens": Script(
        [Watch(2), Place("$4.00", 1), End(3)]
    ),
    "of two changes of a limit right after the first sight neither is taken for one from before it": Script(
        [Watch(1), Limit(1, "$4.00"), Limit(1, "$15.00"), Kill()], ahead=-600.0
    ),
    "a limit that went away and came back between two looks is found all the same": Script(
        [Watch(2), Limit(1, "$15.00"), Limit(1, "$24.00"), Watch(2)], ahead=3.0
    ),
    "a first sight is not what came right after it, though the marketplace's clock is behind": Script(
        [
            Force(1, "allocate"),
            Watch(1),
            Force(1, "preempt"),
            Force(1, "allocate"),
            Asleep(),
            Force(1, "preempt", NO_TIME),
        ],
        ahead=-600.0,
    ),
    "what was seen last is no earlier step than what was seen before it": Script(
        [
            Force(1, "allocate"),
            Watch(1),
            Force(1, "preempt"),
            Force(1, "allocate"),
            Away(20.0),
            Kill(),
            Asleep(),
            Force(1, "preempt", NO_TIME),
            Asleep(),
        ],
        ahead=-600.0,
    ),
    "a bid that is open at the first sight was not open ever since it was placed": Script(
        [Trouble("401", "everything", 4), Watch(1), Watch(2)]
    ),
    "a bid whose notice ran out at the very moment of its end was open in between": Script(
        [Watch(1), Asleep(), Force(1, "preempt", NO_TIME), End(1)]
    ),
    "what waited when our clock was set ahead is still news": Script(
        [
            Away(7200.0),
            KillAt("after the fetch", 3),
            Become(10, "STARTING"),
            KillAt("after the commit", 2),
            Jump(14400.0),
        ]
    ),
    "whoever was told of a bid's allocation is not told of a change of its limit before that": Script(
        [KillAt("after the commit", 3), Place("$4.00", 2), Limit(3, "$90.00"), Away(130.0)]
    ),
    "a step is told its time though the marketplace's answers bear a wrong date": Script(
        [Watch(1), Trouble("behind", "everything", None), Away(400.0), Watch(1)]
    ),
    "a first sight is no step that others had followed by then": Script(
        [
            Trouble("503", "projects", None),
            Watch(1),
            Limit(4, "$15.00"),
            Place("$4.00", 2),
            Calm(),
            Place("$30.00", 2),
            Away(32400.0),
            KillAt("after the fetch", 2),
            Place("$4.00", 2),
            Jump(14400.0),
            Kill(),
            Jump(14400.0),
            Become(11, "SCHEDULED"),
            Watch(4),
            KillAt("after the commit", 2),
            Trouble("truncate", "members", 7),
            Away(1.0),
            KillAt("after the fetch", 2),
        ],
        ahead=3.0,
    ),
    "a machine that stops by itself within a notice does not reopen its bid": Script(
        [Watch(1), Away(400.0), Become(1, "STOPPED"), Away(1.0), End(1)]
    ),
    "nor does it when the bid is ended then": Script([Watch(1), Away(400.0), Become(1, "STOPPED"), Away(1.0), End(0)]),
    "how old a look is counts by the clock of its time": Script(
        [
            Force(0, "allocate"),
            Watch(1),
            Away(1500.0),
            Jump(-14400.0),
            Place("$15.00", 2),
            Kill(),
            Trouble("html-404", "everything", None),
            Force(1, "preempt", NO_TIME),
            KillAt("after the commit", 2),
            Kill(),
            Away(400.0),
        ],
        ahead=-600.0,
    ),
    "one call whose answers bear a wrong date takes no step its time": Script(
        [Watch(1), Trouble("behind", "instances", None), Force(0, "pause"), Watch(1)], ahead=3.0
    ),
    "nor does it make old news fresh": Script([Watch(1), Trouble("behind", "instances", None), Asleep(), Watch(4)]),
    "a step is told its time though every answer bore a wrong date, and the clocks differ": Script(
        [Watch(1), Trouble("behind", "everything", None), Force(0, "pause"), Watch(1)], ahead=600.0
    ),
    "what is seen to happen is news whatever the date of the answers": Script(
        [Watch(1), Trouble("ahead", "everything", None), Force(0, "pause"), Watch(1)]
    ),
    "a gap begins at the last look though every answer bears a wrong date since": Script(
        [Watch(1), Trouble("ahead", "everything", None), Away(3600.0), Watch(4)]
    ),
    "a bid that is open again for no time need not have been so": Script(
        [
            Watch(1),
            Force(2, "allocate"),
            Force(2, "preempt", {"notice_seconds": 0}),
            Jump(14400.0),
            End(2),
        ]
    ),
    "when the dates are right again a step is told its time, though our clock is hours off": Script(
        [Watch(1), End(2), Jump(14400.0), Trouble("ahead", "everything", None), Watch(8)], ahead=600.0
    ),
    "a notice puts no change of a limit aside": Script(
        [Watch(1), Place("$4.00"), Place("$30.00"), Cost(4, "$15.00"), Cost(4, "$90.00"), Limit(4, "$15.00")],
        ahead=-600.0,
    ),
    "of a machine whose bid had ended before the first look the looks tell, and no more": Script(
        [Force(4, "allocate"), End(1), Watch(3), Become(9, "STARTING")]
    ),
    "a bid that is seen open again is open, though one of its machines still says that it is under notice": Script(
        [Watch(1), Asleep(), Asleep(), Become(1, "STOPPED"), Watch(3), Asleep(), Become(11, "PREEMPTING")], ahead=600.0
    ),
}
