"""A backup asked for over the API, and what the API tells of how large the record is and what was dropped of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from mithrild.config import Keep
from mithrild.store.bounded import Dropped
from mithrild.store.inventory import keep_prices
from mithrild.store.retention import drop_transitions
from tests.integration.api_on_socket import Api, on_socket
from tests.integration.store_builders import STARTING, a_bid, an_auction, an_instance, at, keep, poll, sql, until

DAY = 86400


async def ended(api: Api) -> Any:
    """How the backups stand once none is under way."""
    await until(lambda: api.upkeep.backups.stage is None)
    return (await api.get("/backups"))["backups"]


def test_a_backup_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(0, a_bid()))
        answer = await api.client.post("/v1/backups")
        assert answer.status_code == 202
        begun = answer.json()
        assert begun["run"] == 1
        assert begun["backups"]["running"] is not None
        path = api.config.backup_folder / "mithrild-20261123T120000Z.db"
        backups = await ended(api)
        made = {"path": str(path), "taken_at": "2026-11-23T12:00:00Z", "bytes": path.stat().st_size}
        assert backups == {
            "folder": str(path.parent),
            "every_seconds": 86400.0,
            "keep": 7,
            "next_at": "2026-11-24T12:00:00Z",
            "run": 1,
            "running": None,
            "made": made,
            "error": None,
            "failed_at": None,
            "files": [made],
        }
        assert (await api.get("/status"))["backups"] == backups

    on_socket(tmp_path, test)


def test_a_backup_that_failed_says_why(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        api.config.backup_folder.parent.mkdir(parents=True, exist_ok=True)
        api.config.backup_folder.write_text("")
        await api.client.post("/v1/backups")
        backups = await ended(api)
        assert (backups["run"], backups["made"], backups["failed_at"]) == (1, None, "2026-11-23T12:00:00Z")
        assert "backups cannot be used" in backups["error"]

    on_socket(tmp_path, test)


def test_status_tells_how_large_the_record_is_and_what_was_dropped(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        keep(api.database, poll(-400 * DAY, a_bid(), an_instance()))
        keep(api.database, poll(-300 * DAY, an_instance(status=STARTING), whole=frozenset()))
        for number in range(9):
            keep_prices(api.database, [an_auction(cents=500 + number)], at(number - 10 * DAY))
        assert list(drop_transitions(api.database, at(-200 * DAY), Dropped()))
        api.config = replace(api.config, keep=Keep(transitions=timedelta(days=200)))
        history = await api.get("/bids/bid_1/history")
        assert "kept_since" not in history  # it was placed, as it says itself, after all that was dropped
        sql(api.database, "UPDATE bids SET created_at = '2025-01-01T00:00:00.000000Z'")
        assert (await api.get("/bids/bid_1/history"))["kept_since"] == "2025-10-19T12:00:01Z"
        await api.upkeep.run()
        await until(lambda: api.upkeep.backups.stage is None)
        store = (await api.get("/status"))["store"]
        growth = store["growth"]
        assert growth["bytes_each"] == round(growth["bytes"]["transitions"] / growth["transitions"])
        assert {
            name: growth[name] for name in ("measured_at", "estimated", "transitions", "oldest_at", "free_bytes")
        } == {
            "measured_at": "2026-11-23T12:00:00Z",
            "estimated": False,
            "transitions": 3,
            "oldest_at": "2025-10-19T12:00:01Z",
            "free_bytes": 0,
        }
        assert store["retention"] == {
            "keep_transitions_seconds": 200.0 * DAY,
            "dropped_before": "2025-10-19T12:00:01Z",
            "waits": None,
            "last": {
                "at": "2026-11-23T12:00:00Z",
                "words": "7 price samples",
                "transitions": 0,
                "things": 0,
                "outputs": 0,
                "output_bytes": 0,
                "prices": 7,
            },
        }

    on_socket(tmp_path, test)
