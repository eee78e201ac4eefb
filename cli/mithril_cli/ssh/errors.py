"""What goes wrong before a remote command has begun: ssh's own exit code, so that no remote code is mistaken for it."""

from __future__ import annotations

from mithril_cli.errors import Failure

EXIT_SSH = 255


class NotReached(Failure):
    """The remote command was not started, or the connection broke."""

    exit_code = EXIT_SSH
