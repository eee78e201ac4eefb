"""What people ask of hooks, over the real socket: lists, tries, again, silences, questions and rehearsals."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mithrild.config import load
from mithrild.store import outbox, switches
from mithrild.store.outbox import Outcome
from tests.integration.api_on_socket import Api, on_socket
from tests.integration.store_builders import (
    PREEMPTING,
    RUNNING,
    STARTING,
    a_bid,
    an_instance,
    at,
    deliveries,
    keep,
    poll,
    settle_one,
    sql,
)

HOOKS = """
[[hooks]]
name = "save"
on = ["instance.preempting"]
match = { bid = "name-*", remaining = ">30s" }
run = ["/bin/true"]
webhook = "http://127.0.0.1:9/x"

[[hooks]]
name = "tell"
on = ["*", "!*.new"]
notify = ["json://127.0.0.1:9/x"]
quiet = "12:00-13:00 UTC"

[[hooks]]
name = "far"
on = ["*.preempting"]
match = { region = "eu-*" }
when = "first"
run = ["/bin/true"]
"""
FLEET = (a_bid(), an_instance("inst_1"), an_instance("inst_2"))


def asking(folder: Path, test: Callable[[Api], Awaitable[None]]) -> None:
    async def filled(api: Api) -> None:
        (folder / "hooks.toml").write_text(HOOKS)
        env = {"HOME": str(folder), "MITHRIL_API_KEY": "fkey_secret", "MITHRIL_API_URL": "https://api.example.org"}
        api.config = load(folder / "hooks.toml", env)
        keep(api.database, poll(0, *FLEET))
        see(api, 10, inst_1=STARTING)
        await test(api)

    on_socket(folder, filled)


def see(api: Api, seconds: float, deadline: float = 600, **status: str) -> str:
    """A poll in which some instances have a status; the id of the event of the last step."""
    machines = [an_instance(fid, status.get(fid, RUNNING)) for fid in ("inst_1", "inst_2")]
    deadlines = dict.fromkeys(("inst_1", "inst_2"), at(deadline))
    keep(api.database, poll(seconds, a_bid(), *machines, deadlines=deadlines), [one.rule() for one in api.config.hooks])
    api.clock.turn_to(seconds + 1)
    return str(sql(api.database, "SELECT id FROM events ORDER BY sequence DESC LIMIT 1")[0][0])


def tried(api: Api, seconds: float, outcome: Outcome, lane: outbox.Lane = ("save", "run")) -> str:
    """The next delivery of a lane has a try that ends like this. Its id."""
    (one,) = outbox.claim(api.database, lane, free=1, max_age=None, run="run_1", now=at(seconds))
    settle_one(api.database, one, outcome, run="run_1", now=at(seconds + 2))
    return one.id


async def ask(api: Api, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    answer = await api.client.request(method, f"/v1{path}", json=body)
    return answer.status_code, answer.json()


async def refused(api: Api, method: str, path: str, body: Any = None) -> str:
    status, told = await ask(api, method, path, body)
    assert status in (400, 404, 409), told
    return str(told["error"]["message"])


def test_hooks_are_listed_with_what_keeps_them_still_and_how_they_do(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        see(api, 20, inst_1=PREEMPTING)
        see(api, 30, inst_1=PREEMPTING, inst_2=PREEMPTING)
        tried(api, 31, Outcome("done", "done"))
        failed = tried(api, 33, Outcome("failed", "failed", reason="exit code 3", exit_code=3))
        off = switches.Off(at(34), "410 Gone", api.config.hooks[0].mark("webhook"))
        with api.database.write() as connection:
            switches.switch_off(connection, ("save", "webhook"), off)
        await ask(api, "POST", "/silences", {"pattern": "name-*", "until": "2026-11-23T20:00:00Z"})
        save, tell, far = (await api.get("/hooks"))["hooks"]
        assert save["match"] == {"bid": "name-*", "remaining": ">30s"}
        assert save["actions"] == [
            {"name": "run", "off": None},
            {"name": "webhook", "off": {"at": "2026-11-23T12:00:34Z", "reason": "410 Gone"}},
        ]
        # Its webhook's two were silenced while they waited.
        assert {state: count for state, count in save["counts"].items() if count} == {
            "done": 1,
            "failed": 1,
            "skipped": 2,
        }
        assert (save["success_rate"], save["silenced"], save["quiet"]) == (0.5, ["name-*"], None)
        assert save["last"]["delivery"] in (failed, *(one for (one,) in deliveries(api.database, "id")))
        assert (tell["quiet"], tell["quiet_now"], tell["counts"]["skipped"]) == ("12:00-13:00 UTC", True, 3)
        assert (far["when"], far["last"], far["success_rate"]) == ("first", None, None)
        assert await ask(api, "POST", "/hooks/save/enable") == (200, {"hook": "save", "enabled": ["webhook"]})
        assert await ask(api, "POST", "/hooks/save/enable") == (200, {"hook": "save", "enabled": []})
        assert await refused(api, "POST", "/hooks/sav/enable") == "no hook is called 'sav' (did you mean save?)"

    asking(tmp_path, test)


def test_a_delivery_is_shown_with_every_try_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        event = see(api, 20, inst_1=PREEMPTING)
        again = Outcome("pending", "retry", reason="exit code 75", exit_code=75, output="busy\n", next_at=at(60))
        id = tried(api, 30, again)
        assert tried(api, 60, Outcome("failed", "failed", reason="exit code 3", exit_code=3, output="no\n")) == id
        told = await api.get(f"/deliveries/{id[:12]}")
        assert told["event"]["id"] == event
        shown = told["delivery"]
        assert (shown["id"], shown["state"], shown["attempts"]) == (id, "failed", 2)
        assert (shown["instance_name"], shown["remaining_seconds"]) == ("name-of-inst_1", 540.0)
        assert [
            (one["number"], one["remaining_seconds"], one["outcome"], one["exit_code"], one["output"])
            for one in shown["tries"]
        ] == [(1, 570.0, "retry", 75, "busy\n"), (2, 540.0, "failed", 3, "no\n")]
        assert (await api.refused("/deliveries/dlv_"))[0] == 404
        assert (await api.refused("/deliveries/dlv_%25"))[0] == 404
        for state, found in (("failed", [id]), ("done", [])):
            assert [one["id"] for one in (await api.get("/deliveries", state=state))["deliveries"]] == found
        assert [one["id"] for one in (await api.get("/deliveries", failed=1))["deliveries"]] == [id]
        assert (await api.get("/deliveries", failed=1, ended_since="2026-11-23T12:01:03Z"))["deliveries"] == []
        assert "unknown state 'lost'" in (await api.refused("/deliveries", state="lost"))[1]["message"]

    asking(tmp_path, test)


@pytest.mark.parametrize(
    "ended",
    [
        Outcome("failed", "failed", reason="exit code 3"),
        Outcome("dead", "retry", reason="that was try 10 of 10"),
        Outcome("expired", "retry", reason="its deadline leaves no time for another try"),
        Outcome("pending", "retry", reason="exit code 75", next_at=at(300)),
    ],
)
def test_what_came_to_nothing_runs_again_under_its_id_however_late(tmp_path: Path, ended: Outcome) -> None:
    async def test(api: Api) -> None:
        see(api, 20, deadline=100, inst_1=PREEMPTING)
        id = tried(api, 30, ended)
        see(api, 90, deadline=100, inst_1=PREEMPTING)
        api.clock.turn_to(3600)
        assert await ask(api, "POST", "/deliveries/retry", {"deliveries": [id[:12]]}) == (200, {"deliveries": [id]})
        assert api.wakes == [None]
        (claim,) = outbox.claim(
            api.database,
            ("save", "run"),
            free=1,
            max_age=None,
            run="run_1",
            now=at(3600),
            rule=api.config.hooks[0].rule(),
        )
        assert (claim.id, claim.number, claim.tries) == (id, 2, 1)

    asking(tmp_path, test)


def test_what_did_not_fail_is_not_retried_and_none_is_if_one_cannot_be(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        see(api, 20, inst_1=PREEMPTING)
        see(api, 30, inst_1=PREEMPTING, inst_2=PREEMPTING)
        failed, done = tried(api, 31, Outcome("failed", "failed")), tried(api, 33, Outcome("done", "done"))
        said = await refused(api, "POST", "/deliveries/retry", {"deliveries": [failed, done]})
        assert f"{done} has not failed, it is done; `ml hooks replay" in said
        assert (failed, "failed") in deliveries(api.database, "id, state")
        (running,) = outbox.claim(api.database, ("save", "webhook"), free=1, max_age=None, run="run_1", now=at(40))
        said = await refused(api, "POST", "/deliveries/retry", {"deliveries": [running.id]})
        assert said == f"{running.id} is running at this moment"
        api.config = (
            load(Path(api.config.file).with_name("none.toml").with_suffix(".empty"), {}) if False else api.config
        )
        assert "no delivery 'dlv_nowhere'" in await refused(
            api, "POST", "/deliveries/retry", {"deliveries": ["dlv_nowhere"]}
        )
        assert not api.wakes

    asking(tmp_path, test)


def test_an_event_is_replayed_as_it_was_for_those_who_take_it(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        event = see(api, 20, inst_1=PREEMPTING)
        done = tried(api, 31, Outcome("done", "done"))
        before = sql(api.database, "SELECT body FROM events")
        api.clock.turn_to(7200)
        status, told = await ask(api, "POST", f"/events/{event}/replay", {})
        assert status == 200
        of_event = f"SELECT id FROM deliveries WHERE sequence = {event.rpartition('_')[2]}"
        assert {one["id"] for one in told["deliveries"]} == {id for (id,) in sql(api.database, of_event)}
        assert all(one["queued"] for one in told["deliveries"])
        assert sql(api.database, "SELECT body FROM events") == before
        (claim,) = outbox.claim(api.database, ("save", "run"), free=1, max_age=None, run="run_1", now=at(7200))
        assert (claim.id, claim.number) == (done, 2)
        # One that has it at this moment is left alone; by its number, and for one hook.
        status, told = await ask(api, "POST", f"/events/{event.rpartition('_')[2]}/replay", {"hook": "save"})
        assert {one["id"]: one["queued"] for one in told["deliveries"]}[done] is False
        assert await refused(api, "POST", f"/events/{event}/replay", {"hook": "far"}) == (
            'far does not take this event: match.region: "eu-*" does not match "us-central1-b"'
        )
        assert "there is no event 'evt_x'" in await refused(api, "POST", "/events/evt_x/replay", {})

    asking(tmp_path, test)


def test_a_hook_that_was_not_there_gets_an_event_under_the_id_that_it_would_have_had(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        hooks = api.config.hooks
        api.config = load(None, {"HOME": str(tmp_path / "nowhere")})
        event = see(api, 20, inst_1=PREEMPTING)
        assert deliveries(api.database, "id")[1:] == []
        object.__setattr__(api.config, "hooks", hooks)
        told = (await api.get(f"/events/{event}/explain"))["hooks"]
        assert {(one["hook"], one["verdict"]) for one in told} == {("save", "no"), ("tell", "no"), ("far", "no")}
        assert told[0]["reason"].startswith("would run now")
        status, told = await ask(api, "POST", f"/events/{event}/replay", {"hook": "save"})
        assert status == 200
        assert deliveries(api.database, "hook, action, state, by_hand, notice IS NULL")[1:] == [
            ("save", "run", "pending", 1, 0),
            ("save", "webhook", "pending", 1, 0),
        ]

    asking(tmp_path, test)


def test_every_hook_is_accounted_for_when_an_event_is_questioned(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        event = see(api, 20, inst_1=PREEMPTING)
        id = tried(api, 31, Outcome("failed", "failed", reason="exit code 3"))
        answer = await api.get(f"/events/{event}/explain")
        assert (answer["event"]["id"], answer["imagined"]) == (event, False)
        assert [(one["hook"], one["action"], one["verdict"], one["reason"]) for one in answer["hooks"]] == [
            ("save", "run", "failed", "exit code 3"),
            ("save", "webhook", "pending", None),
            ("tell", "notify", "skipped", "quiet hours, 12:00-13:00 UTC"),
            ("far", None, "no", 'match.region: "eu-*" does not match "us-central1-b"'),
        ]
        assert answer["hooks"][0]["delivery"] == id
        reason = (await api.refused("/events/99/explain"))[1]["message"]
        assert "there is no event '99'" in reason

    asking(tmp_path, test)


def test_what_might_come_is_questioned_too_and_leaves_no_trace(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        before = sql(api.database, "SELECT count(*) FROM transitions")
        await ask(api, "POST", "/silences", {"pattern": "*", "hook": "tell", "until": "2026-11-23T20:00:00Z"})
        answer = await api.get("/explain", type="instance.preempting", bid="name-of-bid_1")
        assert answer["event"]["data"]["provenance"] == "observed"
        assert [(one["hook"], one["action"], one["verdict"], one["reason"]) for one in answer["hooks"]] == [
            ("save", "run", "run", None),
            ("save", "webhook", "run", None),
            ("tell", None, "skip", "silence 1: *"),
            ("far", None, "no", 'match.region: "eu-*" does not match "us-central1-b"'),
        ]
        example = await api.get("/explain", type="bid.placed")
        assert example["hooks"][0]["reason"] == "on: no pattern takes in bid.placed"
        assert sql(api.database, "SELECT count(*) FROM transitions") == before
        for query, words in (
            ({"type": "instance.preemting"}, "did you mean instance.preempting"),
            ({"type": "nothing"}, "types begin with"),
            ({"bid": "nobody"}, "no bid on record is called 'nobody'"),
            ({"type": "cluster.pending", "bid": "name-of-bid_1"}, "belongs to no cluster"),
        ):
            assert words in (await api.refused("/explain", **query))[1]["message"]

    asking(tmp_path, test)


def test_silences_begin_and_end(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        body = {"pattern": "train-*", "hook": "save", "until": "2026-11-23T14:00:00+01:00"}
        status, told = await ask(api, "POST", "/silences", body)
        assert (status, told["held"]) == (201, 0)
        assert told["silence"] == {
            "id": 1,
            "pattern": "train-*",
            "hook": "save",
            "begun_at": "2026-11-23T12:00:11Z",
            "until": "2026-11-23T13:00:00Z",
            "holds": True,
        }
        assert (await api.get("/silences"))["silences"] == [told["silence"]]
        assert (await ask(api, "DELETE", "/silences/train-%2A"))[0] == 200
        assert (await api.get("/silences"))["silences"] == []
        assert [one["holds"] for one in (await api.get("/silences", all=1))["silences"]] == [False]
        assert "no silence that holds is 'train-*'" in await refused(api, "DELETE", "/silences/train-%2A")
        for more, words in (
            ({"hook": "nobody"}, "no hook is called 'nobody' (there are: save, tell, far)"),
            ({"until": "2026-11-23T11:00:00Z"}, "until must be a time to come"),
            ({"until": "2030-11-23T11:00:00Z"}, "within a year"),
            ({"until": "soon"}, "until must be a time such as"),
            ({"patern": "x"}, "patern"),
        ):
            assert words in await refused(api, "POST", "/silences", body | more)

    asking(tmp_path, test)


def test_a_test_is_of_one_hook_whatever_it_asks_for_and_says_what_that_is(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        status, told = await ask(api, "POST", "/hooks/far/test", {"bid": "name-of-bid_1"})
        assert (status, told["type"]) == (201, "instance.preempting")
        assert told["note"] == 'match.region: "eu-*" does not match "us-central1-b"'
        (delivery,) = (await api.get("/deliveries", rehearsal=told["test"]))["deliveries"]
        assert [delivery["id"]] == told["deliveries"]
        assert (delivery["hook"], delivery["state"], delivery["subject"]) == ("far", "pending", "inst_1")
        assert api.wakes == [None]
        (body,) = sql(api.database, "SELECT body FROM events WHERE id = ?", told["event"])[0]
        data = json.loads(body)["data"]
        assert (data["provenance"], data["instance"]["name"], data["bid"]["status"]) == (
            "simulated",
            "name-of-inst_1",
            "allocated",
        )
        _, told = await ask(api, "POST", "/hooks/tell/test", {"type": "hook.dead"})
        assert told["note"] == "on: no pattern takes in hook.dead"
        (body,) = sql(api.database, "SELECT body FROM events WHERE id = ?", told["event"])[0]
        assert json.loads(body)["data"]["hook"]["name"] == "tell"
        _, told = await ask(api, "POST", "/hooks/tell/test", {"type": "bid.gone"})
        assert told["note"] == "quiet hours, 12:00-13:00 UTC"
        assert deliveries(api.database, "hook, state")[-1] == ("tell", "pending")
        assert [event["type"] for event in (await api.get("/events"))["events"]] == ["instance.starting"]
        assert len((await api.get("/events", simulated=1))["events"]) == 4
        again = {"deliveries": told["deliveries"]}
        assert "was a rehearsal" in await refused(api, "POST", "/deliveries/retry", again)
        assert "was a rehearsal" in await refused(api, "POST", f"/events/{told['event']}/replay", {})

    asking(tmp_path, test)


def test_a_drill_is_begun_ended_and_interrupted(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        see(api, 20)
        fleet_before = sql(api.database, "SELECT * FROM bids"), sql(api.database, "SELECT * FROM instances")
        status, told = await ask(api, "POST", "/drills", {"bid": "name-of-bid_1", "notice_seconds": 120})
        drill = told["drill"]
        assert (status, told["instances"], len(told["events"])) == (201, ["name-of-inst_1", "name-of-inst_2"], 3)
        assert (told["began_at"], told["deadline"]) == ("2026-11-23T12:00:21Z", "2026-11-23T12:02:21Z")
        queued = (await api.get("/deliveries", rehearsal=drill))["deliveries"]
        assert sorted((one["hook"], one["action"], one["state"]) for one in queued) == [
            *[("save", "run", "pending")] * 2,
            *[("save", "webhook", "pending")] * 2,
            *[("tell", "notify", "skipped")] * 3,
        ]
        api.clock.turn_to(142)
        status, told = await ask(api, "POST", f"/drills/{drill}/end", {"how": "reprieved"})
        assert (status, len(told["events"])) == (200, 3)
        states = {one["state"] for one in (await api.get("/deliveries", rehearsal=drill))["deliveries"]}
        assert states == {"superseded", "skipped"}
        assert "no drill" in await refused(api, "POST", f"/drills/{drill}/end", {})
        _, told = await ask(api, "POST", "/drills", {"bid": "name-of-bid_1"})
        ended = {"drill": told["drill"], "superseded": 4, "ended": 0}
        assert await ask(api, "DELETE", f"/drills/{told['drill']}") == (200, ended)
        assert (sql(api.database, "SELECT * FROM bids"), sql(api.database, "SELECT * FROM instances")) == fleet_before
        assert all(not hook["counts"]["superseded"] for hook in (await api.get("/hooks"))["hooks"])

    asking(tmp_path, test)


def test_no_drill_where_there_is_nothing_to_preempt_or_a_notice_in_earnest(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        async def told(bid: str, seconds: int = 300) -> str:
            return await refused(api, "POST", "/drills", {"bid": bid, "notice_seconds": seconds})

        keep(api.database, poll(11, *FLEET, a_bid("bid_2", "Open"), a_bid("bid_3", "Terminated")))
        assert "has no instances" in await told("bid_2")
        assert "has ended already" in await told("bid_3")
        assert "no bid on record" in await told("nobody")
        assert "notice_seconds" in await told("bid_1", 0)
        see(api, 20, inst_2=PREEMPTING)
        assert "under notice in earnest" in await told("bid_1")

    asking(tmp_path, test)
