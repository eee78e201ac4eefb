"""When the client tries again, and what it makes of keys, addresses and proxies."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from mithrild.errors import (
    BrokenAnswer,
    ConfigError,
    KeyRefused,
    MarketplaceError,
    NotFound,
    RequestRefused,
    Unreachable,
)
from mithrild.marketplace.budget import RequestBudget
from mithrild.marketplace.client import Marketplace, Tickets
from tests.integration.marketplace_server import KEY, HandClock, Reply, Request, Server, ask, bid

# Second tries


def test_a_read_is_tried_three_times() -> None:
    clock, asked = HandClock(), list[Request]()
    replies = [Reply({}, 503), Reply({}, 429), Reply(bid("bid_1", project="p"))]
    seen = ask(replies, lambda client: client.bid("bid_1"), clock=clock, asked=asked)
    assert seen.ticket == 3  # of the request that was answered
    assert len(clock.slept) == 2
    assert 0 < sum(clock.slept) <= 3
    with pytest.raises(Unreachable, match=r"cannot answer now \(502\): tired"):
        ask([Reply({"detail": "tired"}, 502)] * 3, lambda client: client.me())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, KeyRefused), (404, NotFound), (422, RequestRefused), (501, RequestRefused), (302, BrokenAnswer)],
)
def test_what_trying_again_cannot_help_is_tried_once(status: int, kind: type[MarketplaceError]) -> None:
    asked: list[Request] = []
    with pytest.raises(kind):
        ask([Reply({}, status)] * 3, lambda client: client.me(), asked=asked)
    assert len(asked) == 1


def test_an_urgent_question_is_asked_once() -> None:
    asked: list[Request] = []
    with pytest.raises(Unreachable):
        ask([Reply({}, 503)], lambda client: client.instance_status("inst_1", urgent=True), asked=asked)
    assert len(asked) == 1


def test_a_short_retry_after_is_obeyed() -> None:
    clock = HandClock()
    replies = [Reply({}, 429, {"Retry-After": "4"}), Reply([])]
    assert ask(replies, lambda client: client.projects(), clock=clock) == ()
    assert clock.slept == [4]


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "60"},
        # By the marketplace's own clock, which is a day ahead of ours.
        {"Retry-After": "Tue, 02 Jan 2024 12:01:00 GMT", "Date": "Tue, 02 Jan 2024 12:00:00 GMT"},
    ],
)
def test_a_long_retry_after_is_handed_on(headers: dict[str, str]) -> None:
    asked: list[Request] = []
    with pytest.raises(Unreachable) as caught:
        ask([Reply({}, 503, headers)], lambda client: client.projects(), asked=asked)
    assert caught.value.retry_after == 60
    assert len(asked) == 1


@pytest.mark.parametrize(("status", "others"), [(503, 1), (429, 0)])
def test_until_a_pause_is_over_nothing_is_sent_that_it_forbids(status: int, others: int) -> None:
    """503 speaks of what was asked for, 429 of all that we ask."""
    clock, asked = HandClock(), list[Request]()

    async def question(client: Marketplace) -> None:
        for _ in range(2):
            with pytest.raises(Unreachable, match=str(status)) as caught:
                await client.projects()
            assert caught.value.retry_after == 60 - sum(clock.slept)
            await clock.sleep(20)
        if others:
            await client.teammates()
        else:
            with pytest.raises(Unreachable):
                await client.teammates()
        with pytest.raises(Unreachable):
            await client.projects()
        await clock.sleep(17)
        await client.projects()  # three seconds are left: they are waited for
        assert sum(clock.slept) == 60

    replies = [Reply({}, status, {"Retry-After": "60"}), *[Reply([])] * (1 + others)]
    ask(replies, question, clock=clock, asked=asked)
    assert len(asked) == 2 + others


def test_the_skew_comes_from_the_date() -> None:
    async def question(client: Marketplace) -> list[timedelta | None]:
        skews = [client.skew]
        for _ in range(3):
            await client.projects()
            skews.append(client.skew)
        return skews

    date = Reply([], headers={"Date": "Mon, 01 Jan 2024 12:00:07 GMT"})
    replies = [date, Reply([], headers={"Date": "once upon a time"}), Reply([])]
    assert ask(replies, question) == [None, *[timedelta(seconds=7.5)] * 3], "a Date leaves out the fraction"


# The key, the address, the proxy


@pytest.mark.parametrize("key", [None, "", "  ", "fkey_a\nb", "fkey_é", "fkey a"])
def test_without_a_usable_key_nothing_is_sent(key: str | None) -> None:
    asked: list[Request] = []
    with pytest.raises(KeyRefused, match="MITHRIL_API_KEY") as caught:
        ask([], lambda client: client.me(), key=key, asked=asked)
    assert asked == []
    assert "fkey" not in str(caught.value)


def test_a_new_key_is_used_from_the_next_request_on() -> None:
    asked: list[Request] = []

    async def question(client: Marketplace) -> None:
        await client.projects()
        client.use_key(SecretStr("fkey_new"))
        await client.projects()
        client.use_key(None)
        with pytest.raises(KeyRefused):
            await client.projects()

    ask([Reply([])] * 2, question, asked=asked)
    assert [request.headers["authorization"] for request in asked] == [f"bearer {KEY}", "bearer fkey_new"]


def marketplace(url: str) -> Marketplace:
    clock = HandClock()
    return Marketplace(url, SecretStr(KEY), clock=clock, tickets=Tickets(), budget=RequestBudget(clock))


@pytest.mark.parametrize("url", ["", "api.mithril.ai", "ftp://x", "http://", "http://a b/\x00"])
def test_an_address_that_is_none_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match="api_url"):
        marketplace(url)


def test_the_address_may_end_in_a_slash_or_the_version_and_hold_no_user() -> None:
    asked: list[Request] = []

    async def main() -> None:
        async with Server(lambda _: Reply([])) as server:
            for url in ("{}/", "{}/v2", "{}/v2/", "{}/?a=b#c"):
                client = marketplace(url.format(server.url.replace("//", "//me:password@")))
                assert await client.projects() == ()
                await client.aclose()
            asked.extend(server.asked)

    asyncio.run(main())
    assert {(request.path, request.headers["authorization"]) for request in asked} == {
        ("/v2/projects", f"bearer {KEY}")
    }


def test_loopback_goes_past_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing listens there
    assert ask([Reply([])], lambda client: client.projects()) == ()


def test_a_proxy_that_cannot_be_used_is_a_matter_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://me:hunter2@example.org")
    with pytest.raises(ConfigError, match="ALL_PROXY") as caught:
        marketplace("https://api.example.org")
    assert "hunter2" not in str(caught.value)
