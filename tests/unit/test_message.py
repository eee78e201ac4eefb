"""What a person reads at 3 a.m."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet.message import LONGEST_TITLE, Message, compose
from mithrild.wire import EVENT_TYPES

NOW = datetime(2026, 11, 24, 2, 2, 30, tzinfo=UTC)
CET = timezone(timedelta(hours=1), "CET")
DEADLINE = NOW + timedelta(seconds=275)
BID = {"fid": "bid_1", "name": "train", "limit_price_cents": 800, "status": "preempting"}


def an_event(type: str, node: int | None = None, **data: Any) -> dict[str, Any]:
    instance = None
    if node is not None:
        instance = {"fid": f"inst_{node}", "name": f"train-{node}", "ssh_destination": None}
    told = {
        "from": None,
        "to": type.partition(".")[2],
        "provenance": "observed",
        "deadline_estimated": False,
        "bid": BID,
        "instance": instance,
        "cluster": None,
        "hook": None,
        "region": "us-central5-a",
        "instance_type": "b200-192gb.sxm.8x",
        "instance_type_fid": "it_1",
        "spot_price_cents": 912,
    }
    subject = f"inst_{node}" if node is not None else "bid_1"
    return {"id": "evt_1", "type": type, "subject": subject, "time": "2026-11-24T02:02:11.5Z", "data": told | data}


NOTHING = {
    "bid": None,
    "region": None,
    "instance_type": None,
    "instance_type_fid": None,
    "spot_price_cents": None,
}
HOOK = {
    "name": "save-checkpoint",
    "action": "ssh",
    "delivery": "dlv_0815",
    "event": "evt_1",
    "event_type": "instance.preempting",
    "reason": "exit code 1",
}

EXAMPLES: list[tuple[list[dict[str, Any]], datetime | None, Message]] = [
    (
        [an_event("instance.preempting", 0)],
        DEADLINE,
        Message(
            "train: preempted, 4 min left",
            "train-0 – b200-192gb.sxm.8x in us-central5-a\n"
            "Until 03:07:05 CET\n"
            "Spot price $9.12, limit $8.00 an hour\n"
            "To outbid: ml instance update train -m PRICE",
            "warning",
        ),
    ),
    (
        [an_event("instance.preempting", node, deadline_estimated=True) for node in range(6)],
        DEADLINE - timedelta(seconds=230),
        Message(
            "train: 6 nodes preempted, 45 s left",
            "train-0, train-1, train-2, train-3 and 2 more – b200-192gb.sxm.8x in us-central5-a\n"
            "Until about 03:03:15 CET\n"
            "Spot price $9.12, limit $8.00 an hour\n"
            "To outbid: ml instance update train -m PRICE",
            "warning",
        ),
    ),
    (
        [an_event("bid.preempting", bid=BID | {"name": "a bid; rm -rf /"})],
        DEADLINE,
        Message(
            "a bid; rm -rf /: preempted, 4 min left",
            "b200-192gb.sxm.8x in us-central5-a\n"
            "Until 03:07:05 CET\n"
            "Spot price $9.12, limit $8.00 an hour\n"
            "To outbid: ml instance update NAME -m PRICE",
            "warning",
        ),
    ),
    (
        [an_event("instance.relocating", 1, provenance="simulated")],
        NOW - timedelta(seconds=1),
        Message(
            "DRILL train: relocated, its time is over",
            "train-1 – b200-192gb.sxm.8x in us-central5-a\nUntil 03:02:29 CET\nSpot price $9.12, limit $8.00 an hour",
            "warning",
        ),
    ),
    (
        [an_event("bid.reprieved")],
        None,
        Message(
            "train: reprieved, it goes on",
            "b200-192gb.sxm.8x in us-central5-a\nAt 03:02:11 CET\nSpot price $9.12, limit $8.00 an hour",
            "success",
        ),
    ),
    (
        [an_event("bid.running", spot_price_cents=705)],
        None,
        Message(
            "train: all nodes run",
            "b200-192gb.sxm.8x in us-central5-a\nAt 03:02:11 CET\n"
            "Spot price $7.05, limit $8.00 an hour\nLog in: ml ssh train",
            "success",
        ),
    ),
    (
        [an_event("bid.limit_changed", None, **{"from": "$8.00", "to": "$9.50"})],
        None,
        Message(
            "train: limit price changed",
            "b200-192gb.sxm.8x in us-central5-a\n$8.00 → $9.50, at 03:02:11 CET\nSpot price $9.12, limit $8.00 an hour",
            "info",
        ),
    ),
    (
        [an_event("instance.thawing", 2, spot_price_cents=None, bid=None)],
        None,
        Message("train-2: instance.thawing", "train-2 – b200-192gb.sxm.8x in us-central5-a\nAt 03:02:11 CET", "info"),
    ),
    (
        [an_event("hook.dead", hook=HOOK)],
        None,
        Message(
            "hook save-checkpoint gave up on train",
            "exit code 1\nAt 03:02:11 CET\nSpot price $9.12, limit $8.00 an hour\nMore: ml hooks show dlv_0815",
            "failure",
        ),
    ),
    (
        [an_event("marketplace.unreachable", **NOTHING)],
        None,
        Message("The marketplace cannot be reached", "At 03:02:11 CET", "failure"),
    ),
    (
        [an_event("credentials.rejected", **NOTHING)],
        None,
        Message("The API key is refused", "At 03:02:11 CET\nMore: ml setup --check", "failure"),
    ),
    (
        [
            an_event(
                "cluster.available", None, **NOTHING | {"cluster": {"fid": "clus_1", "name": "kube"}, "region": "eu-1"}
            )
        ],
        None,
        Message("kube: cluster.available", "eu-1\nAt 03:02:11 CET", "info"),
    ),
]


@pytest.mark.parametrize(("events", "deadline", "message"), EXAMPLES, ids=lambda value: getattr(value, "title", None))
def test_message(events: list[dict[str, Any]], deadline: datetime | None, message: Message) -> None:
    assert compose(events, deadline=deadline, now=NOW, zone=CET) == message


@given(
    type=st.sampled_from([*EVENT_TYPES, "instance.never_heard_of"]),
    names=st.lists(st.text(max_size=200), min_size=1, max_size=9),
    bid=st.text(max_size=200),
    left=st.none() | st.floats(-100, 400),
    spot=st.none() | st.integers(0, 10**7),
)
def test_any_message_can_be_read_on_a_telephone(
    type: str, names: list[str], bid: str, left: float | None, spot: int | None
) -> None:
    events = [
        an_event(
            type,
            node,
            bid=BID | {"name": bid},
            instance={"fid": "inst_1", "name": name},
            hook=HOOK | {"reason": bid},
            spot_price_cents=spot,
        )
        for node, name in enumerate(names)
    ]
    deadline = None if left is None else NOW + timedelta(seconds=left)
    message = compose(events, deadline=deadline, now=NOW, zone=None)
    assert 0 < len(message.title) <= LONGEST_TITLE
    assert message.title.isprintable()
    lines = message.body.split("\n")
    assert 2 <= len(lines) <= 4
    assert all(line and line.isprintable() and len(line) <= 240 for line in lines)
