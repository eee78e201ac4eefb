"""What a command hook finds in its environment, beside the event on its standard input."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mithrild.store.outbox import Claim
from mithrild.wire import ssh_destination


def hook_environment(claim: Claim, event: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """The `MITHRILD_…` variables. Those of which the event knows nothing are empty, never missing.

    `_REMAINING_SECONDS` and `_DEADLINE` are those of this try; the event keeps what was known at its commit.
    """
    data = event["data"]
    bid, instance = data["bid"] or {}, data["instance"] or {}
    remaining = "" if claim.deadline is None else str(max(int((claim.deadline - now).total_seconds()), 0))
    values = {
        "EVENT_ID": event["id"],
        "EVENT_TYPE": event["type"],
        "HOOK": claim.hook,
        "ATTEMPT": str(claim.number),
        "SUBJECT": event["subject"],
        "PROJECT": data["project"],
        "BID": bid.get("fid"),
        "BID_NAME": bid.get("name"),
        "INSTANCE": instance.get("fid"),
        "INSTANCE_NAME": instance.get("name"),
        "HOST": _host(instance.get("ssh_destination")),
        "REGION": data["region"],
        "INSTANCE_TYPE": data["instance_type"] or data["instance_type_fid"],
        "FROM": data["from"],
        "TO": data["to"],
        "DEADLINE": claim.deadline.strftime("%Y-%m-%dT%H:%M:%SZ") if claim.deadline else None,
        "REMAINING_SECONDS": remaining,
        "DELIVERY": claim.id,  # in every process of a delivery, so that one that survived us can be found
    }
    return {f"MITHRILD_{name}": _passable(value) for name, value in values.items()}


def _host(destination: str | None) -> str | None:
    """The host of an ssh destination."""
    found = ssh_destination(destination) if destination is not None else None
    return found[1] if found else None


def _passable(value: str | None) -> str:
    """A value as a variable can hold it: no NUL, no longer than the kernel takes in one string (128 KiB), and
    only what the locale's encoding has: one character of a bid's name must not keep a hook from starting."""
    encoding = sys.getfilesystemencoding()
    return (value or "").replace("\0", "")[:32_000].encode(encoding, "replace").decode(encoding)
