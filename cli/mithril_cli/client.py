"""HTTP/1.1 over the daemon's Unix socket, as little of it as `/v1` needs.

`http.client` pulls in the whole of `email` and costs more than bare Python takes to start. Every answer is read
within a time-out and within a size, so that no daemon, ours or another, can hang or fill the command line.
"""

from __future__ import annotations

import os
import socket
import time

from mithril_cli.errors import ApiError, BrokenAnswer, Interrupted, NoDaemon, OutcomeUnknown
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Query = Sequence[tuple[str, object]]

TIMEOUT = 10.0  # seconds for a whole answer
# A write may meet a slow marketplace (30 s), and then be looked for, again and again, until its fate is known.
WRITE_TIMEOUT = 180.0
IDLE = 45.0  # seconds without a byte on the feed, which says that it lives every 15
MAX_HEAD = 64 * 1024
MAX_LINE = 4 * 1024
MAX_BODY = 128 * 1024 * 1024
CHUNK = 256 * 1024
HOW_TO_START = "start one with `mithrild run` or `systemctl --user start mithrild`"


def get(path: str, query: Query = (), timeout: float | None = None) -> dict[str, Any]:
    """The JSON object that answers `GET path?query`; pairs whose value is None are left out.

    `timeout` is in seconds, for everything together. Raises NoDaemon, BrokenAnswer or ApiError.
    """
    return ask("GET", path, query, timeout=TIMEOUT if timeout is None else timeout)


def ask(
    method: str, path: str, query: Query = (), body: object = None, *, timeout: float = WRITE_TIMEOUT
) -> dict[str, Any]:
    """The JSON object that answers a request which changes nothing, whatever its method. Raises like `get`."""
    with Connection(time.monotonic() + timeout) as connection:
        try:
            connection.send(path, query, method=method, body=body)
            status, headers = connection.head()
            return _object(status, connection.whole(headers))
        except TimeoutError:
            raise NoDaemon(
                f"the daemon took the request and did not answer within {timeout:g} s: look at its log"
            ) from None
        except OSError as error:
            raise NoDaemon(f"the daemon hung up ({_reason(error)}): is it restarting? try again") from None


def send(method: str, path: str, query: Query = (), body: object = None, *, unknown: str) -> dict[str, Any]:
    """The JSON object that answers a request which changes something: POST, PATCH or DELETE, with a JSON body.

    The daemon asks the marketplace, and a marketplace that stumbles is given time. What goes wrong before all of the
    request was sent is NoDaemon: then nothing was done. After that it is OutcomeUnknown, or Interrupted, whose line
    ends with `unknown`: what nobody knows now, and how to look. Raises ApiError like `get`.
    """
    with Connection(time.monotonic() + WRITE_TIMEOUT) as connection:
        try:
            connection.send(path, query, method=method, body=body)
        except OSError as error:
            raise NoDaemon(f"the daemon did not take the request ({_reason(error)}): nothing was done") from None
        try:
            status, headers = connection.head()
            return _object(status, connection.whole(headers))
        except ApiError as error:
            if error.code != "internal":  # a defect, or a record that cannot be written: before the deed or after it
                raise
            raise OutcomeUnknown(f"{error}; {unknown}") from None
        except TimeoutError:
            raise OutcomeUnknown(f"the daemon did not answer within {WRITE_TIMEOUT:g} s; {unknown}") from None
        except OSError as error:
            raise OutcomeUnknown(f"the daemon hung up ({_reason(error)}); {unknown}") from None
        except (NoDaemon, BrokenAnswer) as error:
            what_happened = str(error).partition(": ")[0]  # behind it stands the advice to try again
            raise OutcomeUnknown(f"{what_happened}; {unknown}") from None
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {unknown}") from None


def stream(path: str, query: Query = (), headers: Sequence[tuple[str, str]] = ()) -> Iterator[bytes]:
    """The pieces of an answer without an end, as they come. Raises like `get`, also between pieces."""
    with Connection(time.monotonic() + TIMEOUT) as connection:
        try:
            connection.send(path, query, headers)
            status, answered = connection.head()
            if status != 200:
                _object(status, connection.whole(answered))
                raise BrokenAnswer(f"the daemon answered {status} where the feed should begin")
            connection.deadline = None
            yield from connection.pieces(answered)
        except TimeoutError:
            raise NoDaemon("the daemon has fallen silent") from None
        except OSError as error:
            raise NoDaemon(f"the daemon hung up ({_reason(error)})") from None


def segment(name: str) -> str:
    """A name as one segment of a path. Names may hold anything, and arguments bytes that are no UTF-8."""
    return "".join(
        chr(byte) if byte < 128 and (chr(byte).isalnum() or chr(byte) in "-._~") else f"%{byte:02X}"
        for byte in name.encode("utf-8", "surrogateescape")
    )


class Connection:
    """One request and its answer. `deadline` is monotonic; without one, each read may take `IDLE` seconds."""

    def __init__(self, deadline: float) -> None:
        self.deadline: float | None = deadline
        self._socket = _dial(deadline)
        self._buffer = bytearray()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(
        self,
        path: str,
        query: Query,
        headers: Sequence[tuple[str, str]] = (),
        *,
        method: str = "GET",
        body: object = None,
    ) -> None:
        pairs = "&".join(f"{name}={segment(str(value))}" for name, value in query if value is not None)
        lines = [f"{method} {path}{'?' if pairs else ''}{pairs} HTTP/1.1", "Host: mithrild", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        content = b""
        if body is not None:
            import json

            content = json.dumps(body).encode("ascii")
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + content)

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers, whose names are lower case."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BrokenAnswer("whoever answers on the socket is not the daemon: its headers have no end")
            if not self._more():
                raise NoDaemon("the daemon hung up without an answer: is it restarting? try again")
        first, *rest = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        protocol, _, status = first.partition(" ")
        if not protocol.startswith("HTTP/1.") or not status[:3].isdigit():
            raise BrokenAnswer("whoever answers on the socket does not speak HTTP: is it the daemon's?")
        fields = (line.partition(":") for line in rest)
        return int(status[:3]), {name.strip().lower(): value.strip() for name, _, value in fields}

    def whole(self, headers: dict[str, str]) -> bytes:
        taken, pieces = 0, []
        for piece in self.pieces(headers):
            taken += len(piece)
            if taken > MAX_BODY:
                raise BrokenAnswer(f"the daemon's answer is longer than {MAX_BODY >> 20} MiB: narrow it with --limit")
            pieces.append(piece)
        return b"".join(pieces)

    def pieces(self, headers: dict[str, str]) -> Iterator[bytes]:
        """The body as it comes: chunked, of a told length, or until the other side closes."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := self._chunk_size():
                yield from self._exactly(size)
                if self._line():
                    raise BrokenAnswer("the daemon's answer is broken: a chunk is longer than it says")
            return
        length = headers.get("content-length")
        if length is None:
            yield from self._until_closed()
        elif length.isascii() and length.isdigit() and len(length) < 16:
            yield from self._exactly(int(length))
        else:
            raise BrokenAnswer("the daemon's answer is broken: its length is not a number")

    def _chunk_size(self) -> int:
        digits = self._line().partition(b";")[0].strip()
        if not 0 < len(digits) < 16 or digits.strip(b"0123456789abcdefABCDEF"):
            raise BrokenAnswer("the daemon's answer is broken: a chunk has no length")
        return int(digits, 16)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                raise BrokenAnswer("the daemon's answer is broken: a line has no end")
            self._more_or_cut()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _exactly(self, left: int) -> Iterator[bytes]:
        while left:
            if not self._buffer:
                self._more_or_cut()
            piece = bytes(self._buffer[:left])
            del self._buffer[:left]
            left -= len(piece)
            yield piece

    def _until_closed(self) -> Iterator[bytes]:
        while self._buffer or self._more():
            piece = bytes(self._buffer)
            self._buffer.clear()
            yield piece

    def _more_or_cut(self) -> None:
        if not self._more():
            raise BrokenAnswer("the daemon's answer was cut short: is it restarting? try again")

    def _more(self) -> bool:
        left = IDLE if self.deadline is None else self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        received = self._socket.recv(CHUNK)
        self._buffer += received
        return bool(received)


def _dial(deadline: float) -> socket.socket:
    """A connection to the first of the places where a daemon may listen that takes one."""
    refusals = []
    candidates = wire.socket_candidates(os.environ)
    for path in candidates:
        try:
            return _connect(path, deadline)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            refusals.append(f"{path}: {_reason(error)}")
    why = "; ".join(refusals) or f"there is no socket at {candidates[0]}"
    raise NoDaemon(f"no daemon answers ({why}); {HOW_TO_START}")


def _connect(path: str, deadline: float) -> socket.socket:
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            connection.connect(path)
            return connection
        except BlockingIOError:
            # The queue of a Unix socket is full: with a time-out the kernel says so at once, and does not wait.
            connection.close()
            if time.monotonic() > deadline:
                raise TimeoutError("too many are waiting for it") from None
            time.sleep(0.05)
        except BaseException:
            connection.close()
            raise


def _object(status: int, body: bytes) -> dict[str, Any]:
    import gc
    import json

    # Thousands of bids are hundreds of thousands of objects, all needed to the end: the collector would look at
    # them again and again, for a tenth of the whole time. Frozen ones it leaves alone; counting frees them as ever.
    gc.disable()
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    finally:
        gc.freeze()
        gc.enable()
    if isinstance(answer, dict) and 200 <= status < 300:
        return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict) and status >= 400:
        raise ApiError(status, error)
    form = f"HTTP status {status}" if status != 200 else "no JSON object"
    raise BrokenAnswer(f"the daemon gave a broken answer ({form}): look at its log, or compare `ml --version`")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
