"""What a failure of `ssh` means, and what to do: a line after its own."""

from __future__ import annotations

from mithril_cli.ssh import known_hosts, run
from mithril_cli.ssh.errors import NotReached

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.ssh.machine import Machine

CHANGED = "REMOTE HOST IDENTIFICATION HAS CHANGED"
PATIENCE = 15.0
OFFER = "debug1: Offering public key: "
ACCEPTED = "debug1: Server accepts key: "


def why(machine: Machine, said: str) -> str | None:
    """What to add to what `ssh` said on standard error; None where its own words will do."""
    if CHANGED in said:
        return changed(machine)
    if any(line.startswith(f"{machine.destination}: Permission denied (") for line in said.splitlines()):
        return _refused(machine)
    if "Too many authentication failures" in said:
        return f"{machine.name} was offered too many keys: name the one that it knows with -i"
    return None


def changed(machine: Machine) -> str:
    return (
        f"{machine.name} shows another host key than the one it has shown before: either it was set up anew, or "
        f"somebody else answers in its place. If you know why, forget the old key and try again: "
        f"{known_hosts.forget_line(machine.fid)}"
    )


def _refused(machine: Machine) -> str | None:
    """Which keys were offered. Asked by a second try, since only a talkative `ssh` says it."""
    argv = machine.argv(["true"], ("BatchMode=yes",))
    try:
        code, _, said = run.capture([argv[0], "-v", *argv[1:]], PATIENCE)
    except NotReached:
        return None
    if not code:
        return None
    lines = said.splitlines()
    taken = [line.removeprefix(ACCEPTED) for line in lines if line.startswith(ACCEPTED)]
    if taken:
        return f"{machine.name} knows the key {_key(taken[0])}, but it is locked: type ssh-add to unlock it"
    offered = [_key(line.removeprefix(OFFER)) for line in lines if line.startswith(OFFER)]
    if not offered:
        return f"{machine.name} refused: no key was offered, as ssh found none; name one with -i"
    return (
        f"{machine.name} refused {_counted(offered)}: {', '.join(offered)}. "
        "It lets in the SSH keys that it was placed with; name another with -i"
    )


def _key(told: str) -> str:
    """`/home/me/.ssh/id_ed25519 ED25519 SHA256:abc agent` as a person says it."""
    words = told.split()
    place = next((index for index, word in enumerate(words) if word.startswith("SHA256:")), 0)
    return f"{' '.join(words[: place - 1])} ({words[place - 1]} {words[place]})" if place > 1 else told


def _counted(offered: list[str]) -> str:
    return "the key that was offered" if len(offered) == 1 else f"all {len(offered)} keys that were offered"
