"""What `ml instance create` reads on this machine, and sends: the daemon opens no file that a client names."""

from __future__ import annotations

import os

from mithril_cli.errors import Usage

LONGEST_SCRIPT = 128 * 1024  # bytes; whatever they are, as JSON they stay within what the daemon takes
LONGEST_KEY = 16 * 1024  # bytes; a public key of 16,384 bits is a fifth of that
MOST_KEYS = 64

# Easy to say, to type and to tell apart; none begins like a command.
_FIRST = (
    "amber", "bold", "brave", "brisk", "calm", "clear", "coral", "crisp", "dawn", "deep", "eager", "early",
    "fair", "fast", "fond", "fresh", "gentle", "glad", "golden", "grand", "green", "happy", "hazel", "humble",
    "ivory", "jolly", "keen", "kind", "light", "lively", "loyal", "lucky", "lunar", "mellow", "merry", "mild",
    "misty", "neat", "noble", "olive", "pale", "plain", "polar", "proud", "quick", "quiet", "rapid", "rosy",
    "royal", "rustic", "silent", "silver", "smart", "snowy", "solar", "spry", "steady", "sunny", "swift", "tidy",
    "vivid", "warm", "wild", "young",
)  # fmt: skip
_SECOND = (
    "acorn", "anchor", "aspen", "badger", "beacon", "birch", "bison", "brook", "canyon", "cedar", "cliff", "cloud",
    "comet", "crane", "delta", "ember", "falcon", "fern", "finch", "forest", "garnet", "glade", "harbor", "hawk",
    "heron", "island", "jasper", "lake", "larch", "lark", "lemur", "lynx", "maple", "marsh", "meadow", "moose",
    "oak", "orchid", "osprey", "otter", "owl", "panda", "pebble", "pine", "prairie", "quartz", "raven", "reef",
    "ridge", "river", "robin", "sparrow", "spruce", "stone", "summit", "swan", "thistle", "tiger", "tulip", "valley",
    "walnut", "willow", "wolf", "wren",
)  # fmt: skip


def new_name() -> str:
    """`quiet-otter-9f3c`: one of 268 million, since a name stays taken for good."""
    drawn = os.urandom(4)
    first, second = _FIRST[drawn[0] % len(_FIRST)], _SECOND[drawn[1] % len(_SECOND)]
    return f"{first}-{second}-{drawn[2:].hex()}"


def startup_script(path: str) -> str:
    """The contents of a script. Raises Usage for what cannot be one."""
    try:
        with open(path, "rb") as file:
            content = file.read(LONGEST_SCRIPT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Usage(f"the startup script {path} cannot be read: {reason}") from None
    if len(content) > LONGEST_SCRIPT:
        raise Usage(f"the startup script {path} is longer than {LONGEST_SCRIPT >> 10} KiB: have it fetch the rest")
    if not content.strip():
        raise Usage(f"the startup script {path} is empty")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Usage(f"the startup script {path} is not text in UTF-8") from None


def public_keys() -> list[str]:
    """The lines of this person's public keys, `~/.ssh/*.pub`. What cannot be read is not theirs to log in with."""
    folder = os.path.expanduser("~/.ssh")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".pub"))
    except OSError:
        return []
    found = (_first_line(os.path.join(folder, name)) for name in names[:MOST_KEYS])
    return [line for line in found if line]


def _first_line(path: str) -> str:
    try:
        # Not blocking: whatever lies there under that name, a pipe too, must not hold us up.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = os.read(handle, LONGEST_KEY + 1)
        finally:
            os.close(handle)
    except OSError:
        return ""
    if len(content) > LONGEST_KEY:
        return ""
    lines = content.decode("utf-8", "ignore").strip().splitlines()
    return lines[0] if lines else ""
