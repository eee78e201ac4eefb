"""The command line of the system's `ssh`. Pure: everything that decides it is given."""

from __future__ import annotations

from mithril_cli.ssh.errors import NotReached

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithril_cli.ssh.destination import Destination

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")


def ssh_argv(
    destination: Destination,
    *,
    alias: str,
    known_hosts: str,
    identity: str | None = None,
    options: Sequence[str] = (),
    command: Sequence[str] = (),
) -> list[str]:
    """What to run. Host keys are kept in `known_hosts` under `alias`, the fid of the machine: addresses are given
    to one machine after another, and a machine is given one address after another.

    `options` are as `-o` takes them ("BatchMode=yes"). With `identity` that key alone is offered.
    """
    words = ["ssh"]
    if destination.port is not None:
        words += ["-p", str(destination.port)]
    if identity is not None:
        # Keys of an agent would go first, and a server listens to only so many of them.
        words += ["-i", identity, "-o", "IdentitiesOnly=yes"]
    for option in (
        f"HostKeyAlias={_alias(alias)}",
        f"UserKnownHostsFile={_file(known_hosts)}",
        "StrictHostKeyChecking=accept-new",
        *options,
    ):
        words += ["-o", option]
    # After `--` nothing is an option any more, neither before the host nor behind it.
    words += ["--", f"{destination.user}@{destination.host}"]
    line = remote_line(command)
    return [*words, line] if line else words


def remote_line(command: Sequence[str]) -> str:
    """What the remote shell is given to read.

    Several words reach the program there as they are here: each is quoted. One word alone is a line for the shell,
    as with `ssh` itself: `ml ssh train 'cd /data && ls *.bin'`.
    """
    if len(command) < 2:
        return "".join(command)
    import shlex

    return shlex.join(command)


def _alias(fid: str) -> str:
    if not fid or not _PLAIN.issuperset(fid):
        raise NotReached(f"{fid[:100]!r} is no fid under which a host key could be kept")
    return fid


def _file(path: str) -> str:
    """A path as `-o` reads it: it takes several, parts them at blanks, and fills in what stands behind a `%`."""
    escaped = path.replace("%", "%%")
    if not set(path) & set(" \t\"'\\#"):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'
