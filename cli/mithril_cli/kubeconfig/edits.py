"""Changes of a text by place: everything that is not named stays as it is, to the byte. Pure."""

from __future__ import annotations

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from typing import Any


class Overlap(ValueError):
    """Two changes of the same place."""


class Edits:
    """Changes that are collected, and made all at once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self._changes: list[tuple[int, int, str]] = []

    def replace(self, start: int, end: int, new: str) -> None:
        self._changes.append((start, end, new))

    def insert(self, at: int, new: str) -> None:
        """What is inserted at the same place stands there in the order in which it came."""
        self._changes.append((at, at, new))

    def insert_lines(self, at: int, lines: list[str], column: int) -> None:
        """New lines after the one that `at` is in, with so many blanks before each."""
        pad = " " * column
        self.insert(self.line_end(at), "".join(f"{self.newline}{pad}{line}" for line in lines))

    def line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """Where the line ends that `at` is in, before what ends it."""
        end = self.text.find("\n", at)
        end = len(self.text) if end < 0 else end
        return end - 1 if self.text.endswith("\r", 0, end) else end

    def tail(self, node: Any) -> int:
        """Where the last word of a node ends. What follows, such as a comment, is not the node's."""
        while node.id in ("sequence", "mapping") and not node.flow_style and node.value:
            last = node.value[-1]
            if isinstance(last, tuple):
                return self.pair_tail(*last)
            node = last
        start: int = node.start_mark.index
        return start + len(self.text[start : node.end_mark.index].rstrip())

    def pair_tail(self, key: Any, value: Any) -> int:
        """The same of a key and its value. A value that is not written is said to stand behind any comment; and the
        node of an alias stands where its name was given."""
        if value.start_mark.index < value.end_mark.index and value.start_mark.index > key.start_mark.index:
            return self.tail(value)
        return self.text.index(":", key.end_mark.index) + 1

    def made(self) -> str:
        """The text with all changes. Raises Overlap."""
        pieces, done = [], 0
        for start, end, new in sorted(self._changes, key=lambda change: change[:2]):
            if start < done:
                raise Overlap
            pieces += [self.text[done:start], new]
            done = end
        return "".join([*pieces, self.text[done:]])
