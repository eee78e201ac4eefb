"""SIGKILL while a backup is made or the record is swept: no file ever looks like a backup that is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mithrild.store import backup
from mithrild.store.bounded import Dropped
from mithrild.store.database import Database
from mithrild.store.retention import drop_transitions
from tests.integration.store_builders import STARTING, a_bid, an_instance, at, keep, opened, poll, sql

# The name of each point, and what is put in its place to die there: before it is done, or once it is.
BEFORE = ("compact", "verify", "publish", "_flush", "remove_surplus")
AFTER = ("copy", "compact", "verify")
DOOMED = """
import os, signal, sys
from pathlib import Path
from mithrild.store import backup
from tests.integration.store_builders import at

record, folder, name, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
real = getattr(backup, name)

def doomed(*args, **more):
    if when == "after":
        real(*args, **more)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(backup, name, doomed)
made = backup.make(record, folder, at(60), told=lambda stage, share: None, cancelled=lambda: False)
backup.remove_surplus(folder, 1, made)
"""


@pytest.mark.parametrize(
    ("point", "when"), [*((name, "before") for name in BEFORE), *((name, "after") for name in AFTER)]
)
def test_a_kill_leaves_whole_backups_only(tmp_path: Path, point: str, when: str) -> None:
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    with opened(tmp_path / "state") as database:
        keep(database, poll(0, a_bid(), an_instance()))

        def make(seconds: float) -> backup.Backup:
            return backup.make(
                database.path, folder, at(seconds), told=lambda stage, share: None, cancelled=lambda: False
            )

        first = make(0)
        died = subprocess.run(
            [sys.executable, "-c", DOOMED, str(database.path), str(folder), point, when], check=False
        ).returncode
        assert died == -signal.SIGKILL
        # Only where all was verified and flushed before is there a second one.
        held = backup.listing(folder)
        assert held[:1] == [first]
        assert len(held) == (2 if point == "remove_surplus" else 1)
        for one in held:
            backup.verify(one.path, {"bids": 1, "instances": 1}, told=lambda *_: None, cancelled=lambda: False)
        last = make(120)
        assert sorted(os.listdir(folder)) == [one.path.name for one in (*held, last)]
        assert sql(database, "PRAGMA integrity_check") == [("ok",)]
        keep(database, poll(60, an_instance(status=STARTING), whole=frozenset()))


SWEEPING = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from mithrild.store import reach
from mithrild.store.bounded import Dropped
from mithrild.store.database import Database
from mithrild.store.retention import drop_transitions
from tests.integration.store_builders import at

if sys.argv[2] == "inside":  # all is deleted, and nothing committed
    reach.shorten = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
with closing(Database(Path(sys.argv[1]))) as database:
    next(drop_transitions(database, at(0), Dropped()))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("where", "first_batch_gone"), [("inside", False), ("between", True)])
def test_a_kill_in_a_sweep_leaves_a_record_that_holds_together(
    tmp_path: Path, where: str, first_batch_gone: bool
) -> None:
    old = -400 * 86400
    with opened(tmp_path) as database:
        keep(database, poll(old, a_bid(), *(an_instance(f"inst_{number}") for number in range(200))))
        keep(
            database,
            poll(old + 60, *(an_instance(f"inst_{number}", STARTING) for number in range(200)), whole=frozenset()),
        )
        path, before = database.path, sql(database, "SELECT count(*) FROM transitions")[0][0]
    died = subprocess.run([sys.executable, "-c", SWEEPING, str(path), where], check=False).returncode
    assert died == -signal.SIGKILL
    with closing(Database(path)) as database:
        left = sql(database, "SELECT count(*) FROM transitions")[0][0]
        assert (left < before) is first_batch_gone
        assert bool(sql(database, "SELECT 1 FROM meta WHERE key = 'dropped_through'")) is first_batch_gone
        assert sql(database, "PRAGMA foreign_key_check") == []
        for _ in drop_transitions(database, at(0), Dropped()):
            pass
        assert sql(database, "SELECT count(*) FROM events") == [(0,)]
