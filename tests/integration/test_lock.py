"""The lock of the state folder, held and wanted by real processes."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mithrild.errors import LockHeld, MithrildError
from mithrild.lock import LOCK_NAME, StateLock

HOLD = """
import sys, time
from pathlib import Path
from mithrild.lock import StateLock
with StateLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1000)
"""

FORK_AND_DIE = """
import os, signal, sys, time
from pathlib import Path
from mithrild.lock import StateLock
StateLock(Path(sys.argv[1])).acquire()
if os.fork() == 0:
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_and_file_are_private_and_name_the_holder(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "mithrild"
    with StateLock(folder):
        assert (folder / LOCK_NAME).read_text() == f"{os.getpid()}\n"
        assert (mode(folder), mode(folder / LOCK_NAME)) == (0o700, 0o600)
    assert (folder / LOCK_NAME).exists()


def test_second_daemon_is_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(LockHeld) as told:
            StateLock(tmp_path).acquire()
        assert f"(process {process.pid})" in str(told.value)
        assert str(tmp_path) in str(told.value)
        assert "\n" not in str(told.value)


def test_what_a_killed_holder_had_just_forked_is_waited_for(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FORK_AND_DIE, str(tmp_path), str(tmp_path / "go")]
    with subprocess.Popen(words) as process:
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(BlockingIOError), (tmp_path / LOCK_NAME).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the child is there
    threading.Timer(0.3, (tmp_path / "go").touch).start()
    with StateLock(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_lock_of_a_killed_holder_is_free(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    # Longer than ours may be, as after a restart of the machine.
    (tmp_path / LOCK_NAME).write_text("123456789012345\n")
    with StateLock(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    first.acquire()
    first.acquire()  # held already: nothing happens
    with pytest.raises(LockHeld):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_child_of_the_holder_does_not_keep_it(tmp_path: Path) -> None:
    lock = StateLock(tmp_path)
    lock.acquire()
    with subprocess.Popen(["sleep", "1000"], close_fds=False) as child:
        lock.release()
        with StateLock(tmp_path):
            pass
        child.kill()


def test_refusals_leak_no_descriptor(tmp_path: Path) -> None:
    with StateLock(tmp_path):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(LockHeld):
                StateLock(tmp_path).acquire()
        assert len(os.listdir("/proc/self/fd")) == before


def test_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open folder"
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(MithrildError, match=f"^others may write to .*; type: chmod 700 '{folder}'$"):
        StateLock(folder).acquire()
    assert not (folder / LOCK_NAME).exists()


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MithrildError, match=r"^the folder .*/file/state cannot be used: Not a directory$"):
        StateLock(tmp_path / "file" / "state").acquire()


def test_symbolic_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep me")
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(MithrildError, match=r"cannot be opened: "):
        StateLock(tmp_path).acquire()
    assert (tmp_path / "precious").read_text() == "keep me"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, -1)
    with pytest.raises(MithrildError, match=r"belongs to uid 65534, not to you \(uid 0\)"):
        StateLock(tmp_path).acquire()
