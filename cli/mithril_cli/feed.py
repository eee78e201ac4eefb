"""The live feed: server-sent events, followed through every loss of the connection."""

from __future__ import annotations

import time

from mithril_cli import client, output
from mithril_cli.errors import ApiError, BrokenAnswer, NoDaemon

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mithril_cli.answers import Object

PATH = "/v1/events/stream"
FIRST_WAIT = 0.2  # seconds; doubled from try to try
LONGEST_WAIT = 5.0
MAX_EVENT = 4 * 1024 * 1024


def messages(pieces: Iterable[bytes]) -> Iterator[tuple[str, str] | None]:
    """(id, data) of each message in a feed, and None for each comment: a sign of life.

    A message that the end of the feed cut off is not yielded: it comes again after the id before it.
    """
    rest = b""
    id = ""
    data: list[str] = []
    size = 0
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        size += len(piece)
        for line in lines:
            field, _, value = line.decode("utf-8", "replace").removesuffix("\r").partition(":")
            value = value.removeprefix(" ")
            if field == "id":
                id = value
            elif field == "data":
                data.append(value)
            elif not field and not value and data:
                yield id, "\n".join(data)
                data, size = [], len(rest)
            elif not field:
                yield None
                size = len(rest) if not data else size
        if size > MAX_EVENT:
            raise BrokenAnswer("the daemon's feed is broken: an event has no end")


def sequence_of(event: Object) -> int:
    """The sequence of an event. Raises BrokenAnswer if it has none."""
    text = str(event.get("sequence"))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BrokenAnswer("the daemon sent an event without a sequence number")
    return int(text)


def cursor_sequence(cursor: str) -> int:
    """The sequence that a cursor names, itself a sequence or an event id; 0 where it cannot be told."""
    tail = cursor.rpartition("_")[2]
    return int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 20 else 0


def follow(query: client.Query, cursor: str) -> Iterator[Object | None]:
    """The events after `cursor` (a sequence or an event id), for as long as the caller likes; None for a sign of life.

    The daemon may go and come back: nothing is lost and nothing repeated, since each connection asks for what
    comes after the last event that the caller took. Raises ApiError where asking again cannot help.
    """
    seen, last_id = cursor_sequence(cursor), ""
    wait, told, gone_before = FIRST_WAIT, False, False
    while True:
        connected = 0.0  # when this connection first said something, by the monotonic clock
        try:
            resume = [("Last-Event-ID", last_id)] if last_id else []
            pieces = client.stream(PATH, [*query, *([] if last_id else [("after", cursor)])], resume)
            for message in messages(pieces):
                connected = connected or time.monotonic()
                if message is None:
                    yield None
                    continue
                event = _decode(message[1])
                sequence = sequence_of(event)
                if sequence > seen:
                    yield event
                    seen, last_id = sequence, _header_safe(message[0])
                    cursor = str(sequence)
                wait, told, gone_before = FIRST_WAIT, False, False
            trouble = "the daemon ended the feed"
        except ApiError as error:
            if error.code == "cursor_gone" and not gone_before:
                seen, last_id, gone_before = _go_on(seen, error.oldest), "", True
                cursor = str(seen)
                continue
            if error.status < 500:
                raise
            trouble = str(error)
        except (NoDaemon, BrokenAnswer) as error:
            trouble = str(error)
        if connected and time.monotonic() - connected > LONGEST_WAIT:
            wait, told = FIRST_WAIT, False  # it held: what ended it is another outage
        if not told:
            output.note(f"{trouble}; waiting for the feed to come back")
            told = True
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)


def _go_on(seen: int, oldest: int | None) -> int:
    """Say what was missed, and give the sequence after which to go on."""
    if oldest is None:
        output.note(f"the record no longer reaches back to event {seen} and holds none now; going on with the next")
        return 0
    if oldest - 1 > seen:
        output.note(
            f"missed events {seen + 1} to {oldest - 1}: the record no longer holds them; going on with {oldest}"
        )
    else:
        output.note(f"the record is not the one that event {seen} came from; going on with its oldest, {oldest}")
    return oldest - 1


def _decode(data: str) -> Object:
    import json

    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise BrokenAnswer("the daemon's feed is broken: an event is no JSON object")
    return event


def _header_safe(id: str) -> str:
    """An event id that may stand in a header; any other falls back to the sequence as the cursor."""
    return id if id.isascii() and id.isprintable() and len(id) < 200 else ""
