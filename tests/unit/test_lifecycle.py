"""The tables are closed, the names of the steps are known to everyone, and the diagrams say what the tables say."""

from __future__ import annotations

import pytest

from mithrild import wire
from mithrild.fleet import lifecycle
from mithrild.fleet.lifecycle import BID, CLUSTER, INSTANCE, Table

TABLES = pytest.mark.parametrize("table", [BID, INSTANCE, CLUSTER], ids=["bid", "instance", "cluster"])
FIRST = {id(BID): "Open", id(INSTANCE): "STATUS_NEW", id(CLUSTER): "Pending"}


@TABLES
def test_every_step_leads_to_a_status_of_the_table(table: Table) -> None:
    assert {after for afters in table.values() for after in afters} <= table.keys()


@TABLES
def test_no_status_leads_to_itself_or_twice_to_another(table: Table) -> None:
    for before, afters in table.items():
        assert before not in afters
        assert len(set(afters)) == len(afters)


@TABLES
def test_every_status_can_be_reached(table: Table) -> None:
    reached, edge = set(), {FIRST[id(table)]}
    while edge:
        reached |= edge
        edge = {after for before in edge for after in table[before]} - reached
    assert reached == table.keys()


def test_the_words_of_the_marketplace_are_all_there() -> None:
    assert set(BID) == {"Open", "Allocated", "Preempting", "Paused", "Terminated"}
    assert set(CLUSTER) == {"Pending", "Available", "Terminated"}
    words = """NEW CONFIRMED INITIALIZING STARTING RUNNING STOPPING TERMINATED RELOCATING PREEMPTING PREEMPTED
               REPLACED PAUSED ERROR SCHEDULED STOPPED"""
    assert set(INSTANCE) == {f"STATUS_{word}" for word in words.split()}


def test_the_ends() -> None:
    assert [status for table in (BID, INSTANCE, CLUSTER) for status, afters in table.items() if not afters] == [
        "Terminated",
        "STATUS_TERMINATED",
        "Terminated",
    ]
    assert INSTANCE["STATUS_REPLACED"] == ("STATUS_TERMINATED",)
    assert {"Terminated", "STATUS_TERMINATED", "STATUS_REPLACED"} == lifecycle.FINAL
    assert lifecycle.FINAL < lifecycle.HIDDEN
    assert lifecycle.FINAL < lifecycle.SETTLED


def test_active_bids_are_all_that_have_not_ended() -> None:
    assert set(lifecycle.ACTIVE_BID) == set(BID) - lifecycle.FINAL


def test_listings_are_asked_for_every_living_status_that_a_query_may_name() -> None:
    refused = {"STATUS_SCHEDULED", "STATUS_STOPPED"}
    assert set(lifecycle.LISTED_INSTANCE) == INSTANCE.keys() - lifecycle.FINAL - refused


def test_nothing_under_notice_is_at_rest() -> None:
    assert not lifecycle.NOTICED.keys() & lifecycle.SETTLED


@pytest.mark.parametrize("in_time", [True, False])
def test_every_step_of_the_tables_has_a_known_event_type(in_time: bool) -> None:
    def steps(table: Table) -> list[tuple[str | None, str]]:
        return [
            (before, after) for after in table for before in (None, "gone", *table) if before is None or after != before
        ]

    named = {lifecycle.bid_event(before, after, in_time=in_time) for before, after in steps(BID)}
    named |= {lifecycle.instance_event(before, after, in_time=in_time) for before, after in steps(INSTANCE)}
    named |= {lifecycle.cluster_event(after) for after in CLUSTER}
    assert named <= set(wire.EVENT_TYPES)


@pytest.mark.parametrize(
    ("before", "after", "in_time", "type"),
    [
        (None, "Open", False, "bid.placed"),
        ("Paused", "Open", False, "bid.resumed"),
        ("Preempting", "Open", True, "bid.reopened"),
        ("Preempting", "Open", False, "bid.reopened"),
        ("Allocated", "Open", False, "bid.reopened"),
        ("gone", "Open", False, "bid.reopened"),
        ("Hibernating", "Open", False, "bid.reopened"),
        ("Open", "Allocated", False, "bid.allocated"),
        ("Open", "Allocated", True, "bid.allocated"),
        ("Paused", "Allocated", False, "bid.allocated"),
        ("Preempting", "Allocated", True, "bid.reprieved"),
        ("Preempting", "Allocated", False, "bid.allocated"),
        ("Preempting", "Paused", True, "bid.paused"),
        ("Allocated", "Preempting", False, "bid.preempting"),
        ("Allocated", "Paused", False, "bid.paused"),
        ("Open", "Terminated", False, "bid.terminated"),
        ("Open", "Hibernating", False, "bid.hibernating"),
    ],
)
def test_what_a_step_of_a_bid_is_called(before: str | None, after: str, in_time: bool, type: str) -> None:
    assert lifecycle.bid_event(before, after, in_time=in_time) == type


@pytest.mark.parametrize(
    ("before", "after", "in_time", "type"),
    [
        ("STATUS_PREEMPTING", "STATUS_RUNNING", True, "instance.reprieved"),
        ("STATUS_PREEMPTING", "STATUS_RUNNING", False, "instance.running"),
        ("STATUS_PREEMPTING", "STATUS_STARTING", True, "instance.starting"),
        ("STATUS_RELOCATING", "STATUS_RUNNING", True, "instance.running"),
        ("STATUS_STARTING", "STATUS_RUNNING", True, "instance.running"),
        (None, "STATUS_RUNNING", False, "instance.running"),
        ("STATUS_RUNNING", "STATUS_GLOWING", False, "instance.glowing"),
        ("STATUS_RUNNING", "Glowing Red", False, "instance.glowing_red"),
    ],
)
def test_what_a_step_of_an_instance_is_called(before: str | None, after: str, in_time: bool, type: str) -> None:
    assert lifecycle.instance_event(before, after, in_time=in_time) == type


@pytest.mark.parametrize(
    ("table", "before", "after", "known"),
    [
        (BID, None, "Paused", True),
        (BID, None, "Hibernating", False),
        (BID, "gone", "Open", True),
        (BID, "gone", "Hibernating", False),
        (BID, "Open", "Allocated", True),
        (BID, "Open", "Preempting", False),
        (BID, "Terminated", "Open", False),
        (BID, "Hibernating", "Open", False),
        (INSTANCE, "STATUS_PREEMPTING", "STATUS_RUNNING", True),
        (INSTANCE, "STATUS_TERMINATED", "STATUS_RUNNING", False),
        (CLUSTER, "Pending", "Available", True),
    ],
)
def test_which_steps_are_expected(table: Table, before: str | None, after: str, known: bool) -> None:
    assert lifecycle.expected(table, before, after) is known


@pytest.mark.parametrize(
    ("status", "word"),
    [("STATUS_RUNNING", "running"), ("Open", "open"), ("gone", "gone"), ("Under Repair", "under_repair"), ("", "")],
)
def test_a_status_as_a_word(status: str, word: str) -> None:
    assert lifecycle.word(status) == word


def test_the_diagram_of_clusters_word_for_word() -> None:
    assert lifecycle.diagram(CLUSTER) == (
        "stateDiagram-v2\n"
        "    pending --> available\n"
        "    pending --> terminated\n"
        "    available --> pending\n"
        "    available --> terminated\n"
        "    terminated --> [*]"
    )


@TABLES
def test_a_diagram_read_back_is_the_table(table: Table) -> None:
    head, *lines = lifecycle.diagram(table).splitlines()
    assert head == "stateDiagram-v2"
    arrows = [tuple(line.split(" --> ")) for line in map(str.strip, lines)]
    word = lifecycle.word
    assert arrows == [(word(before), word(after)) for before in table for after in table[before]] + [
        (word(status), "[*]") for status in table if not table[status]
    ]
