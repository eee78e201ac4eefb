"""Signatures as https://www.standardwebhooks.com has them, so that any of its libraries can check ours."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence


def signed_headers(id: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers of a message. `timestamp` is in Unix seconds. With several keys the receiver may check by any.

    Without a key there is no signature, but an id all the same: the receiver knows a repetition by it.
    """
    headers = {"webhook-id": id, "webhook-timestamp": str(timestamp)}
    if keys:
        content = b".".join((id.encode(), str(timestamp).encode(), body))
        headers["webhook-signature"] = " ".join(_signature(content, key) for key in keys)
    return headers


def _signature(content: bytes, key: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
