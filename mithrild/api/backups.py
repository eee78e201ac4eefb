"""/v1/backups, and what `/v1/status` tells of the record's upkeep."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from mithrild.api.answers import Json, Parts, answer
from mithrild.fleet.event import stamp
from mithrild.store import retention
from mithrild.store.backup import Backup, BackupState
from mithrild.store.growth import Growth
from mithrild.store.reach import reach


def list_backups(parts: Parts, request: Request) -> Response:
    return answer({"backups": backups_view(parts.upkeep.backups)})


async def make_backup(parts: Parts, request: Request) -> Response:
    """Begins one, or joins the one under way. It has ended once `running` is null, or another `run` is shown."""
    run = parts.upkeep.back_up()
    return answer({"run": run, "backups": backups_view(parts.upkeep.backups)}, 202)


def backups_view(state: BackupState) -> Json:
    return {
        "folder": str(state.folder),
        "every_seconds": state.every.total_seconds() if state.every else None,
        "keep": state.keep,
        "next_at": stamp(state.next_at),
        "run": state.run,
        "running": None if state.stage is None else {"stage": state.stage, "share": state.share},
        "made": _file(state.made) if state.made else None,
        "error": state.error,
        "failed_at": stamp(state.failed_at),
        "files": [_file(one) for one in state.held],
    }


def _file(one: Backup) -> Json:
    return {"path": str(one.path), "taken_at": stamp(one.taken_at), "bytes": one.bytes}


def growth_view(growth: Growth | None) -> Json | None:
    if growth is None:
        return None
    return {
        "measured_at": stamp(growth.measured_at),
        "estimated": growth.estimated,
        "transitions": growth.transitions,
        "bytes_each": growth.bytes_each,
        "bytes": growth.bytes,
        "free_bytes": growth.free_bytes,
        "oldest_at": stamp(growth.oldest_at),
    }


def retention_view(connection: Connection, parts: Parts) -> Json:
    """How long what is kept, how far back the record reaches, and what went last."""
    keep, last = parts.config().keep, retention.last_dropped(connection)
    return {
        "keep_transitions_seconds": keep.transitions.total_seconds() if keep.transitions else None,
        "dropped_before": stamp(reach(connection).before),
        "waits": parts.upkeep.waits,
        "last": None if last is None else {"at": stamp(last[0]), "words": str(last[1]), **last[1].counts()},
    }
