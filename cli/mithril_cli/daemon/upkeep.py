"""The lines of `ml daemon status` about the record: how large it is, what was dropped of it, its backups."""

from __future__ import annotations

from mithril_cli import answers, times
from mithril_cli.daemon import disk

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.answers import Object


def facts(status: Object, now: float) -> list[tuple[str, str]]:
    store = answers.part(status, "store")
    retention = answers.part(store, "retention")
    pairs = [
        ("record", _record(store)),
        ("disk", disk.fact(answers.part(status, "disk"), now)),
        ("growth", _growth(answers.part(store, "growth"), retention, now)),
    ]
    if last := answers.part(retention, "last"):
        at = times.local(times.moment(last.get("at")), now)
        pairs.append(("dropped last", f"{at}: {answers.words(last.get('words'))}"))
    if waits := retention.get("waits"):
        pairs.append(("nothing goes", answers.words(waits)))
    if backups := answers.part(status, "backups"):
        pairs.append(("backups", _backups(backups, now)))
    return pairs


def size(count: float | None) -> str:
    """Bytes in a unit that a person reads: `812 B`, `1.4 kB`, `139.8 MB`."""
    if count is None:
        return "-"
    for unit, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {word}"
    return f"{count:.0f} B"


def _record(store: Object) -> str:
    oldest, newest = store.get("oldest_sequence"), store.get("newest_sequence")
    held = "no events yet" if newest is None else f"events {answers.words(oldest)} to {newest}"
    wal = answers.number(store.get("wal_bytes"))
    beside = f" and {size(wal)} of WAL" if wal else ""
    return f"{answers.words(store.get('path'))}, {size(answers.number(store.get('bytes')) or 0.0)}{beside}, {held}"


def _growth(growth: Object, retention: Object, now: float) -> str:
    """`100,000 transitions of 1.4 kB each, 139.8 MB in all, kept for ever; deliveries 5.1 MB, prices 3.0 MB`."""
    keep = answers.number(retention.get("keep_transitions_seconds"))
    kept = "kept for ever" if keep is None else f"kept for {keep / 86400:.0f} days"
    if not growth:
        return f"not measured yet; transitions are {kept}"
    count = int(answers.number(growth.get("transitions")) or 0)
    if not count:
        return f"no transitions yet; they are {kept}"
    parts = answers.part(growth, "bytes")
    about = "about " if growth.get("estimated") else ""
    each = size(answers.number(growth.get("bytes_each")))
    since = times.moment(growth.get("oldest_at"))
    span = f" since {times.local(since, now)}" if since is not None else ""
    rest = ", ".join(
        f"{part} {about}{size(number)}"
        for part in ("deliveries", "prices")
        if (number := answers.number(parts.get(part)))
    )
    free = answers.number(growth.get("free_bytes"))
    room = f"; {size(free)} free inside the file" if free else ""
    whole = (
        f"{count:,} transitions of {about}{each} each, {about}{size(answers.number(parts.get('transitions')))} in all"
    )
    return f"{whole}, {kept}{span}{f'; {rest}' if rest else ''}{room}"


def _backups(backups: Object, now: float) -> str:
    files = answers.objects(backups, "files") if backups.get("files") else []
    where = answers.words(backups.get("folder"))
    if files:
        newest = files[-1]
        at = times.local(times.moment(newest.get("taken_at")), now)
        held = f"{len(files)} in {where}, the newest of {at} ({size(answers.number(newest.get('bytes')))})"
    else:
        held = f"none in {where}"
    running = answers.part(backups, "running")
    if running:
        return f"{held}; one is being made ({answers.words(running.get('stage'))})"
    due = times.moment(backups.get("next_at"))
    next = "; made only when asked for" if backups.get("every_seconds") is None else ""
    if due is not None:
        next = f"; the next in {times.duration(due - now)}" if due > now else "; the next is due"
    error = f"; the last one failed: {backups['error']}" if backups.get("error") else ""
    return f"{held}{next}{error}"
