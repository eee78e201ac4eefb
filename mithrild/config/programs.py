"""The program of a hook: found when the configuration is loaded, and nobody else's to change.

Whoever may write to it, or to a folder on the way to it, could run programs as the user of the daemon.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_LINKS = 40  # what Linux follows
EVERY_ID = 4_294_967_295  # how many ids there are where no user namespace is in between


def program_faults(program: str) -> Iterator[str]:
    """What is wrong with a program, and a reason not to start. To be asked of a located one."""
    if not os.path.isabs(program):
        yield f"run: {program} is not on PATH"
    elif os.path.isfile(program) and (danger := exposed(Path(program))) is not None:
        yield f"run: {danger}"


def program_remarks(program: str) -> Iterator[str]:
    """What looks wrong and is no reason not to start."""
    if not os.path.isfile(program):
        yield f"run: {program} is not there; deliveries will fail until it is"
    elif not os.access(program, os.X_OK):
        yield f"run: {program} is not executable; deliveries will fail until it is (chmod +x)"


def exposed(program: Path) -> str | None:
    """Who else might change what is run there, and what to type; None if nobody can. A missing file is no danger."""
    for place in _on_the_way(program):
        try:
            found = place.stat()
        except OSError:
            return None
        if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
            continue  # others may add to it, and touch nothing that is ours
        if (words := _danger(place, found)) is not None:
            return words
    return None


def _on_the_way(program: Path) -> Iterator[Path]:
    """The file and every folder that leads to it, link by link."""
    place = Path(os.path.abspath(program))
    for _ in range(MOST_LINKS):
        folder = place.parent.resolve()
        yield from (folder, *folder.parents)
        if not place.is_symlink():
            yield place
            return
        place = Path(os.path.normpath(folder / os.readlink(place)))


def _danger(place: Path, found: os.stat_result) -> str | None:
    quoted = shlex.quote(str(place))
    if found.st_uid not in _trusted():
        return f"{place} belongs to another user (uid {found.st_uid}), who may write to it"
    if found.st_mode & stat.S_IWOTH:
        return f"anyone may write to {place}; type: chmod o-w {quoted}"
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid):
        return f"its group may write to {place}; type: chmod g-w {quoted}"
    return None


def _trusted() -> set[int]:
    """Root and ourselves. In a user namespace, as systemd makes them for services, root is called nobody."""
    trusted = {0, os.geteuid()}
    try:
        if Path("/proc/self/uid_map").read_text().split()[2:] != [str(EVERY_ID)]:
            trusted.add(int(Path("/proc/sys/kernel/overflowuid").read_text()))
    except (OSError, ValueError):
        pass
    return trusted


def _is_private(group: int) -> bool:
    """Whether it is the group that systems give to each user alone, by the user's name."""
    try:
        user, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name} and group == user.pw_gid
