"""A list to pick from, on a terminal: typing filters it, the arrow keys move, Enter picks.

Drawn on standard error, since standard output is the answer's. prompt_toolkit is imported only here, and this only
where a person picks: it takes longer than a whole answer.
"""

from __future__ import annotations

import os
import sys

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.output.vt100 import Vt100_Output

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_toolkit.formatted_text import StyleAndTextTuples

MOST_LINES = 15
FRAME_LINES = 2  # the question, and what the keys do
MARGIN = 3  # columns that a line needs beside its text: the pointer, and a last one that stays free
ESCAPE_PATIENCE = 0.15  # seconds in which the rest of an arrow key has to follow its first byte
KEYS = "arrows move, typing filters, Enter picks, Esc leaves"


class Item:
    """One line of the list, and the words that it goes by. All of it is clean text."""

    __slots__ = ("_names", "_searched", "line")

    def __init__(self, line: str, names: Sequence[str]) -> None:
        self.line = line
        self._names = [name.casefold() for name in names]
        self._searched = "\n".join([line.casefold(), *self._names])

    def rank(self, typed: str, words: Sequence[str]) -> int | None:
        """How well it fits: 0 best, None not at all. Every word has to occur, anywhere."""
        if not all(word in self._searched for word in words):
            return None
        if typed in self._names:
            return 0
        return 1 if any(name.startswith(typed) for name in self._names) else 2


def matches(items: Sequence[Item], typed: str) -> list[int]:
    """The indexes of the items that fit what was typed, the best first.

    `train` comes before `train-2`, wherever they stand: who types a whole name and Enter means that one.
    """
    typed = typed.strip().casefold()
    words = typed.split()
    ranked = [(rank, index) for index, item in enumerate(items) if (rank := item.rank(typed, words)) is not None]
    return [index for _, index in sorted(ranked)]


class Menu:
    """What is shown at a moment: the items that fit, the one pointed at, and the part that is in sight."""

    def __init__(self, items: Sequence[Item], header: str, note: str) -> None:
        self.items = items
        self.header = header
        self.note = note
        self.shown = list(range(len(items)))
        self.at = 0
        self._top = 0

    def filter(self, typed: str) -> None:
        self.shown = matches(self.items, typed)
        self.at = self._top = 0

    def move(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), max(len(self.shown) - 1, 0))

    def picked(self) -> int | None:
        return self.shown[self.at] if self.shown else None

    def lines(self, room: int) -> StyleAndTextTuples:
        """The header and the items in sight, as text for the terminal; bold and reversed only, never a colour."""
        self._top = min(max(self._top, self.at - room + 1), self.at)
        text: StyleAndTextTuples = [("bold", f"  {self.header}\n")] if self.header else []
        for place in range(self._top, min(self._top + room, len(self.shown))):
            line = self.items[self.shown[place]].line
            text.append(("reverse", f"> {line}\n") if place == self.at else ("", f"  {line}\n"))
        if not self.shown:
            text.append(("", "  nothing fits; take some of it back\n"))
        return text

    def foot(self) -> StyleAndTextTuples:
        count = len(self.items) if len(self.shown) == len(self.items) else f"{len(self.shown)} of {len(self.items)}"
        return [("", f"  {self.note}{count}; {KEYS}")]


def choose(question: str, items: Sequence[Item], header: str = "", note: str = "") -> int | None:
    """The index of the item that a person picks, None for none. Raises KeyboardInterrupt on Ctrl-C."""
    menu = Menu(items, header, note)
    typed = Buffer(multiline=False, on_text_changed=lambda buffer: menu.filter(buffer.text))
    above = FRAME_LINES + bool(header)

    def room() -> int:
        return max(min(output.get_size().rows - above, MOST_LINES, len(items)), 1)

    output = Vt100_Output(sys.stderr, _size, term=os.environ.get("TERM"), enable_cpr=False)
    listing = FormattedTextControl(lambda: menu.lines(room()))
    application: Application[int | None] = Application(
        layout=Layout(
            HSplit(
                [
                    Window(BufferControl(typed, input_processors=[BeforeInput(question)]), height=1),
                    Window(listing, height=lambda: room() + bool(header)),
                    Window(FormattedTextControl(menu.foot), height=1),
                ]
            )
        ),
        key_bindings=_keys(menu, room),
        erase_when_done=True,
        input=create_input(sys.stdin),
        output=output,
    )
    application.ttimeoutlen = ESCAPE_PATIENCE
    try:
        return application.run()
    except EOFError:  # the terminal is gone
        return None


def _size() -> Size:
    try:
        columns, rows = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        columns, rows = 0, 0
    return Size(rows=rows or 24, columns=columns or 80)  # a terminal may not know: 0


def _keys(menu: Menu, page: Callable[[], int]) -> KeyBindings:
    keys = KeyBindings()

    def moving(*names: str, by: int = 0, pages: int = 0) -> None:
        def move(_: KeyPressEvent) -> None:
            menu.move(by + pages * page())

        for name in names:
            keys.add(name)(move)

    moving("up", "c-p", "s-tab", by=-1)
    moving("down", "c-n", "tab", by=1)
    moving("pageup", pages=-1)
    moving("pagedown", pages=1)

    @keys.add("enter")
    def _pick(event: KeyPressEvent) -> None:
        if menu.picked() is not None:
            event.app.exit(result=menu.picked())

    @keys.add("escape", eager=True)
    @keys.add("c-d")
    def _leave(event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _interrupt(event: KeyPressEvent) -> None:
        event.app.exit(exception=KeyboardInterrupt)

    return keys
