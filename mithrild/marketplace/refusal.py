"""What went wrong, in words for a person: answers that say no, and connections that fail.

The marketplace's own words are quoted, but never trusted: control characters go, anything that is or looks
like an API key goes, and 300 characters are enough.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

import httpx

from mithrild.errors import (
    BrokenAnswer,
    KeyRefused,
    MarketplaceError,
    NotFound,
    RequestRefused,
    Unreachable,
)
from mithrild.web import reason, retry_after

KEY_ADVICE = "check MITHRIL_API_KEY, or api_key of the profile"
LONGEST_WORDS = 300

_KEY_LIKE = re.compile(r"fkey_[A-Za-z0-9_\-]+")


def plain(text: str, secret: str | None) -> str:
    """One printable line of at most 300 characters, with the key taken out before it is cut."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    if secret:
        # Control characters could have been sown into an echoed key, so it is looked for without them too.
        bare = "".join(letter for letter in text if letter.isprintable())
        printable = (bare if secret in bare else printable).replace(secret, "[key]")
    line = " ".join(_KEY_LIKE.sub("[key]", printable).split())
    return line if len(line) <= LONGEST_WORDS else line[: LONGEST_WORDS - 1] + "…"


def server_words(body: bytes) -> str:
    """The `detail` of an error answer: a text, or FastAPI's list of faults as "loc: msg".

    Other texts are taken as they are, a page of HTML as nothing. The result is not plain yet.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        text = body[:4096].decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text
    detail = answer
    if isinstance(answer, dict):
        detail = next((answer[name] for name in ("detail", "message", "error") if answer.get(name)), None)
    if isinstance(detail, list):
        return "; ".join(_fault(fault) for fault in detail[:20])
    return detail if isinstance(detail, str) else ""


def _fault(fault: object) -> str:
    if not isinstance(fault, dict):
        return fault if isinstance(fault, str) else "?"
    path = fault.get("loc")
    where = ".".join(str(part) for part in path if isinstance(part, str | int)) if isinstance(path, list) else ""
    message = fault.get("msg")
    return f"{where or 'request'}: {message if isinstance(message, str) else 'refused'}"


def refusal(host: str, what: str, status: int, headers: httpx.Headers, words: str, now: datetime) -> MarketplaceError:
    """The error for an answer whose status is not 2xx.

    `what` names what was asked for and `words` are the marketplace's, both plain; `now` is by its clock.
    """
    said = f": {words}" if words else ""
    if 300 <= status < 400:
        return BrokenAnswer(f"{host} answered with a redirect ({status}); check the API address")
    if status in (401, 403):
        return KeyRefused(f"{host} refused the API key ({status}){said}; {KEY_ADVICE}")
    if status == 404:
        if headers.get("content-type", "").lower().startswith("text/html"):
            # A gateway's own page knows nothing about our bids: it must not count as their absence.
            return BrokenAnswer(f"{host} answered with a web page (404); check the API address")
        return NotFound(f"{host} knows no {what}{said}")
    if status in (408, 425, 429) or (status >= 500 and status != 501):
        verb = "asks us to slow down" if status == 429 else "cannot answer now"
        return Unreachable(f"{host} {verb} ({status}){said}", retry_after(headers.get("retry-after"), now))
    return RequestRefused(f"{host} refused the request for {what} ({status}){said}", status)


def unreachable(host: str, error: Exception) -> Unreachable:
    """The error for a request that got no whole answer. Its text holds no ports or counts that change from
    try to try, so that a log can tell whether it is news."""
    return Unreachable(f"{host} cannot be reached: {reason(error)}")
