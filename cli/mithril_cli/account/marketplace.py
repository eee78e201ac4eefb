"""The three questions that setting up asks of the marketplace itself: the daemon may not run yet, or have no key.

Plain `urllib`, which knows the machine's proxies and certificates. It follows no redirect: the key stays where it
belongs.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request

from mithril_cli.errors import Failure
from mithrild import __version__, wire

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from typing import Any

PATIENCE = 10.0  # seconds for a whole answer
MOST_BYTES = 4_000_000
CHUNK = 65536


class KeyRefused(Failure):
    exit_code = wire.EXIT_KEY_REFUSED


class Away(Failure):
    """No answer, or none that makes sense. The words say what happened, and hold nothing of the answer."""

    exit_code = wire.EXIT_NO_MARKETPLACE


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Marketplace:
    def __init__(self, api_url: str, key: str) -> None:
        self.api_url = api_url
        self._key = key
        self._opener = urllib.request.build_opener(_NoRedirect)

    def user(self) -> dict[str, Any]:
        """Whose key it is. Raises KeyRefused or Away, as the others do."""
        answer = self._get("/v2/me")
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
            raise Away(f"{self.api_url} is no marketplace: its answer does not say whose key this is")
        return answer

    def projects(self) -> list[tuple[str, str]]:
        """Pairs of fid and name."""
        answer = self._get("/v2/projects")
        if not isinstance(answer, list):
            raise Away(f"{self.api_url} is no marketplace: it has no list of projects")
        pairs = [(one.get("fid"), one.get("name")) for one in answer if isinstance(one, dict)]
        return [(fid, name if isinstance(name, str) else fid) for fid, name in pairs if isinstance(fid, str)]

    def billing(self, user: dict[str, Any]) -> str:
        """The code of the billing check: `ok`, or what is missing."""
        from urllib.parse import quote

        answer = self._get(f"/users/{quote(str(user['id']), safe='')}/billing_check")
        code = answer.get("code") if isinstance(answer, dict) else None
        if not isinstance(code, str):
            raise Away(f"{self.api_url} is no marketplace: its billing check has no code")
        return code

    def _get(self, path: str) -> Any:
        request = urllib.request.Request(f"{self.api_url}{path}")  # noqa: S310  # the address has been checked
        request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        request.add_header("Accept", "application/json")
        request.add_header("User-Agent", f"mithril_cli/{__version__}")
        until = time.monotonic() + PATIENCE
        try:
            with self._opener.open(request, timeout=PATIENCE) as answer:
                return json.loads(_whole(answer, until))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (401, 403):
                    raise KeyRefused(f"{self.api_url} refused the key ({error.code})") from None
                raise Away(f"{self.api_url} answered {error.code} to {path}") from None
        except urllib.error.URLError as error:
            raise Away(f"{self.api_url} does not answer ({_reason(error.reason)})") from None
        except (ValueError, RecursionError, http.client.HTTPException):
            raise Away(f"{self.api_url} is no marketplace: its answer to {path} cannot be read") from None
        except OSError as error:
            raise Away(f"{self.api_url} does not answer ({_reason(error)})") from None


def _whole(answer: Any, until: float) -> bytes:
    content = b""
    while piece := answer.read1(CHUNK):
        content += piece
        if len(content) > MOST_BYTES:
            raise ValueError("too long")
        if time.monotonic() > until:
            raise TimeoutError("its answer takes too long")
    return content


def _reason(error: object) -> str:
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(words).lower()
