"""Past events and deliveries as the API shows them, and cursors that it does not know."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild.fleet.model import Project
from mithrild.store import outbox
from mithrild.store.bounded import Dropped, drop_outputs
from mithrild.store.inventory import keep_projects
from mithrild.store.outbox import Outcome
from mithrild.store.retention import drop_transitions
from tests.integration.api_on_socket import Api, on_socket
from tests.integration.store_builders import (
    PREEMPTING,
    PROJECT,
    STARTING,
    a_bid,
    a_rule,
    an_instance,
    at,
    deliveries,
    keep,
    opened,
    poll,
    settle_one,
    sql,
)

RULES = [a_rule("log"), a_rule("save", "instance.preempting")]


def fill(api: Api) -> list[str]:
    """A first sight, then six events. Returns their ids."""
    database = api.database
    keep(database, poll(0, a_bid(), a_bid("bid_2"), an_instance(), an_instance("inst_2", bid="bid_2")), RULES)
    for n, (machine, status) in enumerate(
        [("inst_1", STARTING), ("inst_2", STARTING), ("inst_1", PREEMPTING), ("inst_2", PREEMPTING)]
    ):
        bid = machine.replace("inst", "bid")
        keep(database, poll(60 * (n + 1), an_instance(machine, status, bid), whole=frozenset()), RULES)
    return [id for (id,) in sql(database, "SELECT id FROM events ORDER BY sequence")]


def asking(folder: Path, test: Callable[[Api, list[str]], Awaitable[None]]) -> None:
    async def filled(api: Api) -> None:
        await test(api, fill(api))

    on_socket(folder, filled)


def ids(answer: Any) -> list[str]:
    return [event["id"] for event in answer["events"]]


def sequence(id: str) -> int:
    return int(id.rpartition("_")[2])


def test_events_are_the_stored_objects_in_the_order_of_the_record(tmp_path: Path) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        answer = await api.get("/events")
        assert set(answer) == {"freshness", "events", "next", "oldest"}
        stored = [json.loads(body) for (body,) in sql(api.database, "SELECT body FROM events ORDER BY sequence")]
        assert answer["events"] == stored
        assert (answer["oldest"], answer["next"]) == (sequence(all_ids[0]), sequence(all_ids[-1]))

    asking(tmp_path, test)


def test_record_without_events_has_no_bounds(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        answer = await api.get("/events")
        assert (answer["events"], answer["next"], answer["oldest"]) == ([], None, None)
        keep(api.database, poll(0, a_bid()))
        answer = await api.get("/events", after=0)
        assert (answer["events"], answer["next"], answer["oldest"]) == ([], 0, None)

    on_socket(tmp_path, test)


def test_cursor_is_a_sequence_or_an_event_id(tmp_path: Path) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        for cursor in (all_ids[1], sequence(all_ids[1])):
            assert ids(await api.get("/events", after=cursor)) == all_ids[2:]
            answer = await api.get("/events", after=cursor, limit=2)
            assert ids(answer) == all_ids[2:4]
            assert answer["next"] == sequence(all_ids[3])
        answer = await api.get("/events", after=all_ids[-1])
        assert (ids(answer), answer["next"]) == ([], sequence(all_ids[-1]))
        # A baseline row has no event, and its number is a cursor all the same.
        assert ids(await api.get("/events", after=1)) == ids(await api.get("/events", after=0)) == all_ids

    asking(tmp_path, test)


def test_limit_counts_the_newest_or_the_next(tmp_path: Path) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        assert ids(await api.get("/events", limit=2)) == all_ids[-2:]
        assert ids(await api.get("/events", limit=2, after=0)) == all_ids[:2]
        assert ids(await api.get("/events", limit=2, since="2026-11-23T12:00:00Z")) == all_ids[:2]

    asking(tmp_path, test)


def test_unasked_no_more_than_a_hundred_come(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, *(a_bid(f"bid_{n}", "Open") for n in range(130))))
        keep(api.database, poll(60, *(a_bid(f"bid_{n}", "Paused") for n in range(130))))
        everyone = ids(await api.get("/events", limit=10_000))
        assert len(everyone) == 130
        assert ids(await api.get("/events")) == everyone[30:]
        assert ids(await api.get("/events", after=0)) == everyone[:100]

    on_socket(tmp_path, test)


@pytest.mark.parametrize(
    ("since", "left_out"),
    [
        ("2026-11-23T12:02:01Z", 1),
        ("2026-11-23T12:02:01.000001Z", 2),
        ("2026-11-23T14:02:01+02:00", 1),
        ("2026-11-23T12:02:01", 1),
        ("2026-11-23", 0),
        ("2026-11-24T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_since_means_the_time_shown(tmp_path: Path, since: str, left_out: int | None) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        shown = all_ids[left_out:] if left_out is not None else []
        assert ids(await api.get("/events", since=since)) == shown

    asking(tmp_path, test)


def test_types_and_bids_are_filtered(tmp_path: Path) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        preempting = all_ids[2:]
        assert ids(await api.get("/events", type="instance.preempting")) == preempting
        assert ids(await api.get("/events", type=["*.starting", "*.preempting"])) == all_ids
        assert ids(await api.get("/events", type="bid.*")) == []
        for bid in ("bid_2", "name-of-bid_2"):
            assert ids(await api.get("/events", bid=bid)) == all_ids[1::2]
        assert ids(await api.get("/events", bid="bid_2", type="instance.preempting", after=0)) == all_ids[3:]
        status, error = await api.refused("/events", bid="nothing")
        assert (status, error["code"]) == (404, "not_found")

    asking(tmp_path, test)


def test_events_of_another_project_are_shown_when_asked_for(tmp_path: Path) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        keep_projects(api.database, [PROJECT, Project("proj_other", "other")])
        for n, status in enumerate(("Open", "Paused")):
            keep(api.database, poll(600 + n, a_bid("bid_9", status, project="proj_other"), project="proj_other"))
        assert ids(await api.get("/events")) == all_ids
        (other,) = ids(await api.get("/events", project="other"))
        assert ids(await api.get("/events", all_projects=1)) == [*all_ids, other]

    asking(tmp_path, test)


@pytest.mark.parametrize("path", ["/events", "/events/stream"])
@pytest.mark.parametrize(
    ("cursor", "status", "words"),
    [
        ("evt_00000000_3", 410, "this cursor is from another record"),
        ("evt_", 410, "this cursor is from another record"),
        ("999999", 410, "this cursor is from another record"),
        ("yesterday", 400, "after must be a sequence number or an event id, not 'yesterday'"),
        ("-1", 400, "after must be a sequence number or an event id, not '-1'"),
        ("9" * 5000, 400, "a number of 5000 digits"),
    ],
)
def test_cursor_that_we_never_gave_out_is_refused(
    tmp_path: Path, path: str, cursor: str, status: int, words: str
) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        given, error = await api.refused(path, after=cursor)
        assert given == status
        assert words in error["message"]
        assert error["code"] == {400: "bad_request", 410: "cursor_gone"}[status]
        if status == 410:
            assert error["oldest"] == sequence(all_ids[0])

    asking(tmp_path, test)


@pytest.mark.parametrize("path", ["/events", "/events/stream"])
def test_cursor_from_before_what_is_kept_is_refused_with_the_oldest(tmp_path: Path, path: str) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        first_kept = sequence(all_ids[2])
        sql(api.database, "UPDATE deliveries SET state = 'done'")
        dropped = Dropped()
        assert list(drop_transitions(api.database, at(150), dropped))
        assert dropped.transitions
        for cursor in (all_ids[0], 1):
            status, error = await api.refused(path, after=cursor)
            assert (status, error["code"], error["oldest"]) == (410, "cursor_gone", first_kept)
        # The last one that is gone has everything behind it that is kept: nothing is missed from there.
        assert ids(await api.get("/events", after=all_ids[1])) == all_ids[2:]
        assert ids(await api.get("/events", after=0)) == all_ids[2:]

    asking(tmp_path, test)


def test_cursor_of_the_store_before_this_one_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "old") as old:
        keep(old, poll(0, a_bid(status="Open")))
        keep(old, poll(60, a_bid(status="Paused")))
        ((cursor,),) = sql(old, "SELECT id FROM events")

    async def test(api: Api, all_ids: list[str]) -> None:
        status, error = await api.refused("/events", after=cursor)
        assert (status, error["code"]) == (410, "cursor_gone")

    asking(tmp_path, test)


@pytest.mark.parametrize("since", ["yesterday", "12:00", "2026-13-01", "9999-12-31T23:59:59-14:00"])
def test_since_that_is_no_time_is_refused(tmp_path: Path, since: str) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        status, error = await api.refused("/events", since=since)
        assert (status, error["code"]) == (400, "bad_request")
        assert "since must be a time such as 2026-11-23T14:02:11Z" in error["message"]

    asking(tmp_path, test)


def test_deliveries_are_shown_with_how_they_ended(tmp_path: Path) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        (one,) = outbox.claim(api.database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(300))
        failed = Outcome("failed", "failed", reason="exit code 3", exit_code=3, output="oh no")
        settle_one(api.database, one, failed, run="run_1", now=at(310))
        answer = await api.get("/deliveries", hook="save", state="failed", output=1)
        assert answer == {
            "deliveries": [
                {
                    "id": one.id,
                    "event": all_ids[2],
                    "sequence": sequence(all_ids[2]),
                    "type": "instance.preempting",
                    "hook": "save",
                    "action": "run",
                    "state": "failed",
                    "attempts": 1,
                    "subject": "inst_1",
                    "bid_name": "name-of-bid_1",
                    "instance_name": "name-of-inst_1",
                    "created_at": "2026-11-23T12:03:01Z",
                    "next_at": None,
                    "started_at": "2026-11-23T12:05:00Z",
                    "finished_at": "2026-11-23T12:05:10Z",
                    "remaining_seconds": 181.0,
                    "reason": "exit code 3",
                    "exit_code": 3,
                    "by_hand": False,
                    "rehearsal": None,
                    "output": "oh no",
                    "output_bytes": 5,
                }
            ]
        }
        (lean,) = (await api.get("/deliveries", hook="save", state="failed"))["deliveries"]
        assert answer["deliveries"][0].pop("output") == "oh no"
        assert answer["deliveries"][0].pop("output_bytes") == 5
        assert [lean] == answer["deliveries"]
        (waiting,) = (await api.get("/deliveries", hook="save", event=all_ids[3]))["deliveries"]
        assert waiting["output"] is None
        assert (waiting["state"], waiting["next_at"], waiting["exit_code"]) == ("pending", "2026-11-23T12:04:01Z", None)

    asking(tmp_path, test)


def test_output_that_is_no_longer_kept_is_told_from_output_that_never_was(tmp_path: Path) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        (one,) = outbox.claim(api.database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(300))
        settle_one(api.database, one, Outcome("done", "done", output="oh no"), run="run_1", now=at(310))
        limits = api.config.keep.limits()
        assert list(drop_outputs(api.database, limits, at(300) + timedelta(days=31), Dropped()))
        shown = (await api.get("/deliveries", hook="save", output=1))["deliveries"]
        assert [(one["output"], one["output_bytes"]) for one in shown] == [(None, None), (None, 5)]

    asking(tmp_path, test)


def test_deliveries_come_the_newest_first_and_filtered(tmp_path: Path) -> None:
    async def test(api: Api, all_ids: list[str]) -> None:
        async def shown(**asked: Any) -> list[tuple[str, str]]:
            return [(one["event"], one["hook"]) for one in (await api.get("/deliveries", **asked))["deliveries"]]

        everyone = [(all_ids[3], "log"), (all_ids[3], "save"), (all_ids[2], "log"), (all_ids[2], "save")]
        everyone += [(all_ids[1], "log"), (all_ids[0], "log")]
        assert await shown() == everyone
        assert await shown(limit=3) == everyone[:3]
        assert await shown(hook="save") == everyone[1:4:2]
        assert await shown(event=all_ids[0]) == everyone[-1:]
        assert await shown(state="pending") == everyone
        assert await shown(state="done") == await shown(hook="nobody") == []
        assert len(deliveries(api.database)) == len(everyone)

    asking(tmp_path, test)
