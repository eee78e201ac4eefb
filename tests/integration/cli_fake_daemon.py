"""A stand-in for the daemon: real HTTP over a real Unix socket, with the answers of the local API's contract."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Object = dict[str, Any]
FRESH: Object = {
    "as_of": "2026-11-23T14:02:11Z",
    "age_seconds": 3.2,
    "stale": False,
    "reason": None,
    "warning": None,
    "interval_seconds": 5.0,
}


def ago(**span: float) -> str:
    """An RFC 3339 time before now; a negative span is a time to come."""
    return (datetime.now(UTC) - timedelta(**span)).isoformat().replace("+00:00", "Z")


def instance(number: int = 0, **changes: Any) -> Object:
    return {
        "fid": f"inst_{number}",
        "name": f"train-{number}",
        "bid": "bid_0",
        "status": "STATUS_RUNNING",
        "state": "running",
        "since": ago(minutes=9),
        "region": "us-central5-a",
        "instance_type": "it_b200",
        "instance_type_name": "b200-192gb.sxm.8x",
        "created_at": ago(minutes=12),
        "private_ip": "10.0.0.7",
        "ssh_destination": "203.0.113.7",
        "deadline": None,
        "deadline_estimated": False,
        "gone": False,
        **changes,
    }


def bid(number: int = 0, **changes: Any) -> Object:
    return {
        "fid": f"bid_{number}",
        "name": f"train-{number}",
        "project": "proj_abc",
        "project_name": "research",
        "status": "Allocated",
        "state": "running",
        "instance_type": "it_b200",
        "instance_type_name": "b200-192gb.sxm.8x",
        "region": "us-central5-a",
        "limit_price": "$8.00",
        "limit_price_cents": 800,
        "spot_price": "$6.20",
        "spot_price_cents": 620,
        "instance_quantity": 1,
        "instances": ["inst_0"],
        "instances_running": 1,
        "instances_wanted": 1,
        "created_at": ago(hours=2, minutes=10),
        "created_by": "user_1",
        "created_by_name": "Ada",
        "deactivated_at": None,
        "kubernetes_cluster": None,
        "since": ago(minutes=10),
        "deadline": None,
        "deadline_estimated": False,
        "gone": False,
        "recorded": True,
        "instance_details": [instance()],
        **changes,
    }


def event(sequence: int, **changes: Any) -> Object:
    return {
        "specversion": "1.0",
        "id": f"evt_8f3a_{sequence}",
        "source": "mithrild://workstation/proj_abc",
        "type": "instance.preempting",
        "subject": "inst_0",
        "time": ago(minutes=1),
        "datacontenttype": "application/json",
        "sequence": str(sequence),
        "data": {
            "from": "running",
            "to": "preempting",
            "provenance": "observed",
            "deadline": ago(minutes=-4),
            "deadline_estimated": False,
            "bid": {"fid": "bid_0", "name": "train"},
            "instance": {"fid": "inst_0", "name": "train-0"},
        },
        **changes,
    }


def status(**changes: Any) -> Object:
    return {
        "version": "0.1.0",
        "api": "v1",
        "pid": 4711,
        "started_at": ago(hours=3),
        "uptime_seconds": 10800.0,
        "socket": "/run/user/1000/mithrild/mithrild.sock",
        "store": {
            "id": "8f3a",
            "path": "/state/fleet.sqlite",
            "bytes": 1_200_000,
            "schema": "0001",
            "oldest_sequence": 1,
            "newest_sequence": 3,
        },
        "disk": {
            "trouble": None,
            "since": None,
            "message": None,
            "held": {"transitions": 0, "deliveries": 0, "results": 0},
            "reserve_bytes": 16 << 20,
        },
        "account": {"api_url": "https://api.mithril.ai", "organization": "org_1", "user": "user_1"},
        "key": {"state": "ok", "source": "environment", "message": None},
        "freshness": FRESH,
        "marketplace": {"reachable": True, "since": None, "last_error": None},
        "projects": [{"fid": "proj_abc", "name": "research", "baseline_at": None, "last_complete_poll_at": None}],
        "polling": {
            "interval_seconds": 5.0,
            "polls": 120,
            "discarded": 1,
            "requests_last_minute": 14,
            "request_cap": 300,
            "requests_by": {"polls": 11, "prices": 2, "commands": 1},
            "pace": "changing",
            "polls_last_minute": 2,
        },
        "auctions": None,
        "clock": {"ahead_seconds": None},
        "latency": {"seen": None, "unseen": 0, "hooks": None, "least_left_seconds": None},
        "set_aside": {"items": 0, "last": None},
        "fleet": {"bids": 5, "instances": 9},
        "hooks": [],
        "restart_needed": [],
        "sandbox": False,
        **changes,
    }


@dataclass
class Request:
    """What arrived. `query` holds the values of each parameter."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    send: Callable[[bytes], None]

    def one(self, name: str) -> str | None:
        return self.query[name][0] if name in self.query else None


def answer(body: object, status_code: int = 200, *, chunked: bool = False) -> bytes:
    """A whole HTTP answer; bytes as a body stand as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status_code} X\r\nContent-Type: application/json\r\nMithrild-Version: 0.1.0\r\n"
    if not chunked:
        return head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    framed = b"".join(b"%x;note=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def refusal(status_code: int, code: str, message: str, **more: Any) -> bytes:
    return answer({"error": {"code": code, "message": message, **more}}, status_code)


def feed_head() -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def feed_chunk(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


def feed_event(one: Object) -> bytes:
    return feed_chunk(f"id: {one['id']}\nevent: {one['type']}\ndata: {json.dumps(one)}\n\n")


Handler = Callable[[Request], bytes]


@dataclass
class FakeDaemon:
    """`answers` maps a path to the bytes of its answer, or to what makes them. `requests` is what was asked."""

    path: Path
    answers: dict[str, bytes | Handler]
    requests: list[Request] = field(default_factory=list)

    def env(self, **more: str) -> dict[str, str]:
        """An environment in which `ml` finds this daemon and no other."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "LC_ALL") if name in os.environ}
        return {**kept, "TERM": "xterm", "TZ": "UTC", "HOME": "/nonexistent", "MITHRILD_SOCKET": str(self.path), **more}


@contextmanager
def serve(folder: Path, answers: dict[str, bytes | Handler]) -> Iterator[FakeDaemon]:
    """The daemon, listening at `folder`/mithrild.sock until the block ends."""
    daemon = FakeDaemon(folder / "mithrild.sock", answers)

    class Exchange(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            first = self.rfile.readline().decode().split(" ")
            if len(first) != 3:
                return
            headers = {}
            while line := self.rfile.readline().decode().strip():
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            url = urlsplit(first[1])
            request = Request(unquote(url.path), parse_qs(url.query), headers, self._send)
            daemon.requests.append(request)
            found = daemon.answers.get(request.path, refusal(404, "not_found", "no such bid"))
            self._send(found(request) if callable(found) else found)

        def _send(self, data: bytes) -> None:
            try:
                self.wfile.write(data)
            except BrokenPipeError:
                return

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(str(daemon.path), Exchange) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield daemon
        finally:
            server.shutdown()
            thread.join(5)
            daemon.path.unlink(missing_ok=True)
