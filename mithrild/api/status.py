"""/v1/status: how the watch itself is doing."""

from __future__ import annotations

from sqlalchemy import RowMapping
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api import backups, watching
from mithrild.api.answers import Json, Parts, answer, freshness
from mithrild.fleet.event import stamp
from mithrild.store import deliveries, read
from mithrild.store.disk import Disk
from mithrild.store.engine import SCHEMA
from mithrild.wire import API_VERSION

SHOWN = ("pending", "running", "done", "skipped", "superseded", "cancelled")  # states of deliveries; FAILED are one


def show_status(parts: Parts, request: Request) -> Response:
    config, health = parts.config(), parts.health
    account = parts.database.account()
    with parts.database.read() as connection:
        fleet = read.live_counts(connection)
        projects = read.projects(connection)
        fresh = freshness(connection, parts)
        market = read.market_age(connection)
    with parts.database.read_kept() as connection:
        oldest, newest = read.bounds(connection)
        kept = backups.retention_view(connection, parts)
        tally = deliveries.tally(connection)
        latest = {
            hook.name: deliveries.listing(connection, hook=hook.name, rehearsals=False, limit=1)
            for hook in config.hooks
        }
    daemon = parts.daemon()
    store: Json = {
        "id": parts.database.id,
        "path": str(parts.database.path),
        "bytes": parts.database.path.stat().st_size,
        "wal_bytes": parts.database.wal_bytes(),
        "schema": SCHEMA,
        "oldest_sequence": oldest,
        "newest_sequence": newest,
        "growth": backups.growth_view(parts.upkeep.growth),
        "retention": kept,
    }
    hooks = []
    for hook in config.hooks:
        counts = tally.get(hook.name, {})
        last = next(iter(latest[hook.name]), None)
        hooks.append(
            {
                "name": hook.name,
                "on": list(hook.on),
                **{state: counts.get(state, 0) for state in SHOWN},
                "failed": counts.get("failed", 0) + counts.get("dead", 0) + counts.get("expired", 0),
                "last": None
                if last is None
                else {
                    "state": last["state"],
                    "reason": last["reason"],
                    "at": stamp(last["finished_at"] or last["created_at"]),
                    "event": last["event"],
                },
            }
        )
    return answer(
        {
            "api": API_VERSION,
            "store": store,
            "disk": _disk(parts.database.disk),
            "account": {"api_url": config.api_url, "organization": account.get("organization"), "user": health.user},
            "key": {"state": health.key, "source": config.key_source, "message": health.key_message},
            "freshness": fresh,
            "marketplace": {
                "reachable": health.reachable,
                "since": stamp(health.failing_since),
                "last_error": health.last_error,
            },
            "project": config.project,
            "projects": [_project(row) for row in projects],
            "polling": watching.polling(parts, daemon.pop("requests")),
            "auctions": watching.auctions(parts),
            "clock": watching.clock(health),
            "latency": watching.latency(parts.latencies.latest()),
            "prices": {"last_change_at": stamp(market)},
            "set_aside": {"items": health.set_aside, "last": health.last_set_aside},
            "fleet": fleet,
            "backups": backups.backups_view(parts.upkeep.backups),
            "hooks": hooks,
            **daemon,
        }
    )


def _project(row: RowMapping) -> Json:
    """`unwatched` is the time in which nobody looked, for as long as the marketplace is still to be asked what it
    remembers of it: until then the history of that time may lack something."""
    gap = {"from": stamp(row["gap_since"]), "to": stamp(row["gap_until"])} if row["gap_since"] else None
    return {
        "fid": row["fid"],
        "name": row["name"],
        "baseline_at": stamp(row["baseline_at"]),
        "last_complete_poll_at": stamp(row["polled_at"]),
        "unwatched": gap,
    }


def _disk(disk: Disk) -> Json:
    """`trouble` is null while all is written down at once. `held` is what is not, `reserve` what can be given up."""
    return {
        "trouble": disk.trouble,
        "since": stamp(disk.since),
        "message": disk.message,
        "held": {"transitions": disk.transitions, "deliveries": disk.deliveries, "results": disk.results},
        "reserve_bytes": disk.reserve,
    }
