"""One command on one machine, through paramiko, which blocks: every step has its limit, and `close` ends them all."""

from __future__ import annotations

import logging
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mithrild.hooks.host_keys import HostKeys, fingerprint
from mithrild.hooks.kept import Kept
from mithrild.hooks.remote_lines import ending_line
from mithrild.hooks.ssh_route import Hop

if TYPE_CHECKING:
    import paramiko

CONNECT = 5.0  # seconds for a connection
GREETING = 10.0  # seconds for the banner, and again for the exchange of keys
LOGIN = 15.0  # seconds for the login, and for the opening of a channel
LOOK = 0.5  # seconds between looks whether the command has ended, where what it left behind holds its output
CHUNK = 32 * 1024
ENDING = 6.0  # seconds for ending what runs there
LAST_WORDS = 2.0  # seconds for what an ended command has still to say


class NotYet(Exception):
    """The machine does not let us in, and may later. `hop`: which, if any was dialled."""

    def __init__(self, why: str, hop: Hop | None = None) -> None:
        super().__init__(why)
        self.hop = hop


class Stranger(Exception):
    """A machine shows a key that we do not know, and we are not to accept any."""


class Changed(Exception):
    """The machine shows another key than before. `before` and `after` are fingerprints."""

    def __init__(self, name: str, before: str, after: str) -> None:
        super().__init__(f"its host key has changed from {before} to {after}")
        self.name, self.before, self.after = name, before, after


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `code` is None if nobody knows; `lost`: the connection broke; `late`: it took too long."""

    code: int | None
    output: bytes
    lost: bool = False
    late: bool = False


class Session:
    """`open`, then `run`, each in a thread; `hurry` and `close` from anywhere."""

    def __init__(self, hops: Sequence[Hop], keys: HostKeys, *, strict: bool) -> None:
        self._hops, self._keys, self._strict = hops, keys, strict
        self._clients: list[paramiko.SSHClient] = []
        self._socket: socket.socket | None = None
        self._hurry, self._closed = threading.Event(), False
        self.at = hops[0]  # where it is on its way

    def open(self) -> None:
        """Logs in, hop by hop. Raises NotYet, Stranger or Changed."""
        import paramiko

        # It logs the tracebacks of what its callers handle.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        for hop in self._hops:
            self.at = hop
            try:
                self._log_in(hop)
            except paramiko.BadHostKeyException as bad:
                before, after = (fingerprint(key.get_base64()) for key in (bad.expected_key, bad.key))
                raise Changed(hop.name, before, after) from None
            except paramiko.AuthenticationException:
                raise NotYet(f"{hop} refuses the key", hop) from None
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise NotYet(f"{hop} does not answer: {_words(error)}", hop) from None

    def run(self, line: str, stdin: bytes, seconds: float, delivery: str, *, again: bool) -> Ended:
        """Runs a line for the shell there, in whose environment the delivery's id is. Never raises for what the other
        side does. With `again`, what an earlier try has left running is ended first, as is this one if it is late."""
        import paramiko

        kept = Kept()
        transport = self._transport()
        try:
            if again:
                self._end(delivery)
            channel = self._begin(line)
            with suppress(OSError):  # not to read its input is a command's good right
                channel.sendall(stdin)
                channel.shutdown_write()
            late = not self._listen(channel, kept, time.monotonic() + seconds)
            if late:
                self._hurry.clear()
                self._end(delivery)
                self._listen(channel, kept, time.monotonic() + LAST_WORDS)
        except (paramiko.SSHException, OSError, EOFError):
            return Ended(None, kept.text(), lost=True)
        code = channel.exit_status if channel.exit_status >= 0 else None
        return Ended(code, kept.text(), lost=code is None and not transport.is_active(), late=late)

    def hurry(self) -> None:
        """Lets a command that runs be told to end."""
        self._hurry.set()

    def close(self) -> None:
        """Ends whatever is waited for, in whichever thread."""
        self._closed = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        for client in self._clients:
            if (transport := client.get_transport()) is not None:
                transport.packetizer.complete_handshake()  # a timer of it would go on, and hold up the daemon's end
            client.close()

    def _log_in(self, hop: Hop) -> None:
        import paramiko

        sock: socket.socket | paramiko.Channel
        if self._clients:
            sock = self._transport().open_channel("direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=LOGIN)
        else:
            sock = self._socket = socket.create_connection((hop.host, hop.port), CONNECT)
        client = paramiko.SSHClient()
        self._clients.append(client)
        if self._closed:
            raise EOFError
        for kind, key in self._keys.known(hop.name).items():
            with suppress(paramiko.SSHException):  # a kind that only ssh itself knows
                client.get_host_keys().add(hop.name, kind, paramiko.PKey.from_type_string(kind, b64decode(key)))
        # Its types ask for a subclass; all that it calls is one method.
        client.set_missing_host_key_policy(_Newcomer(self._keys, self._strict))  # type: ignore[arg-type]
        client.connect(
            hop.name,  # with the port 22, this is the name under which its key is looked for
            sock=sock,
            username=hop.user,
            key_filename=list(hop.keys),  # type: ignore[arg-type]  # a list is taken too
            allow_agent=hop.agent,
            look_for_keys=not hop.only,
            timeout=GREETING,
            banner_timeout=GREETING,
            auth_timeout=LOGIN,
            channel_timeout=LOGIN,
            transport_factory=_transport,
        )

    def _transport(self) -> paramiko.Transport:
        transport = self._clients[-1].get_transport()
        if transport is None:
            raise EOFError
        return transport

    def _begin(self, line: str) -> paramiko.Channel:
        channel = self._transport().open_session(timeout=LOGIN)
        channel.set_combine_stderr(True)
        channel.settimeout(LOOK)
        channel.exec_command(line)
        return channel

    def _end(self, delivery: str) -> None:
        """Without this, what runs there would go on when we have left."""
        self._listen(self._begin(ending_line(delivery)), Kept(), time.monotonic() + ENDING)

    def _listen(self, channel: paramiko.Channel, kept: Kept, until: float) -> bool:
        """Takes what is printed until the command has ended. False if it has not by then."""
        speaks = True
        while time.monotonic() < until and not self._hurry.is_set():
            if not speaks:  # it has closed its output, and may go on all the same
                if channel.status_event.wait(LOOK) or channel.closed:
                    return True
                continue
            try:
                chunk = channel.recv(CHUNK)
            except TimeoutError:
                if channel.exit_status_ready():
                    return True  # what it left behind holds its output
                continue
            kept.add(chunk)
            speaks = bool(chunk)
        return False


def _transport(sock: Any, **options: Any) -> paramiko.Transport:
    import paramiko

    transport = paramiko.Transport(sock, **options)
    transport.handshake_timeout = GREETING
    return transport


class _Newcomer:
    """What becomes of a machine whose key is not known."""

    def __init__(self, keys: HostKeys, strict: bool) -> None:
        self._keys, self._strict = keys, strict

    def missing_host_key(self, client: paramiko.SSHClient, name: str, key: paramiko.PKey) -> None:
        if self._strict:
            raise Stranger(f"its host key {fingerprint(key.get_base64())} is not known, and strict is set")
        try:
            self._keys.accept(name, key.get_name(), key.get_base64())
        except OSError as error:
            raise NotYet(f"its host key cannot be kept: {error.strerror}") from None


def _words(error: Exception) -> str:
    match error:
        case ConnectionRefusedError():
            return "the connection was refused"
        case TimeoutError():
            return "no connection in time"
        case socket.gaierror():
            return "its name cannot be resolved"
        case OSError(strerror=str() as words):
            return words.lower()
        case _:
            return str(error)[:200] or "the connection was closed"
