"""What everything here that speaks HTTP shares: how long to wait, why a connection failed, which host is here."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec

# httpcore asks several times a request whether trio is at work, by importing this. Python does not remember what is not
# installed, and looks through its whole path each time: in a storm that was a third of what the event loop did.
if "sniffio" not in sys.modules and find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # so says Python: there is no such module

# A Retry-After of a day, meant or not, must not blind the watcher: an hour is the most that is obeyed.
LONGEST_RETRY_AFTER = 3600.0


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None where there is none that can be read."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", value.strip()):
        return min(float(value), LONGEST_RETRY_AFTER)
    then = http_date(value)
    return None if then is None else min(max((then - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def http_date(value: str | None) -> datetime | None:
    """A `Date` or `Retry-After` header as a time in UTC, or None where it cannot be read."""
    try:
        time = parsedate_to_datetime(value or "")
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):  # all of these come out of odd dates
        return None


def reason(error: Exception) -> str:
    """Why a request got no whole answer, in a few words that hold nothing of what was sent or received."""
    import httpx  # not for those who only ask which host is this machine

    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted ({getattr(cause, 'verify_message', 'no reason given')})"
            case ssl.SSLError():
                return f"no secure connection ({getattr(cause, 'reason', None) or 'TLS failed'})"
            case socket.gaierror() | UnicodeError():
                return "its name cannot be resolved"
            case ConnectionRefusedError():
                return "the connection was refused"
            case ConnectionResetError() | BrokenPipeError():
                return "the connection was reset"
            case OSError(strerror=str() as words):
                return words.lower()
            case _:
                continue
    match error:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.TimeoutException():
            return "no answer in time"
        case httpx.ProxyError():
            return "the proxy did not let the request through"
        case httpx.ProtocolError() | httpx.ReadError():
            return "the answer broke off, or was not HTTP"
        case _:
            return "the connection failed"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what lies under it. Several addresses of one host fail as a group; its first will do."""
    for _ in range(20):
        if error is None:
            return
        yield error
        inside = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inside or error.__cause__ or error.__context__
