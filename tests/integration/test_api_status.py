"""How the watch itself is doing, how old an answer is, and how the API answers what nobody should ask."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mithrild import __version__
from mithrild.fleet.auction_clock import Rhythm
from mithrild.fleet.model import Project
from mithrild.store import engine, outbox
from mithrild.store.inventory import keep_prices, keep_projects
from mithrild.store.outbox import Outcome
from mithrild.store.record import record
from tests.integration.api_on_socket import Api, on_socket
from tests.integration.store_builders import (
    PREEMPTING,
    PROJECT,
    TERMINATED,
    a_bid,
    a_rule,
    an_auction,
    an_instance,
    at,
    keep,
    poll,
    settle_one,
    sql,
)

PATHS = ("/status", "/bids", "/bids/bid_1", "/bids/bid_1/history", "/instances", "/events", "/deliveries", "/backups")


def test_status_has_all_its_keys(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        rules = [a_rule("save", "instance.preempting"), a_rule("log")]
        api.database.claim_for("https://api.example.org", "org_1")
        api.health.polls, api.health.discarded, api.health.key = 7, 1, "ok"
        api.health.put_aside(["bid_7: no status"])
        api.health.pace, api.health.ahead = "changing", timedelta(minutes=10)
        api.health.rhythm = Rhythm(120.0, at(600 + 3).timestamp(), agreeing=5)  # by the marketplace's clock
        keep_prices(api.database, [an_auction()], at(30))
        machines = [an_instance(), an_instance("inst_2", TERMINATED)]
        keep(api.database, poll(0, a_bid(), a_bid("bid_0", "Terminated"), *machines))
        keep(api.database, poll(60, a_bid(), an_instance(status=PREEMPTING), machines[1]), rules)
        (one,) = outbox.claim(api.database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(70))
        settle_one(api.database, one, Outcome("failed", "failed", "exit code 3"), run="run_1", now=at(71))
        api.clock.turn_to(62)
        api.health.recent.append(api.clock.monotonic())
        answer = await api.get("/status")
        newest = sql(api.database, "SELECT max(sequence) FROM events")[0][0]
        hooks = {hook.pop("name"): hook for hook in answer.pop("hooks")}
        assert answer == {
            "version": "0.1.0",
            "api": "v1",
            "pid": 4711,
            "started_at": "2026-11-23T11:00:00Z",
            "uptime_seconds": 3600.0,
            "socket": api.path,
            "store": {
                "id": api.database.id,
                "path": str(api.database.path),
                "bytes": api.database.path.stat().st_size,
                "wal_bytes": api.database.wal_bytes(),
                "schema": engine.SCHEMA,
                "oldest_sequence": newest,
                "newest_sequence": newest,
                "growth": None,
                "retention": {
                    "keep_transitions_seconds": None,
                    "dropped_before": None,
                    "waits": None,
                    "last": None,
                },
            },
            "account": {"api_url": "https://api.example.org", "organization": "org_1", "user": None},
            "key": {"state": "ok", "source": "environment MITHRIL_API_KEY", "message": None},
            "freshness": {
                "as_of": "2026-11-23T12:01:00Z",
                "age_seconds": 2.0,
                "stale": False,
                "reason": None,
                "warning": None,
                "interval_seconds": 5.0,
            },
            "disk": {
                "trouble": None,
                "since": None,
                "message": None,
                "held": {"transitions": 0, "deliveries": 0, "results": 0},
                "reserve_bytes": 0,
            },
            "marketplace": {"reachable": True, "since": None, "last_error": None},
            "project": None,
            "projects": [
                {
                    "fid": PROJECT.fid,
                    "name": PROJECT.name,
                    "baseline_at": "2026-11-23T12:00:01Z",
                    "last_complete_poll_at": "2026-11-23T12:01:00Z",
                    "unwatched": None,
                }
            ],
            "polling": {
                "interval_seconds": 5.0,
                "polls": 7,
                "discarded": 1,
                "requests_last_minute": 12,
                "request_cap": 300,
                "pace": "changing",
                "polls_last_minute": 1,
            },
            "auctions": {
                "period_seconds": 120.0,
                "last_at": "2026-11-23T12:00:03Z",
                "next_at": "2026-11-23T12:02:03Z",
                "agreeing": 5,
            },
            "clock": {"ahead_seconds": 600.0},
            "latency": {
                "as_of": "2026-11-23T12:01:02Z",
                "span_seconds": 86400.0,
                "seen": None,
                "unseen": 4,
                "hooks": {"count": 1, "p50": 9.0, "p95": 9.0, "worst": 9.0},
                "least_left_seconds": 291.0,
            },
            "prices": {"last_change_at": "2026-11-23T12:00:30Z"},
            "set_aside": {"items": 1, "last": "bid_7: no status"},
            "fleet": {"bids": 1, "instances": 1},
            "backups": {
                "folder": str(api.config.backup_folder),
                "every_seconds": 86400.0,
                "keep": 7,
                "next_at": None,
                "run": 0,
                "running": None,
                "made": None,
                "error": None,
                "failed_at": None,
                "files": [],
            },
            "restart_needed": ["poll.active"],
            "sandbox": False,
        }
        event = f"evt_{api.database.id}_{newest}"
        counts: dict[str, Any] = {"pending": 0, "running": 0, "done": 0, "failed": 0, "skipped": 0}
        counts |= {"superseded": 0, "cancelled": 0}
        failed = {"state": "failed", "reason": "exit code 3", "at": "2026-11-23T12:01:11Z", "event": event}
        assert hooks["save"] == counts | {"on": ["instance.preempting"], "failed": 1, "last": failed}
        waiting = {"state": "pending", "reason": None, "at": "2026-11-23T12:01:01Z", "event": event}
        assert hooks["log"] == counts | {"on": ["*"], "pending": 1, "last": waiting}

    on_socket(tmp_path, test)


def test_a_time_in_which_nobody_looked_is_told_until_it_was_looked_back_at(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        minute, late = timedelta(minutes=1), poll(3600, a_bid())
        record(api.database, late, (), host="here", window=lambda fid: None, pause=minute)
        (project,) = (await api.get("/status"))["projects"]
        assert project["unwatched"] == {"from": "2026-11-23T12:00:00Z", "to": "2026-11-23T13:00:00Z"}

    on_socket(tmp_path, test)


def test_fresh_record_says_that_it_knows_nothing_yet(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        api.config = replace(api.config, hooks=())
        answer = await api.get("/status")
        assert (answer["store"]["oldest_sequence"], answer["store"]["newest_sequence"]) == (None, None)
        assert (answer["hooks"], answer["prices"]) == ([], {"last_change_at": None})
        assert answer["projects"][0]["baseline_at"] is None
        assert "fkey_secret" not in str(answer)

    on_socket(tmp_path, test)


def test_answer_is_stale_after_three_polls_and_says_why(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        async def fresh() -> tuple[Any, ...]:
            answer = (await api.get("/bids"))["freshness"]
            return answer["as_of"], answer["age_seconds"], answer["stale"], answer["reason"]

        assert await fresh() == (None, None, True, "nothing has been polled yet")
        api.health.key = "missing"
        assert await fresh() == (None, None, True, "there is no API key")
        api.health.key = "ok"
        keep(api.database, poll(0, a_bid()))
        noon = "2026-11-23T12:00:00Z"
        api.clock.turn_to(15)
        assert await fresh() == (noon, 15.0, False, None)
        api.clock.turn_to(15.5)
        assert await fresh() == (noon, 15.5, True, "no poll has ended since then")
        api.health.last_error = "the marketplace does not answer (connection refused)"
        assert await fresh() == (noon, 15.5, True, api.health.last_error)
        api.clock.turn_to(-3600)  # a clock that was set back cannot tell an age
        assert await fresh() == (noon, None, True, api.health.last_error)
        api.health.last_error = None
        assert await fresh() == (noon, None, True, "the clock of this machine was set back")
        api.clock.turn_to(-1)  # a clock that is only being adjusted
        assert await fresh() == (noon, 0.0, False, None)

    on_socket(tmp_path, test)


def test_interval_that_grew_in_an_outage_excuses_nothing(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        api.health.usual, api.health.interval = 30.0, 300.0
        api.clock.turn_to(91)
        answer = (await api.get("/bids"))["freshness"]
        assert (answer["stale"], answer["interval_seconds"]) == (True, 300.0)

    on_socket(tmp_path, test)


def test_answer_is_as_old_as_its_oldest_project(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        other = Project("proj_other", "other")
        keep_projects(api.database, [PROJECT, other])
        keep(api.database, poll(0, a_bid()))
        assert (await api.get("/bids"))["freshness"]["as_of"] is None
        keep(api.database, poll(7, a_bid("bid_9", project=other.fid), project=other.fid))
        assert (await api.get("/bids"))["freshness"]["as_of"] == "2026-11-23T12:00:00Z"
        keep_projects(api.database, [other])  # what is no longer watched makes nothing older
        assert (await api.get("/bids"))["freshness"]["as_of"] == "2026-11-23T12:00:07Z"

    on_socket(tmp_path, test)


def test_haste_of_the_sandbox_does_not_make_an_answer_stale(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        api.health.usual = api.health.interval = 0.25
        for seconds, stale in ((1.5, False), (2.5, True)):
            api.clock.turn_to(seconds)
            assert (await api.get("/bids"))["freshness"]["stale"] is stale

    on_socket(tmp_path, test)


def test_every_answer_tells_the_version(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        for path in (*PATHS, "/nothing", "/bids/nothing", "/events?after=x", "/bids/nothing/history", "/bids/"):
            answer = await api.client.get(f"/v1{path}")
            assert answer.headers["mithrild-version"] == __version__
            assert answer.headers["content-type"] == "application/json"
            assert "server" not in answer.headers

    on_socket(tmp_path, test)


@pytest.mark.parametrize("header", ["Origin", "Referer", "origin"])
@pytest.mark.parametrize("path", ["/status", "/events/stream", "/nothing"])
def test_browser_is_refused(tmp_path: Path, header: str, path: str) -> None:
    async def test(api: Api) -> None:
        answer = await api.client.get(f"/v1{path}", headers={header: "http://localhost"})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "refused"
        assert header.title() in answer.json()["error"]["message"]

    on_socket(tmp_path, test)


def test_what_is_not_there_and_what_is_not_allowed_is_told_as_json(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        for path in ("/nothing", "/", "/events/stream/more"):
            status, error = await api.refused(path)
            assert (status, error["code"]) == (404, "not_found")
        answer = await api.client.post("/v1/instances")
        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "bad_request")

    on_socket(tmp_path, test)


def test_record_that_cannot_be_read_is_told_as_json_and_the_daemon_goes_on(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        sql(api.database, "ALTER TABLE bids RENAME TO elsewhere")
        for _ in range(20):  # more often than there are connections: none is lost
            status, error = await api.refused("/bids")
            assert (status, error["code"]) == (500, "internal")
            assert error["message"] == f"cannot read {api.database.path}: no such table: bids"
        sql(api.database, "ALTER TABLE elsewhere RENAME TO bids")
        assert (await api.get("/bids"))["bids"][0]["fid"] == "bid_1"

    on_socket(tmp_path, test)


def test_defect_of_ours_is_told_as_json_too(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        sql(api.database, "UPDATE bids SET instances = 'no json'")
        status, error = await api.refused("/bids")
        assert (status, error["code"]) == (500, "internal")
        assert "Traceback" not in error["message"]
        assert (await api.get("/events"))["events"] == []

    on_socket(tmp_path, test)


def test_read_beside_a_long_write_does_not_wait(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        with api.database.write():
            answers = await asyncio.gather(*(api.get("/bids") for _ in range(8)))
        assert all(len(answer["bids"]) == 1 for answer in answers)

    on_socket(tmp_path, test)


def test_zero_time_of_the_marketplace_is_kept_and_shown(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        zero = at(0).replace(year=1, month=1, day=1, hour=0)
        keep(api.database, poll(0, a_bid(status="Terminated", deactivated_at=zero)))
        assert (await api.get("/bids/bid_1"))["bid"]["deactivated_at"].endswith("1-01-01T00:00:00Z")

    on_socket(tmp_path, test)
