"""Text from elsewhere, made safe to show. Names are chosen by people, and errors come from the network."""

from __future__ import annotations

LONGEST = 256  # characters of one name that are ever shown; `--json` gives it whole
MOST_MARKS = 3  # combining marks on one character; more would pile up over the lines above


def clean(text: str) -> str:
    """`text` on one line, harmless to a terminal: what Python does not call printable is shown escaped.

    That covers control characters and escape sequences, line ends, overrides of the writing direction,
    invisible characters, and the lone surrogates that JSON may carry and UTF-8 may not.
    """
    if text.isascii():
        return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)
    shown = []
    marks = 0
    for character in text:
        marks = marks + 1 if _is_mark(character) else 0
        harmless = character.isprintable() and marks <= MOST_MARKS
        shown.append(character if harmless else _escaped(character))
    return "".join(shown)


def width(text: str) -> int:
    """How many columns of a terminal clean text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def shorten(text: str, room: int) -> str:
    """Clean text in at most `room` columns; one that is too long ends with an ellipsis."""
    if len(text) <= LONGEST and width(text) <= room:
        return text
    kept = []
    left = room - 1
    for character in text[:LONGEST]:
        left -= _columns(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept) + "…" if room > 0 else ""


def pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _is_mark(character: str) -> bool:
    if character.isascii():
        return False
    import unicodedata

    return unicodedata.category(character) in ("Mn", "Me")


def _columns(character: str) -> int:
    if character.isascii():
        return 1
    import unicodedata

    # The vowels and finals of conjoining Hangul are letters that take no column of their own.
    if _is_mark(character) or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
