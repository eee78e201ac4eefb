"""Every kind of fault, and every call of the daemon that one can meet."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Body = dict[str, Any]  # of a POST to /sandbox/faults

NO_ANSWER = 0.6  # seconds that the daemon waits for an answer in these tests

KINDS: dict[str, Body] = {
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503, "retry_after": 1},
    "429": {"kind": "status", "status": 429, "retry_after": 1},
    "401": {"kind": "status", "status": 401},
    "403": {"kind": "status", "status": 403},
    "404": {"kind": "status", "status": 404},
    "slow": {"kind": "delay", "seconds": NO_ANSWER / 3},
    "no-answer": {"kind": "delay", "seconds": NO_ANSWER * 1.5},
    "reset": {"kind": "reset"},
    "lost": {"kind": "lost_answer"},
    "truncate": {"kind": "truncate"},
    "not-json": {"kind": "not_json"},
    "html": {"kind": "html", "status": 502},
    "html-404": {"kind": "html", "status": 404},
    "cursor-loop": {"kind": "cursor_loop"},
    "empty-page": {"kind": "empty_page"},
    "drop-item": {"kind": "drop_item"},
    "bad-item": {"kind": "bad_item"},
    "huge": {"kind": "huge", "megabytes": 17},  # one more than the daemon reads
    "ahead": {"kind": "date_skew", "seconds": 7200},
    "behind": {"kind": "date_skew", "seconds": -7200},
}
REFUSALS = ("401", "403")

FID = "?" * 14  # a star would stand for slashes too, and so for calls of what lies below

# The whole of every long table takes an hour. A third of it is played as a rule, and MITHRILD_THIRD says which one, so
# that whoever counts it up plays all of it in time; MITHRILD_THOROUGH plays the whole.
THOROUGH = "MITHRILD_THOROUGH" in os.environ
THIRD = int(os.environ.get("MITHRILD_THIRD", "0"))
CALLS = {
    "me": "/v2/me",
    "projects": "/v2/projects",
    "types": "/v2/instance-types",
    "members": "/v2/me/teammates",
    "prices": "/v2/spot/availability",
    "bids": "/v2/spot/bids",
    "bid": f"/v2/spot/bids/bid_{FID}",
    "instances": "/v2/instances",
    "status": f"/v2/instances/inst_{FID}/status",
    "bid history": f"/v2/spot/bids/bid_{FID}/history",
    "statuses": "/v2/instances/status/history",
    "clusters": "/v2/kubernetes/clusters",
    "cluster": "/v2/kubernetes/clusters/*",
}


def is_played(row: int, column: int = 0) -> bool:
    """Whether this cell of a long table is played this time."""
    return THOROUGH or (row + column + THIRD) % 3 == 0


@dataclass(frozen=True)
class Way:
    """One way in which a fault meets the daemon. `hides` is the listing that has to lack one thing, or nobody
    would ask for it by name."""

    path: str
    hides: str | None = None
    by_name: bool = False

    def fault(self, body: Body) -> Body:
        # A second 404 in a second poll is by design the end of what was asked for by name: one is what it survives.
        once = {"count": 1} if self.by_name and body.get("status") == 404 and body["kind"] == "status" else {}
        return {"path": self.path, **body, **once}

    def refuses_the_key(self, kind: str) -> bool:
        """Whether this way a refusal reaches /me, which alone decides about the key."""
        return kind in REFUSALS and fnmatchcase(CALLS["me"], self.path)


WAYS = {name: Way(path, by_name=name == "bid") for name, path in CALLS.items()} | {
    "cluster": Way(CALLS["cluster"], hides=CALLS["clusters"], by_name=True),
    "hidden": Way(CALLS["status"], hides=CALLS["instances"], by_name=True),
    "everything": Way("/v2/*"),
}


def calls_of(asked: Iterable[str]) -> set[str]:
    """The names of the calls behind the ledger's words (`GET /v2/me`), and the words that no call stands for."""
    return {next((name for name, path in CALLS.items() if fnmatchcase(word, f"GET {path}")), word) for word in asked}
