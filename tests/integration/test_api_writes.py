"""What changes something, over the real socket: what reaches the desk, and how its answers and errors are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mithrild.errors import AnswerLost, KeyRefused, MarketplaceError, NotFound, RequestRefused, Unreachable
from mithrild.fleet.model import SshKey
from mithrild.fleet.order import NameTaken, NoSuch, Order, Plan, Unfit, Wish
from mithrild.store.inventory import keep_projects
from mithrild.wire import ERROR_EXITS
from tests.integration.api_on_socket import Api, on_socket
from tests.integration.store_builders import PROJECT, a_bid, a_cluster, keep, poll

WISH = {"name": "new", "instance_type": "8xb200", "region": "us-central5-a", "limit_price": "$8.50"}
ORDER = Order(PROJECT.fid, "new", "it_b200", "us-central5-a", 850, 1, ssh_keys=("sshkey_1",))


async def ask(api: Api, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    answer = await api.client.request(method, f"/v1{path}", json=body)
    return answer.status_code, answer.json()


def test_a_wish_reaches_the_desk_in_the_words_of_the_person(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        api.desk.plan.return_value = Plan(ORDER, None, ["it is dear"])
        api.desk.place.return_value = (a_bid("bid_2", "Open", name="new"), True)
        more = {"quantity": 2, "ssh_keys": ["laptop"], "public_keys": ["ssh-rsa A"], "startup_script": "#!/bin/sh\n"}
        status, told = await ask(api, "POST", "/bids", WISH | more)
        assert status == 201
        assert (told["bid"]["name"], told["warnings"], told["adopted"]) == ("new", ["it is dear"], True)
        (wish,) = api.desk.plan.await_args.args
        assert wish == Wish(
            PROJECT.fid, "new", "8xb200", "us-central5-a", "$8.50", 2,
            ssh_keys=("laptop",), public_keys=("ssh-rsa A",), startup_script="#!/bin/sh\n",
        )  # fmt: skip
        api.desk.place.assert_awaited_once_with(ORDER)

    on_socket(tmp_path, test)


def test_a_dry_run_places_nothing(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        api.desk.plan.return_value = Plan(ORDER, None)
        status, told = await ask(api, "POST", "/bids", WISH | {"dry_run": True})
        assert status == 200
        assert (told["plan"]["name"], told["plan"]["limit_price"], told["warnings"]) == ("new", "$8.50", [])
        api.desk.place.assert_not_awaited()

    on_socket(tmp_path, test)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "Invalid JSON"),
        ([], "should be an object"),
        ({**WISH, "name": ""}, "name: it is empty"),
        ({**WISH, "region": "x" * 1001}, "region: it is longer than 1000 characters"),
        ({**WISH, "quantity": 0}, "quantity: "),
        ({**WISH, "quantity": 10_001}, "quantity: it is more than 10000"),
        ({**WISH, "quantity": "2"}, "quantity: "),
        ({**WISH, "limit_price": 8}, "limit_price: "),
        ({**WISH, "colour": "red"}, "colour: "),
        ({key: value for key, value in WISH.items() if key != "region"}, "region: "),
        ({**WISH, "startup_script": "x" * 2**20}, "longer than 1 MiB"),
    ],
)
def test_a_body_that_cannot_be_read_is_told_by_its_field(tmp_path: Path, body: Any, said: str) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        status, told = await ask(api, "POST", "/bids", body)
        assert (status, told["error"]["code"]) == (400, "bad_request")
        assert said in told["error"]["message"]
        api.desk.plan.assert_not_awaited()

    on_socket(tmp_path, test)


@pytest.mark.parametrize(
    ("error", "status", "code", "exit_code"),
    [
        (Unfit("not in this region", ["a", "b"], "type"), 400, "bad_request", 2),
        (NoSuch("no such type", ["a", "b"], "type"), 404, "not_found", 6),
        (NameTaken("taken"), 409, "conflict", 7),
        (Unreachable("away"), 502, "marketplace_away", 4),
        (AnswerLost("lost"), 504, "outcome_unknown", 4),
        (KeyRefused("refused"), 502, "key_refused", 5),
        (NotFound("gone"), 404, "not_found", 6),
        (RequestRefused("no", 409), 502, "marketplace_refused", 7),
        (MarketplaceError("odd"), 502, "marketplace_away", 4),
    ],
)
def test_each_error_has_its_code_and_its_exit(
    tmp_path: Path, error: Exception, status: int, code: str, exit_code: int
) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        api.desk.plan.side_effect = error
        answered, told = await ask(api, "POST", "/bids", WISH)
        assert (answered, told["error"]["code"], told["error"]["message"]) == (status, code, str(error))
        assert ERROR_EXITS[code] == exit_code
        if isinstance(error, Unfit):
            assert (told["error"]["choices"], told["error"]["what"]) == (list(error.choices), error.what)

    on_socket(tmp_path, test)


def test_a_bid_is_changed_and_cancelled_by_name(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        held = a_bid(name="a/b c")
        keep(api.database, poll(0, held))
        api.desk.change.return_value = api.desk.cancel.return_value = held
        assert (await ask(api, "PATCH", "/bids/a%2Fb%20c", {"limit_price": "9", "paused": False}))[0] == 200
        api.desk.change.assert_awaited_once_with(held, limit_cents=900, paused=False)
        assert (await ask(api, "DELETE", "/bids/a%2Fb%20c"))[0] == 200
        api.desk.cancel.assert_awaited_once_with(held)
        for body in ({}, {"limit_price": "NaN"}, {"paused": "yes"}):
            assert (await ask(api, "PATCH", "/bids/a%2Fb%20c", body))[0] == 400
        assert (await ask(api, "DELETE", "/bids/nobody"))[1]["error"]["code"] == "not_found"

    on_socket(tmp_path, test)


def test_what_has_ended_is_not_changed_any_more(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid(status="Terminated")))
        for method, body in (("PATCH", {"paused": True}), ("DELETE", None)):
            status, told = await ask(api, method, "/bids/bid_1", body)
            assert (status, told["error"]["code"]) == (409, "conflict")

    on_socket(tmp_path, test)


def test_a_join_command_is_told_only_when_it_is_asked_for_and_never_kept(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        secret = "kubeadm join --token abcdef"
        keep(api.database, poll(0, a_cluster(name="kube", ssh_keys=("sshkey_1",))))
        api.health.key = "ok"
        api.desk.join_command.return_value = SecretStr(secret)
        api.desk.ssh_keys.return_value = (SshKey("sshkey_1", "laptop", PROJECT.fid, "ssh-rsa A"),)
        shown = await api.get("/clusters/kube")
        assert shown["cluster"]["join_command"] is None
        api.desk.join_command.assert_not_awaited()
        assert (await api.get("/clusters/kube", join=1))["cluster"]["join_command"] == secret
        assert (await api.get("/clusters"))["clusters"][0]["join_command"] is None
        api.desk.ssh_keys.side_effect = Unreachable("away")
        assert (await api.get("/clusters/kube"))["cluster"]["name"] == "kube"
        for file in api.database.path.parent.iterdir():
            assert secret.encode() not in file.read_bytes()
        status, error = await api.refused("/clusters/nothing")
        assert (status, error["code"]) == (404, "not_found")

    on_socket(tmp_path, test)


def test_before_the_first_look_nobody_says_that_a_thing_is_not_there(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        api.archive.find.side_effect = Unreachable("no route")
        for path in ("/bids/train", "/clusters/kube"):
            status, error = await api.refused(path)
            assert (status, error["code"]) == (502, "marketplace_away")
        api.health.key, api.health.key_message = "refused", "401"
        api.archive.find.side_effect = KeyRefused("401")
        for path in ("/bids/train", "/clusters/kube"):
            status, error = await api.refused(path)
            assert (status, error["code"]) == (502, "key_refused")
            assert error["message"].endswith("401")
        keep(api.database, poll(0, a_bid()))
        api.archive.find.side_effect = None
        assert (await api.refused("/bids/train"))[1]["code"] == "not_found"

    on_socket(tmp_path, test)


def test_before_any_project_is_known_there_is_nobody_to_ask(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep_projects(api.database, [])
        status, error = await api.refused("/bids/train")
        assert (status, error["code"]) == (502, "marketplace_away")
        assert "nothing is known yet" in error["message"]
        api.archive.find.assert_not_awaited()

    on_socket(tmp_path, test)


def test_whoever_waits_has_an_idle_fleet_looked_at(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        await api.get("/bids/bid_1")
        api.desk.somebody_waits.assert_not_called()
        await api.get("/bids/bid_1", waiting=1)
        api.desk.somebody_waits.assert_called_once_with()

    on_socket(tmp_path, test)
