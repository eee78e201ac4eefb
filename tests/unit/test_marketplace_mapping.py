"""From the wire to the fleet: what is read, what is forgiven, what is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.fleet.model import Bid
from mithrild.marketplace import mapping
from mithrild.marketplace.schema import Unreadable

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)

BID: dict[str, Any] = {
    "fid": "bid_1",
    "name": "train",
    "project": "proj_1",
    "created_by": "user_1",
    "created_at": "2024-01-01T12:00:00Z",
    "deactivated_at": None,
    "limit_price": "$15.60",
    "instance_quantity": 4,
    "instance_type": "it_1",
    "region": "us-central1-a",
    "instances": ["inst_1", "inst_2"],
    "launch_specification": {"volumes": ["vol_1"], "ssh_keys": ["sshkey_1"], "memory_gb": 512},
    "status": "Allocated",
    "something_new": {"a": 1},
}


def test_a_whole_bid() -> None:
    value, notes = mapping.bid(BID)
    assert notes == []
    assert value == Bid(
        fid="bid_1",
        project="proj_1",
        name="train",
        status="Allocated",
        instance_quantity=4,
        instance_type="it_1",
        region="us-central1-a",
        limit_price="$15.60",
        limit_price_cents=1560,
        created_at=NOON,
        created_by="user_1",
        deactivated_at=None,
        instances=("inst_1", "inst_2"),
        volumes=("vol_1",),
        ssh_keys=("sshkey_1",),
        memory_gb=512,
        kubernetes_cluster=None,
    )


def test_an_unknown_status_passes_as_it_came() -> None:
    assert mapping.bid(BID | {"status": "Dreaming"})[0].status == "Dreaming"


@pytest.mark.parametrize(
    ("change", "field", "value", "note"),
    [
        ({"limit_price": "$1.005"}, "limit_price", "$1.005", "not an exact number of cents"),
        ({"limit_price": "$1.005"}, "limit_price_cents", None, "limit_price"),
        ({"limit_price": None}, "limit_price", "", "null is not an exact"),
        ({"limit_price": {"x": 1}}, "limit_price_cents", None, "a dict is not an exact"),
        ({"instance_quantity": "many"}, "instance_quantity", 1, "instance_quantity"),
        ({"instance_quantity": 10**40}, "instance_quantity", 1, "instance_quantity"),
        ({"instances": [1]}, "instances", (), "instances"),
        ({"name": "\ud800"}, "name", "", "name"),
        ({"deactivated_at": "soon"}, "deactivated_at", None, "'soon' is not a time"),
        ({"launch_specification": None}, "volumes", (), "launch_specification"),
        (
            {"launch_specification": {"volumes": ["vol_1"], "memory_gb": "much"}},
            "volumes",
            ("vol_1",),
            "memory_gb",
        ),
    ],
)
def test_a_fault_in_one_field_spoils_only_that_field(
    change: dict[str, object], field: str, value: object, note: str
) -> None:
    bid, notes = mapping.bid(BID | change)
    assert getattr(bid, field) == value
    assert len(notes) == 1
    assert note in notes[0]
    assert (bid.fid, bid.status) == ("bid_1", "Allocated")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (BID | {"fid": ""}, "fid"),
        (BID | {"fid": "f" * 201}, "fid"),
        (BID | {"status": None}, "status"),
        (BID | {"status": "\ud800"}, "status"),
        (BID | {"created_at": "yesterday"}, "created_at: 'yesterday' is not a time"),
        (BID | {"created_at": None}, "created_at: null is not a time"),
        ({key: BID[key] for key in ("fid", "status", "created_at")}, "project is missing"),
        (None, "not an object"),
        ([BID], "not an object"),
        ("bid_1", "not an object"),
    ],
)
def test_a_bid_that_cannot_be_one_is_unreadable(raw: object, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        mapping.bid(raw)


def test_the_least_that_makes_an_instance() -> None:
    raw = {"fid": "inst_1", "status": "STATUS_HATCHING", "created_at": "2024-01-01T12:00:00Z"}
    value, notes = mapping.instance(raw, "proj_1")
    assert notes == []
    assert (value.fid, value.project, value.status, value.bid) == ("inst_1", "proj_1", "STATUS_HATCHING", None)


@pytest.mark.parametrize("destination", [None, "1.2.3.4", "host.example:2222", "ubuntu@1.2.3.4", "[::1]:22"])
def test_the_ssh_destination_passes_as_it_came(destination: str | None) -> None:
    raw = {"fid": "i", "status": "s", "created_at": "2024-01-01T12:00:00Z", "ssh_destination": destination}
    assert mapping.instance(raw, "p")[0].ssh_destination == destination


def test_a_deadline_that_cannot_be_read_leaves_the_status_standing() -> None:
    value, notes = mapping.instance_status({"fid": "i", "status": "STATUS_PREEMPTING", "end_time": "later"})
    assert (value.status, value.end_time) == ("STATUS_PREEMPTING", None)
    assert notes == ["end_time: 'later' is not a time"]


def test_the_join_command_goes_nowhere() -> None:
    raw = {
        "fid": "clust_1",
        "status": "Available",
        "project": "proj_1",
        "created_at": "2024-01-01T12:00:00Z",
        "join_command": "kubeadm join --token hunter2",
        "kube_host": "1.2.3.4",
    }
    value, _ = mapping.cluster(raw)
    assert value.kube_host == "1.2.3.4"
    assert "hunter2" not in repr(value)


def test_auction_prices() -> None:
    raw = {"region": "r", "instance_type": "it_1", "capacity": 3, "last_instance_price": "$10.00"}
    value, notes = mapping.auction(raw | {"lowest_allocated_price": None})
    assert (value.spot_price, value.spot_price_cents, value.win_price, value.win_price_cents) == (
        "$10.00",
        1000,
        None,
        None,
    )
    assert notes == []
    value, notes = mapping.auction(raw | {"last_instance_price": None, "lowest_allocated_price": "x"})
    assert (value.spot_price, value.win_price, value.win_price_cents) == (None, "x", None)
    assert len(notes) == 2
    with pytest.raises(Unreadable, match="capacity"):
        mapping.auction(raw | {"capacity": None})


def test_a_member_is_called_by_the_best_name_there_is() -> None:
    assert mapping.member({"fid": "user_1", "user_name": "Ada", "email": "a@b.c"})[0].name == "Ada"
    assert mapping.member({"fid": "user_1", "user_name": None, "email": "a@b.c"})[0].name == "a@b.c"
    assert mapping.member({"fid": "user_1"})[0].name == "user_1"


@pytest.mark.parametrize(
    "words",
    [
        "2024-01-01T12:00:00Z",
        "2024-01-01t12:00:00z",
        "2024-01-01T12:00:00+00:00",
        "2024-01-01T12:00:00-00:00",
        "2024-01-01T14:30:00+02:30",
        "2024-01-01T12:00:00",
        "2024-01-01 12:00:00.000000000Z",
    ],
)
def test_every_way_to_write_noon(words: str) -> None:
    assert mapping.moment(words) == NOON
    assert mapping.moment(words).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "words", ["", "soon", "2024-13-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", 5, None]
)
def test_what_is_not_a_time(words: object) -> None:
    with pytest.raises(Unreadable, match="is not a time"):
        mapping.moment(words)


OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=OFFSETS))
def test_a_time_survives_its_writing(time: datetime) -> None:
    assert mapping.moment(time.isoformat()) == time
