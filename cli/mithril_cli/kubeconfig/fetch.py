"""The kubeconfig that lies on a cluster's control node. It is held in memory alone."""

from __future__ import annotations

import secrets

from mithril_cli.errors import Failure
from mithril_cli.kubeconfig import answer
from mithril_cli.ssh import explain, run
from mithril_cli.ssh.errors import EXIT_SSH, NotReached

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from mithril_cli.ssh.machine import Machine

PATIENCE = 60.0  # seconds for all
# Nobody is asked anything, and what a person's own configuration has for shells is not for this.
OPTIONS = ("BatchMode=yes", "ConnectTimeout=15", "RequestTTY=no", "ClearAllForwardings=yes", "RemoteCommand=none")


def fetch(machine: Machine) -> str:
    """The text of it. Raises Failure: what went wrong, without the name of the cluster."""
    mark = f"mithril-{secrets.token_hex(16)}"
    try:
        code, said, complaints = run.capture(machine.argv([answer.command(mark)], OPTIONS), PATIENCE)
    except NotReached as error:
        raise Failure(str(error)) from None
    if code:
        last = complaints.strip().rpartition("\n")[2].strip() or f"ssh ended with {code}"
        raise Failure((explain.why(machine, complaints) if code == EXIT_SSH else None) or last)
    return answer.unwrap(said, mark)
