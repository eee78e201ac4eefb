"""How the disk does that the record lies on, as `ml daemon status` tells it."""

from __future__ import annotations

from mithril_cli import answers, times

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.answers import Object

HELD = (("transitions", "transitions"), ("deliveries", "deliveries"), ("results", "ends of hooks"))


def fact(disk: Object, now: float) -> str:
    if not disk:
        return "-"
    reserve = answers.number(disk.get("reserve_bytes")) or 0.0
    spare = f"{reserve / 2**20:.0f} MiB in reserve" if reserve else "nothing in reserve"
    if not disk.get("trouble"):
        return f"writes, {spare}"
    since, held = times.moment(disk.get("since")), answers.part(disk, "held")
    span = f" since {times.local(since, now)} ({times.age(now - since)} ago)" if since is not None else ""
    counts = ", ".join(f"{answers.words(held.get(key))} {word}" for key, word in HELD)
    return f"refuses{span}: {answers.words(disk.get('message'))}; held in memory: {counts}; {spare}"
