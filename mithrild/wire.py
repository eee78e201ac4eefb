"""What the daemon and the command line share. Standard library only, and as little of that as can be.

`ml` imports this module on the way to every answer, so an import added here is paid for by every command
a person types (`python -X importtime -c 'import mithrild.wire'`).
"""

import os
import sys

API_VERSION = "v1"

# The one list of event types. A hook's `on` is checked against it, by family where an open-ended word may
# follow (`instance.<status in lower case>`): the marketplace may invent a status, never a family.
BID_EVENTS = (
    "bid.placed",
    "bid.allocated",
    "bid.preempting",
    "bid.reprieved",
    "bid.reopened",
    "bid.paused",
    "bid.resumed",
    "bid.terminated",
    "bid.limit_changed",
    "bid.memory_changed",
    "bid.volumes_changed",
    "bid.gone",
    "bid.running",
    "bid.degraded",
)
INSTANCE_EVENTS = (
    "instance.new",
    "instance.confirmed",
    "instance.scheduled",
    "instance.initializing",
    "instance.starting",
    "instance.running",
    "instance.stopping",
    "instance.stopped",
    "instance.terminated",
    "instance.relocating",
    "instance.preempting",
    "instance.preempted",
    "instance.replaced",
    "instance.paused",
    "instance.error",
    "instance.reprieved",
    "instance.deadline_changed",
    "instance.gone",
    "instance.host_key_changed",
)
CLUSTER_EVENTS = ("cluster.pending", "cluster.available", "cluster.terminated", "cluster.gone")
WATCH_EVENTS = ("marketplace.unreachable", "marketplace.recovered", "credentials.rejected", "watch.gap")
HOOK_EVENTS = ("hook.dead", "hook.disabled")
EVENT_TYPES = BID_EVENTS + INSTANCE_EVENTS + CLUSTER_EVENTS + WATCH_EVENTS + HOOK_EVENTS
EVENT_FAMILIES = tuple(dict.fromkeys(name.partition(".")[0] for name in EVENT_TYPES))

# What a command hook finds in its environment, each behind `MITHRILD_`; so none of them can be a setting.
HOOK_VARIABLES = (
    "EVENT_ID",
    "EVENT_TYPE",
    "HOOK",
    "ATTEMPT",
    "SUBJECT",
    "PROJECT",
    "BID",
    "BID_NAME",
    "INSTANCE",
    "INSTANCE_NAME",
    "HOST",
    "REGION",
    "INSTANCE_TYPE",
    "FROM",
    "TO",
    "DEADLINE",
    "REMAINING_SECONDS",
    "DELIVERY",
)

# A bid's state in one word, in the order in which the first that fits is taken.
BID_STATES = (
    "terminated",
    "paused",
    "preempting",
    "relocating",
    "failed",
    "running",
    "starting",
    "allocated",
    "pending",
)

# Exit codes of `ml`.
EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_DAEMON = 3
EXIT_NO_MARKETPLACE = 4
EXIT_KEY_REFUSED = 5
EXIT_NOT_FOUND = 6
EXIT_REFUSED = 7
EXIT_TIMEOUT = 8
EXIT_INTERRUPTED = 130

# The `code` of an error answer of the local API, and what `ml` exits with when it gets one.
ERROR_EXITS = {
    "bad_request": EXIT_USAGE,
    "not_found": EXIT_NOT_FOUND,
    "ambiguous": EXIT_USAGE,
    "conflict": EXIT_REFUSED,
    "marketplace_refused": EXIT_REFUSED,
    "marketplace_away": EXIT_NO_MARKETPLACE,
    "outcome_unknown": EXIT_NO_MARKETPLACE,
    "key_refused": EXIT_KEY_REFUSED,
    "cursor_gone": EXIT_FAILED,
    "refused": EXIT_FAILED,
    "internal": EXIT_FAILED,
}

SOCKET_NAME = "mithrild.sock"


def state_home(env: "os._Environ[str] | dict[str, str]") -> str:
    """The folder under which the daemon keeps its state: `$XDG_STATE_HOME`, else `~/.local/state`."""
    return env.get("XDG_STATE_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".local", "state")


def socket_candidates(env: "os._Environ[str] | dict[str, str]") -> list[str]:
    """Where the socket may be, best first. Both sides walk this list, so they meet.

    The daemon binds at the first whose parent folder exists or may be made; `ml` connects to the first
    that is there. `MITHRILD_SOCKET` alone is used when it is set.
    """
    if env.get("MITHRILD_SOCKET"):
        return [env["MITHRILD_SOCKET"]]
    folders = []
    if env.get("XDG_RUNTIME_DIR"):
        folders.append(os.path.join(env["XDG_RUNTIME_DIR"], "mithrild"))
    if sys.platform != "win32":
        folders.append(f"/run/user/{os.getuid()}/mithrild")
    folders.append(os.path.join(state_home(env), "mithrild"))
    return [os.path.join(folder, SOCKET_NAME) for folder in dict.fromkeys(folders)]


def known_hosts(env: "os._Environ[str] | dict[str, str]") -> str:
    """The one file of host keys, kept by the fid of the machine: addresses are given to one after another."""
    return os.path.abspath(os.path.join(state_home(env), "mithrild", "known_hosts"))


# What names of hosts and users are made of. `ssh` hands both to the shell of a ProxyCommand, and a word that begins
# with a dash would be an option to it: whatever else the marketplace may send is not dialled.
_IN_HOSTS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:%")
_IN_USERS = (_IN_HOSTS | frozenset("@+")) - frozenset(":%")


def ssh_destination(text: str) -> "tuple[str | None, str, int | None] | None":
    """User, host and port of `host`, `host:port`, `[v6]:port` or a bare IPv6 address, each with or without `user@`
    before it. What is not named is None; so is all of it where it is nothing that could be dialled."""
    user, at, place = text.strip().rpartition("@")
    host, colon, port = place.rpartition(":")
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            return None
    elif not colon or ":" in host:  # a second colon: an IPv6 address, all of it
        host, colon, port = place, "", ""
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    if colon and not 0 < number < 65_536:
        return None
    if not _is_name(host, _IN_HOSTS) or (at and not _is_name(user, _IN_USERS)):
        return None
    return user or None, host, number or None


def _is_name(word: str, of: "frozenset[str]") -> bool:
    return bool(word) and len(word) < 256 and not word.startswith("-") and of.issuperset(word)
