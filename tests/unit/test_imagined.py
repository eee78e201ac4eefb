"""What is imagined for tests and drills: the very shape of what really happens, under names of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mithrild.fleet import event as events
from mithrild.fleet import imagined
from mithrild.fleet.imagined import Cast, Scene, as_told, mark, rehearsal_of, unmarked
from mithrild.fleet.matching import Facts, carries
from mithrild.wire import EVENT_TYPES

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CAST = imagined.example("proj_1", NOW)


def rendered(scene: Scene, at: int = 0) -> dict[str, object]:
    around = events.Surroundings(scene.fleet, events.group_by_bid(scene.fleet), scene.notices)
    return events.render(scene.steps[at], 7, "8f3a", "here", around)


def facts(scene: Scene) -> Facts:
    return events.facts(rendered(scene), scene.steps[0], NOW)


@pytest.mark.parametrize("type", [*EVENT_TYPES, "instance.defragmenting"])
def test_every_event_can_be_imagined_and_carries_what_its_kind_can(type: str) -> None:
    scene = imagined.imagine(type, CAST, NOW)
    told = facts(scene)
    assert [step.type for step in scene.steps] == [type]
    assert (told.type, told.provenance) == (type, "simulated")
    carried = {
        "bid": told.bid_name,
        "region": told.region,
        "type": told.instance_type_fid,
        "nodes": told.nodes,
        "price": told.limit_cents,
        "remaining": told.left,
    }
    if not type.startswith(("hook.", "watch.")):  # of what hook and watch tell, the event takes over more
        assert {key for key, value in carried.items() if value is not None} == {
            key for key in carried if carries(type, key)
        }


@pytest.mark.parametrize(
    ("type", "before", "after"),
    [
        ("instance.preempting", "running", "preempting"),
        ("instance.reprieved", "preempting", "running"),
        ("instance.running", "starting", "running"),
        ("instance.gone", "running", "gone"),
        ("bid.placed", None, "open"),
        ("bid.preempting", "allocated", "preempting"),
        ("bid.running", "none", "running"),
        ("cluster.available", "pending", "available"),
    ],
)
def test_a_step_leads_from_where_such_steps_do(type: str, before: str | None, after: str) -> None:
    data = rendered(imagined.imagine(type, CAST, NOW))["data"]
    assert isinstance(data, dict)
    assert (data["from"], data["to"]) == (before, after)


def test_a_drill_puts_the_bid_and_each_instance_under_notice_and_ends_it() -> None:
    second = replace(CAST.instances[0], fid="inst_2", name="example-1")
    cast = Cast("proj_1", CAST.bid, (*CAST.instances, second))
    notice = imagined.under_notice(cast, NOW, timedelta(minutes=2))
    assert [(step.subject, step.type) for step in notice.steps] == [
        ("bid_example", "bid.preempting"),
        ("inst_example", "instance.preempting"),
        ("inst_2", "instance.preempting"),
    ]
    assert {one.deadline for one in notice.notices.values()} == {NOW + timedelta(minutes=2)}
    assert notice.notices.keys() == {step.subject for step in notice.steps}
    ends = [imagined.run_out(cast, NOW), imagined.taken_back(cast, NOW)]
    assert [[step.type for step in end.steps] for end in ends] == [
        ["bid.reopened", "instance.preempted", "instance.preempted"],
        ["bid.reprieved", "instance.reprieved", "instance.reprieved"],
    ]
    assert all(not end.notices for end in ends)


def test_names_of_the_record_lead_back_to_what_they_are_of() -> None:
    [step] = imagined.imagine("instance.preempting", CAST, NOW).steps
    assert step.bid is not None
    kept = replace(step, subject=mark("drill_1", step.subject), bid=mark("drill_1", step.bid))
    assert (kept.subject, rehearsal_of(kept.subject)) == ("~drill_1/inst_example", "drill_1")
    assert as_told(kept) == step
    assert unmarked("inst/1") == "inst/1"
    assert rehearsal_of("inst/1") is None
    real = replace(step, subject="~x/y", provenance="observed")
    assert as_told(real) == real
