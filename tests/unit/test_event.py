"""The event: its one shape, word for word, and what routing reads from it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mithrild.fleet.event import Surroundings, encode, event_id, facts, group_by_bid, render, sequence_of, stamp
from mithrild.fleet.model import Auction, Fleet, Notice, Transition
from mithrild.fleet.routing import Facts
from tests.unit.fleet_builders import NOON, bid, cluster, fleet, instance, moment, notice

FLEET = fleet(
    bid(status="Preempting"),
    instance("inst_1", "STATUS_PREEMPTING", ssh_destination="192.0.2.7:2222"),
    instance("inst_2", "STATUS_PREEMPTING", created_at=moment(-9000)),
    cluster(),
)
AROUND = Surroundings(
    fleet=FLEET,
    of_bid=group_by_bid(FLEET),
    notices={"inst_1": notice(deadline=moment(300))},
    market={("us-central5-a", "it_1"): Auction("us-central5-a", "it_1", 8, "$9.12", 912, "$9.12", 912)},
    type_names={"it_1": "b200-192gb.sxm.8x"},
    project_names={"proj_1": "research"},
)
STEP = Transition(
    kind="instance",
    subject="inst_1",
    project="proj_1",
    bid="bid_1",
    aspect="status",
    before="STATUS_RUNNING",
    after="STATUS_PREEMPTING",
    type="instance.preempting",
    observed_at=NOON,
    window_start=moment(-5),
)


def rendered(step: Transition = STEP, around: Surroundings = AROUND) -> dict[str, Any]:
    return render(step, 1042, "8f3a", "workstation", around)


def told(step: Transition = STEP, around: Surroundings = AROUND) -> dict[str, Any]:
    data: dict[str, Any] = rendered(step, around)["data"]
    return data


def test_the_one_shape() -> None:
    expected = {
        "specversion": "1.0",
        "id": "evt_8f3a_1042",
        "source": "mithrild://workstation/proj_1",
        "type": "instance.preempting",
        "subject": "inst_1",
        "time": "2024-01-01T12:00:00Z",
        "datacontenttype": "application/json",
        "sequence": "1042",
        "data": {
            "from": "running",
            "to": "preempting",
            "provenance": "observed",
            "inferred": False,
            "observed_at": "2024-01-01T12:00:00Z",
            "occurred_at": None,
            "deadline": "2024-01-01T12:05:00Z",
            "deadline_estimated": False,
            "bid": {
                "fid": "bid_1",
                "name": "train",
                "limit_price_cents": 800,
                "instance_quantity": 1,
                "status": "preempting",
            },
            "instance": {"fid": "inst_1", "name": "train-0", "ssh_destination": "192.0.2.7:2222"},
            "instances": ["inst_2", "inst_1"],
            "cluster": None,
            "hook": None,
            "project": "proj_1",
            "project_name": "research",
            "region": "us-central5-a",
            "instance_type": "b200-192gb.sxm.8x",
            "instance_type_fid": "it_1",
            "spot_price_cents": 912,
        },
    }
    assert rendered() == expected
    # The order is part of what people read.
    assert encode(rendered()) == json.dumps(expected, separators=(",", ":"))


def test_the_marketplaces_time_is_the_events_time_where_it_is_known() -> None:
    made = rendered(replace(STEP, occurred_at=moment(-2.5), provenance="backfilled"))
    assert made["time"] == "2024-01-01T11:59:57.500000Z"
    assert made["data"]["occurred_at"] == "2024-01-01T11:59:57.500000Z"
    assert made["data"]["observed_at"] == "2024-01-01T12:00:00Z"
    assert made["data"]["provenance"] == "backfilled"


def test_an_estimated_deadline_says_so() -> None:
    estimated = replace(AROUND, notices={"inst_1": notice(estimated=True)})
    assert told(around=estimated)["deadline_estimated"] is True
    without = told(around=replace(AROUND, notices={"inst_2": notice("inst_2")}))
    assert (without["deadline"], without["deadline_estimated"]) == (None, False)


def test_an_event_of_a_bid_has_no_instance_and_all_of_them() -> None:
    data = told(replace(STEP, kind="bid", subject="bid_1", before="Allocated", after="Preempting"))
    assert (data["from"], data["to"]) == ("allocated", "preempting")
    assert data["instance"] is None
    assert data["instances"] == ["inst_2", "inst_1"]
    assert (data["bid"]["fid"], data["region"], data["spot_price_cents"]) == ("bid_1", "us-central5-a", 912)


def test_an_event_of_a_cluster() -> None:
    data = told(replace(STEP, kind="cluster", subject="clust_1", bid=None, before="Pending", after="Available"))
    assert data["cluster"] == {"fid": "clust_1", "name": "kube"}
    assert (data["bid"], data["instance"], data["instances"]) == (None, None, [])
    assert (data["region"], data["instance_type"], data["instance_type_fid"]) == ("us-central5-a", None, None)


def test_an_event_of_a_reserved_instance() -> None:
    around = Surroundings(fleet(instance(bid=None)))
    data = told(replace(STEP, bid=None), around)
    assert (data["bid"], data["instances"], data["instance"]["fid"]) == (None, [], "inst_1")
    assert (data["instance_type"], data["instance_type_fid"], data["spot_price_cents"]) == (None, "it_1", None)


def test_an_event_of_what_the_fleet_does_not_know() -> None:
    data = told(replace(STEP, kind="marketplace", subject="https://api.example", bid=None), Surroundings(Fleet()))
    assert data["bid"] is data["instance"] is data["cluster"] is data["region"] is data["project_name"] is None
    assert data["instances"] == []


@pytest.mark.parametrize("region", [None, "eu-central1-a"])
def test_the_price_is_that_of_the_region(region: str | None) -> None:
    around = replace(AROUND, fleet=fleet(bid(), instance(region=region)))
    assert told(around=around)["spot_price_cents"] is None


@pytest.mark.parametrize(
    ("aspect", "before", "after", "words"),
    [
        ("status", None, "Open", (None, "open")),
        ("status", "STATUS_RUNNING", "STATUS_GLOWING", ("running", "glowing")),
        ("status", "Allocated", "gone", ("allocated", "gone")),
        ("status", "gone", "Open", ("gone", "open")),
        ("limit_price", "$8.00", "$9.50", ("$8.00", "$9.50")),
        ("volumes", "", "Vol_1", ("", "Vol_1")),
        ("health", "running", "degraded", ("running", "degraded")),
    ],
)
def test_from_and_to(aspect: str, before: str | None, after: str, words: tuple[str | None, str]) -> None:
    data = told(replace(STEP, aspect=aspect, before=before, after=after))
    assert (data["from"], data["to"]) == words


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (None, None),
        (NOON, "2024-01-01T12:00:00Z"),
        (moment(0.25), "2024-01-01T12:00:00.250000Z"),
        (NOON.astimezone(timezone(timedelta(hours=-5))), "2024-01-01T12:00:00Z"),
        (NOON.replace(year=1), "0001-01-01T12:00:00Z"),
    ],
)
def test_a_time_in_the_events_form(time: datetime | None, text: str | None) -> None:
    assert stamp(time) == text
    assert text is None or datetime.fromisoformat(text) == time


def test_an_event_comes_back_from_its_text_as_it_was() -> None:
    named = replace(AROUND, fleet=fleet(bid(name='Zug "Ü" 列車\n'), instance()))
    text = encode(rendered(around=named))
    assert json.loads(text) == rendered(around=named)
    assert text.isascii()
    assert "\n" not in text


@pytest.mark.parametrize(
    ("store", "id", "sequence"),
    [
        ("8f3a", "evt_8f3a_1042", 1042),
        ("8f3a", event_id("8f3a", 1), 1),
        ("a_b", event_id("a_b", 7), 7),
        ("8f3a", "evt_9999_1042", None),
        ("8f3a", "evt_8f3a_", None),
        ("8f3a", "evt_8f3a_-1", None),
        ("8f3a", "evt_8f3a_1.5", None),
        ("8f3a", "evt_8f3a_١", None),
        ("8f3a", "1042", None),
        ("8f3a", "", None),
        ("8f3a", "evt_8f3a_" + "9" * 18, 10**18 - 1),
        ("8f3a", "evt_8f3a_" + "9" * 19, None),
        ("8f3a", "evt_8f3a_" + "9" * 5000, None),
    ],
)
def test_the_sequence_in_an_id(store: str, id: str, sequence: int | None) -> None:
    assert sequence_of(store, id) == sequence


# Facts


def test_what_routing_is_told() -> None:
    made = facts(rendered(), STEP, moment(10))
    assert made == Facts(
        type="instance.preempting",
        bid="bid_1",
        bid_name="train",
        region="us-central5-a",
        instance_type="b200-192gb.sxm.8x",
        instance_type_fid="it_1",
        project="proj_1",
        project_name="research",
        provenance="observed",
        nodes=1,
        limit_cents=800,
        age=timedelta(seconds=15),
        left=timedelta(seconds=290),
    )


def test_what_routing_is_told_of_a_reserved_instance() -> None:
    step = replace(STEP, bid=None)
    made = facts(rendered(step, Surroundings(fleet(instance(bid=None)))), step, moment(10))
    assert (made.bid_name, made.instance_type, made.instance_type_fid) == (None, None, "it_1")


@pytest.mark.parametrize(
    ("occurred", "window", "age"),
    [
        (-3.0, -5.0, 13),  # when it happened
        (-60.0, None, 70),
        (-60.0, -5.0, 15),  # and not longer ago than the last look without it: clocks are told wrong
        (None, -5.0, 15),
        (None, None, 10),  # else since it was seen
        (100.0, -5.0, 0),  # the marketplace's clock is ahead of ours
    ],
)
def test_the_age_of_news(occurred: float | None, window: float | None, age: float) -> None:
    step = replace(
        STEP,
        occurred_at=None if occurred is None else moment(occurred),
        window_start=None if window is None else moment(window),
    )
    assert facts(rendered(step), step, moment(10)).age == timedelta(seconds=age)


@pytest.mark.parametrize(("standing", "left"), [(notice(deadline=moment(300)), -1), (None, None)])
def test_how_much_time_is_left(standing: Notice | None, left: float | None) -> None:
    made = rendered(around=replace(AROUND, notices={"inst_1": standing} if standing else {}))
    assert facts(made, STEP, moment(301)).left == (None if left is None else timedelta(seconds=left))


def test_the_watch_itself_is_of_no_project() -> None:
    step = replace(STEP, kind="marketplace", subject="marketplace", project="", bid=None, type="marketplace.recovered")
    assert facts(rendered(step), step, moment(10)).project is None


def test_nodes_are_numbered_by_age_and_the_ended_and_the_gone_are_not_among_them() -> None:
    known = fleet(
        instance("inst_1", created_at=moment(-1), name="b"),
        instance("inst_2", created_at=moment(-1), name="a"),
        instance("inst_3", created_at=moment(-2)),
        instance("inst_4", "STATUS_REPLACED"),
        instance("inst_5", "STATUS_TERMINATED"),
        instance("inst_6"),
        instance("inst_7", bid=None),
        instance("inst_8", "STATUS_ERROR", bid="bid_2"),
        gone=["inst_6"],
    )
    grouped = {fid: [one.fid for one in group] for fid, group in group_by_bid(known).items()}
    assert grouped == {"bid_1": ["inst_3", "inst_2", "inst_1"], "bid_2": ["inst_8"]}
