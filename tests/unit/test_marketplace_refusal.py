"""The words of what went wrong."""

from __future__ import annotations

import json
import socket
import ssl
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithrild.marketplace.refusal import plain, server_words, unreachable
from mithrild.web import http_date, retry_after

NOW = datetime(2024, 1, 1, 12, tzinfo=UTC)
KEY = "fkey_abc123"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "Name already taken"}, "Name already taken"),
        ({"detail": [{"loc": ["query", "limit"], "msg": "too large", "type": "x"}]}, "query.limit: too large"),
        ({"detail": [{"loc": ["body", 0, "a"], "msg": "m"}, {"msg": "n"}]}, "body.0.a: m; request: n"),
        ({"detail": [1, "two", {"loc": 5, "msg": 6}]}, "?; two; request: refused"),
        ({"message": "slow down"}, "slow down"),
        ({"error": "nope"}, "nope"),
        ({"detail": {"deep": 1}}, ""),
        ({}, ""),
        (None, ""),
        ([], ""),
    ],
)
def test_server_words_of_json(body: object, words: str) -> None:
    assert server_words(json.dumps(body).encode()) == words


@pytest.mark.parametrize(
    ("body", "words"), [(b"<html>no</html>", ""), (b"Bad Gateway\n", "Bad Gateway"), (b"\xff", "\ufffd"), (b"", "")]
)
def test_server_words_of_anything_else(body: bytes, words: str) -> None:
    assert server_words(body) == words


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n\tb\x1b[31mc", "a b [31mc"),
        (f"key {KEY} is wrong", "key [key] is wrong"),
        ("key fkey_other-1 is wrong", "key [key] is wrong"),
        ("fkey_\x00abc123", "[key]"),
        ("x" * 500, "x" * 299 + "…"),
        ("x" * 295 + KEY, "x" * 295 + "[key]"),
        ("\u202eevil", "evil"),
    ],
)
def test_plain(text: str, line: str) -> None:
    assert plain(text, KEY) == line


@given(st.text(), st.text(), st.text(alphabet="abcdefgh0123", min_size=8))
def test_plain_is_one_short_line_without_the_key(before: str, after: str, key: str) -> None:
    line = plain(before + key + after, key)
    assert key not in line
    assert len(line) <= 300
    assert line.isprintable()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("0", 0),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("999999", 3600),
        ("Mon, 01 Jan 2024 12:00:30 GMT", 30),
        ("Mon, 01 Jan 2024 11:00:00 GMT", 0),
        ("Mon, 01 Jan 2034 12:00:00 GMT", 3600),
        ("Mon, 99 Jan 2024 12:00:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text())
def test_any_date_is_a_time_in_utc_or_none(value: str) -> None:
    time = http_date(value)
    assert time is None or time.tzinfo is UTC


def under(cause: BaseException) -> httpx.ConnectError:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (under(socket.gaierror(-2, "Name or service not known")), "its name cannot be resolved"),
        (under(ConnectionRefusedError(111, "Connection refused")), "the connection was refused"),
        (under(ExceptionGroup("many", [ConnectionRefusedError(111, "x"), OSError()])), "the connection was refused"),
        (under(OSError(101, "Network is unreachable")), "network is unreachable"),
        (under(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x")), "no secure connection"),
        (httpx.ConnectTimeout(""), "no connection in time"),
        (httpx.ReadTimeout(""), "no answer in time"),
        (httpx.ProxyError("407"), "the proxy"),
        (httpx.RemoteProtocolError("received 5 bytes, expected 9"), "the answer broke off"),
        (httpx.UnsupportedProtocol(""), "the connection failed"),
    ],
)
def test_a_failed_connection_has_words_for_a_person(error: Exception, words: str) -> None:
    text = str(unreachable("api.example.org", error))
    assert text.startswith("api.example.org cannot be reached: ")
    assert words in text
