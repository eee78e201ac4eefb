"""Where the parts of a kubeconfig stand in its text, and how others are put there. Pure."""

from __future__ import annotations

from mithril_cli.kubeconfig import writing
from mithril_cli.kubeconfig.document import CURRENT, KINDS
from mithril_cli.kubeconfig.edits import Edits

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from typing import Any

    from mithril_cli.kubeconfig.credentials import Credentials
    from mithril_cli.kubeconfig.document import Object


def begun(text: str, root: Any, wanted: Object) -> str:
    """A file that said nothing yet, or nothing but `{}`; it may hold comments."""
    before = text if root is None else text[: root.start_mark.index] + text[root.end_mark.index :]
    lines = [before.rstrip("\n")] if before.strip() else []
    for key, value in wanted.items():
        lines += _list_lines(key, value) if key in KINDS else [f"{key}: {writing.scalar(value)}"]
    return "\n".join([*lines, ""])


def _list_lines(kind: str, entries: list[Object]) -> list[str]:
    return [f"{kind}:", *(line for entry in entries for line in _item_lines(entry))]


def _item_lines(entry: Object) -> list[str]:
    first, *rest = writing.block(entry)
    return [f"- {first}", *(f"  {line}" for line in rest)]


class Layout:
    """Where the parts of a file stand, and how to put others there."""

    def __init__(self, text: str, root: Any, content: Object) -> None:
        self._edits = Edits(text)
        self._root = root
        self._content = content
        self._pairs: dict[object, tuple[Any, Any]] = {key.value: (key, value) for key, value in root.value}

    def edited(self, given: Credentials, wanted: Object, *, switch: bool) -> str:
        missing: dict[str, Any] = {}
        for kind in KINDS:
            if kind in self._pairs:
                self._place(kind, given)
            else:
                missing[kind] = wanted[kind]
        if switch:
            if CURRENT in self._pairs:
                self._switch(given.context)
            else:
                missing[CURRENT] = given.context
        for key, value in missing.items():  # last, so that nothing comes between a last list and its new entries
            self._append(key, value)
        return self._edits.made()

    def _place(self, kind: str, given: Credentials) -> None:
        key, held = self._pairs[kind]
        new = given.entries[kind]
        if held.id == "sequence" and held.value:
            self._place_among(held, self._content[kind], given, new)
        elif self._root.flow_style:
            self._edits.replace(held.start_mark.index, held.end_mark.index, writing.flow(new))
        else:  # nothing, or an empty list
            end = self._edits.pair_tail(key, held)
            if end > held.start_mark.index:
                self._edits.replace(held.start_mark.index, end, "")
            lines = [line for entry in new for line in _item_lines(entry)]
            self._edits.insert_lines(end, lines, self._root.start_mark.column)

    def _place_among(self, held: Any, before: list[Object], given: Credentials, new: list[Object]) -> None:
        """Ours in a list that is not empty."""
        items, left = held.value, list(new)
        for place, (item, said) in enumerate(zip(items, before, strict=True)):
            if not given.owns(said["name"]):
                continue
            if left:
                if said != (entry := left.pop(0)):
                    self._set_item(held, item, entry)
            elif held.flow_style:  # never the first: there is at least one entry to be placed
                self._edits.replace(self._edits.tail(items[place - 1]), self._edits.tail(item), "")
            else:
                start = self._dash(held, item)
                self._edits.replace(self._edits.line_end(max(start - 1, 0)), self._line_end(item), "")
        end = self._edits.tail(items[-1])
        if held.flow_style:
            self._edits.insert(end, "".join(f", {writing.flow(entry)}" for entry in left))
        else:
            lines = [line for entry in left for line in _item_lines(entry)]
            self._edits.insert_lines(end, lines, held.start_mark.column)

    def _set_item(self, held: Any, item: Any, entry: Object) -> None:
        start, end = item.start_mark.index, self._edits.tail(item)
        if held.flow_style or item.flow_style:
            self._edits.replace(start, end, writing.flow(entry))
        else:
            pad = self._edits.newline + " " * item.start_mark.column
            self._edits.replace(start, end, pad.join(writing.block(entry)))

    def _dash(self, held: Any, item: Any) -> int:
        """Where the line begins that the dash of an item is on."""
        start, column = self._edits.line_start(item.start_mark.index), held.start_mark.column
        while start and self._edits.text[start + column : start + column + 1] != "-":
            start = self._edits.line_start(start - 1)
        return start

    def _line_end(self, item: Any) -> int:
        return self._edits.line_end(self._edits.tail(item))

    def _switch(self, context: str) -> None:
        key, held = self._pairs[CURRENT]
        start, end = held.start_mark.index, self._edits.pair_tail(key, held)
        word = writing.flow(context) if self._root.flow_style else writing.scalar(context)
        if end > start:
            self._edits.replace(start, end, word)
        else:
            self._edits.insert(end, f" {word}")

    def _append(self, key: str, value: Any) -> None:
        end = self._edits.pair_tail(*self._root.value[-1])
        if self._root.flow_style:
            self._edits.insert(end, f", {writing.flow(key)}: {writing.flow(value)}")
        else:
            lines = _list_lines(key, value) if key in KINDS else [f"{key}: {writing.scalar(value)}"]
            self._edits.insert_lines(end, lines, self._root.start_mark.column)
