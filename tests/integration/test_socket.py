"""The daemon's socket: real files, real connections, and a real process of another user."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from loguru import logger

from mithrild.api.peer import PeerCheckedProtocol, peer_uid
from mithrild.api.socket import PATH_LIMIT, BoundSocket, bind
from mithrild.errors import LockHeld, MithrildError
from mithrild.wire import SOCKET_NAME, socket_candidates

CAP = 60.0
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: pytest's own may be too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="mith") as folder:
        yield Path(folder)


@pytest.fixture
def bound(home: Path) -> Iterator[BoundSocket]:
    found = bind({"MITHRILD_SOCKET": str(home / "run" / SOCKET_NAME)})
    yield found
    found.close()


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def answers(path: str | Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_socket_and_folder_are_private_whatever_the_umask(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        bound = bind({"MITHRILD_SOCKET": str(home / "run" / SOCKET_NAME)})
    finally:
        os.umask(before)
    with bound.socket:
        assert (mode(bound.path), mode(home / "run")) == (0o600, 0o700)
        assert not bound.adopted
        assert os.listdir(home / "run") == [SOCKET_NAME]
        assert answers(bound.path)
        assert not os.get_inheritable(bound.socket.fileno())


def test_runtime_folder_comes_first_and_only_our_folder_is_made_in_it(home: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(home / "runtime"), "XDG_STATE_HOME": str(home / "state")}
    (home / "runtime").mkdir(mode=0o700)
    bound = bind(env)
    try:
        assert bound.path == f"{home}/runtime/mithrild/{SOCKET_NAME}" == socket_candidates(env)[0]
        assert not (home / "state").exists()
    finally:
        bound.close()


def test_missing_runtime_folder_is_not_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A uid that has no /run/user folder, so that a machine where we have one tests the same.
    monkeypatch.setattr("mithrild.wire.os.getuid", lambda: 4_000_000)
    bound = bind({"XDG_RUNTIME_DIR": str(home / "runtime"), "XDG_STATE_HOME": str(home / "state")})
    try:
        assert bound.path == f"{home}/state/mithrild/{SOCKET_NAME}"
        assert mode(home / "state" / "mithrild") == 0o700
        assert not (home / "runtime").exists()
        assert not os.path.exists("/run/user/4000000")
    finally:
        bound.close()


@needs_root
def test_runtime_folder_of_another_user_is_passed_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mithrild.wire.os.getuid", lambda: 4_000_000)
    (home / "runtime").mkdir()
    os.chown(home / "runtime", NOBODY, -1)
    bound = bind({"XDG_RUNTIME_DIR": str(home / "runtime"), "XDG_STATE_HOME": str(home / "state")})
    try:
        assert bound.path.startswith(f"{home}/state/")
        assert os.listdir(home / "runtime") == []
    finally:
        bound.close()


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_folder_that_others_may_write_to_is_refused(home: Path, bits: int) -> None:
    home.chmod(bits)
    with pytest.raises(MithrildError, match=rf"^others may write to .*; type: chmod 700 {home}$"):
        bind({"MITHRILD_SOCKET": str(home / SOCKET_NAME)})
    assert os.listdir(home) == []


@needs_root
def test_folder_of_another_user_is_refused(home: Path) -> None:
    os.chown(home, NOBODY, -1)
    with pytest.raises(MithrildError, match=r"belongs to uid 65534, not to you \(uid 0\)"):
        bind({"MITHRILD_SOCKET": str(home / SOCKET_NAME)})
    assert os.listdir(home) == []


def test_second_daemon_is_refused_and_the_first_goes_on(bound: BoundSocket) -> None:
    inode = os.stat(bound.path).st_ino
    with pytest.raises(LockHeld, match=f"^another daemon answers at {bound.path}: "):
        bind({"MITHRILD_SOCKET": bound.path})
    assert os.stat(bound.path).st_ino == inode
    assert answers(bound.path)


def test_daemon_that_accepts_nothing_any_more_still_counts(home: Path) -> None:
    path = home / SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))  # the queue is full now
        with pytest.raises(LockHeld):
            bind({"MITHRILD_SOCKET": str(path)})
        assert path.exists()


def test_dead_socket_is_replaced(home: Path) -> None:
    path = home / SOCKET_NAME
    dead_socket(path)
    bound = bind({"MITHRILD_SOCKET": str(path)})
    assert answers(path)
    bound.close()
    assert not path.exists()


def test_leftover_of_a_daemon_that_died_while_binding_is_no_obstacle(home: Path) -> None:
    dead_socket(home / f".{os.getpid():x}")
    bound = bind({"MITHRILD_SOCKET": str(home / SOCKET_NAME)})
    assert os.listdir(home) == [SOCKET_NAME]
    bound.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
def test_what_is_no_socket_is_left_alone(home: Path, kind: str) -> None:
    path = home / SOCKET_NAME
    match kind:
        case "file":
            path.write_text("precious")
        case "folder":
            path.mkdir()
        case "link":
            dead_socket(home / "other")
            path.symlink_to(home / "other")
        case "pipe":
            os.mkfifo(path)
    before = os.lstat(path)
    with pytest.raises(MithrildError, match=f"^{path} is not a socket: move it away, or set MITHRILD_SOCKET"):
        bind({"MITHRILD_SOCKET": str(path)})
    assert os.lstat(path) == before


def test_datagram_socket_is_left_alone(home: Path) -> None:
    path = home / SOCKET_NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(MithrildError, match=f"cannot be asked .*type: rm {path}$"):
            bind({"MITHRILD_SOCKET": str(path)})
    assert path.exists()


def test_longest_path_is_bound_and_a_longer_one_explained(home: Path) -> None:
    folder = home / ("x" * (PATH_LIMIT - len(f"{home}//{SOCKET_NAME}")))
    path = folder / SOCKET_NAME
    assert len(str(path)) == PATH_LIMIT
    bound = bind({"MITHRILD_SOCKET": str(path)})
    assert answers(path)
    bound.close()
    with pytest.raises(MithrildError, match=r"^the path of the socket is too long \(108 bytes, .*MITHRILD_SOCKET"):
        bind({"MITHRILD_SOCKET": str(path) + "x"})
    assert os.listdir(folder) == []


def test_close_unlinks_our_file(home: Path) -> None:
    bound = bind({"MITHRILD_SOCKET": str(home / SOCKET_NAME)})
    bound.close()
    bound.close()
    assert os.listdir(home) == []


def test_close_leaves_the_file_of_another(home: Path) -> None:
    path = home / SOCKET_NAME
    first = bind({"MITHRILD_SOCKET": str(path)})
    path.unlink()
    second = bind({"MITHRILD_SOCKET": str(path)})
    first.close()
    assert answers(path)
    second.close()


def test_two_that_start_at_once_never_both_bind(home: Path) -> None:
    path = home / SOCKET_NAME
    dead_socket(path)
    code = (
        "import sys; from mithrild.api.socket import bind; from mithrild.errors import LockHeld\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try: bound = bind({'MITHRILD_SOCKET': sys.argv[1]})\n"
        "except LockHeld: print('held', flush=True)\n"
        "else: print('bound', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    try:
        pipes = [(starter.stdin, starter.stdout) for starter in starters]
        for _, stdout in pipes:
            assert stdout is not None
            assert stdout.readline() == "ready\n"
        for stdin, _ in pipes:
            assert stdin is not None
            stdin.write("go\n")
            stdin.flush()
        results = [stdout.readline() for _, stdout in pipes if stdout is not None]
        assert sorted(results) == ["bound\n", *["held\n"] * 5]
        assert answers(path)
    finally:
        for starter in starters:
            starter.kill()
            starter.communicate()


def test_second_that_comes_while_the_first_is_binding_is_refused(home: Path) -> None:
    dead_socket(home / SOCKET_NAME)
    first = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(first, fcntl.LOCK_EX)
        with pytest.raises(LockHeld, match=r"^another daemon is starting at "):
            bind({"MITHRILD_SOCKET": str(home / SOCKET_NAME)})
    finally:
        os.close(first)
    assert os.listdir(home) == [SOCKET_NAME]


def test_refusals_leak_no_descriptor(bound: BoundSocket) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(LockHeld):
            bind({"MITHRILD_SOCKET": bound.path})
    assert len(os.listdir("/proc/self/fd")) == before


def test_adopted_socket_is_used_and_its_file_kept(home: Path) -> None:
    path = home / "passed.sock"
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(str(path))
        passed.listen()
        bound = bind({"MITHRILD_SOCKET": "/not/used"}, listen_fds=[os.dup(passed.fileno())])
        assert (bound.adopted, bound.path) == (True, str(path))
        assert answers(path)
        bound.close()
        assert path.exists()


def test_other_things_passed_are_refused(home: Path) -> None:
    with socket.socket(socket.AF_INET) as tcp, socket.socket(socket.AF_UNIX) as deaf:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        deaf.bind(str(home / "deaf"))
        for wrong in (tcp, deaf):
            with pytest.raises(MithrildError, match="no listening Unix stream socket: write ListenStream="):
                bind({}, listen_fds=[wrong.fileno()])
        with pytest.raises(MithrildError, match=r"^systemd passed 2 sockets, and one is wanted"):
            bind({}, listen_fds=[tcp.fileno(), deaf.fileno()])
        assert tcp.getsockname()[0] == "127.0.0.1"  # still open
    with (home / "file").open("w") as file, pytest.raises(MithrildError, match="is not a socket"):
        bind({}, listen_fds=[file.fileno()])


def test_peer_uid_is_that_of_the_process_at_the_other_end() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert peer_uid(left) == os.geteuid()


Send = Callable[[dict[str, Any]], Awaitable[None]]


@asynccontextmanager
async def serving(bound: BoundSocket, asked: list[str]) -> AsyncIterator[None]:
    """A real uvicorn behind the socket, whose application notes what it is asked."""

    async def application(scope: dict[str, Any], receive: object, send: Send) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"hi"})

    config = uvicorn.Config(application, http=PeerCheckedProtocol, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    server.config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[bound.socket])
    try:
        yield
    finally:
        await server.shutdown(sockets=[bound.socket])


# The uid is changed here and not by the parent, for another user may not be allowed to start our Python.
ASK = """
import os, socket, sys
uid = int(sys.argv[3])
if uid != os.geteuid():
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(60)
    client.connect(sys.argv[1])
    answer = b""
    try:
        client.sendall(b"GET /%d HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n" % int(sys.argv[2]))
        while chunk := client.recv(4096):
            answer += chunk
    except (BrokenPipeError, ConnectionResetError):
        pass
    print(answer)
"""


async def ask(path: str, number: int, *, uid: int) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", ASK, path, str(number), str(uid)),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(CAP):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out


def test_our_own_user_is_answered(bound: BoundSocket) -> None:
    async def scene() -> tuple[bytes, list[str]]:
        asked: list[str] = []
        async with serving(bound, asked):
            return await ask(bound.path, 1, uid=os.geteuid()), asked

    answer, asked = asyncio.run(scene())
    assert b"200 OK" in answer
    assert asked == ["/1"]


@needs_root
def test_another_user_is_refused_even_with_the_doors_open(bound: BoundSocket, home: Path) -> None:
    home.chmod(0o755)
    (home / "run").chmod(0o755)
    os.chmod(bound.path, 0o666)
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]))

    async def scene() -> tuple[bytes, bytes, bytes, list[str]]:
        asked: list[str] = []
        async with serving(bound, asked):
            first = await ask(bound.path, 1, uid=NOBODY)
            second = await ask(bound.path, 2, uid=NOBODY)
            ours = await ask(bound.path, 3, uid=os.geteuid())
        return first, second, ours, asked

    try:
        first, second, ours, asked = asyncio.run(scene())
    finally:
        logger.remove(sink)
    assert (first, second) == (b"b''\n", b"b''\n")
    assert b"200 OK" in ours
    assert asked == ["/3"]
    assert lines == ["refused a connection to the local API from uid 65534"] * 2
