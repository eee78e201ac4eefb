"""The one file of host keys, shared by everything here that dials: apart from the user's own, which stays as it is."""

from __future__ import annotations

import os

from mithril_cli.ssh.errors import NotReached
from mithrild import wire


def path() -> str:
    """Where it is. It is made if it is missing, for its owner alone."""
    file = wire.known_hosts(os.environ)
    try:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise NotReached(f"the host keys cannot be kept in {file}: {error.strerror}") from None
    return file


def forget_line(alias: str) -> str:
    """What to type to have the key of a machine forgotten.

    ssh writes the alias in lower case before it hashes it (HashKnownHosts, which Debian switches on), and
    ssh-keygen looks for just the words that it is given.
    """
    import shlex

    return shlex.join(["ssh-keygen", "-R", alias.lower(), "-f", path()])
