"""Columns of text. Rich would take seconds for the 5,000 rows that this writes in a few hundredths."""

from __future__ import annotations

from mithril_cli.text import LONGEST, clean, pad, shorten, width

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # The SGR parameters of a cell ("31" is red) from its column and text; "" leaves it as it is.
    Paint = Callable[[int, str], str]

GAP = 2


class Column:
    """One column: what stands above it, and what it gives up where a terminal is narrow.

    `least` is the width down to which it shrinks (0: never). Where shrinking does not do, the column of
    the highest `rank` is left out first; rank 0 always stays.
    """

    __slots__ = ("least", "name", "rank")

    def __init__(self, name: str, *, least: int = 0, rank: int = 0) -> None:
        self.name = name
        self.least = least
        self.rank = rank


def fit(columns: Sequence[Column], widths: Sequence[int], room: int) -> dict[int, int]:
    """The width of each column that is shown, by its index, so that a line takes at most `room` columns."""
    shown = list(range(len(columns)))
    while True:
        given = {index: widths[index] for index in shown}
        if _shrink(given, {index: columns[index].least or widths[index] for index in shown}, room):
            return given
        droppable = [index for index in shown if columns[index].rank]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda index: columns[index].rank))
    # A terminal too narrow for what should always stay: everything gives way, or only the first column is left.
    return given if _shrink(given, dict.fromkeys(given, 1), room) else {0: max(room, 1)}


def _shrink(given: dict[int, int], least: dict[int, int], room: int) -> bool:
    """Take from the widest, down to the next widest, so that one long name does not cost the others."""
    excess = sum(given.values()) + GAP * (len(given) - 1) - room
    while excess > 0:
        order = sorted((i for i in given if given[i] > least[i]), key=given.__getitem__, reverse=True)
        if not order:
            return False
        widest = order[0]
        floor = max(least[widest], given[order[1]] if len(order) > 1 else 0)
        step = min(excess, max(given[widest] - floor, 1))
        given[widest] -= step
        excess -= step
    return True


def render(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    room: int | None = None,
    paint: Paint | None = None,
) -> str:
    """The table, a header line first, ending in a line end.

    `room` is the width of the terminal; None shows every column in full (a cell never takes more than
    `LONGEST`). Cells may hold anything: they are made harmless here.
    """
    cells = [[column.name, *column_cells] for column, column_cells in _by_column(columns, rows)]
    plain = [_is_plain(column_cells) for column_cells in cells]
    for index, column_cells in enumerate(cells):
        if not plain[index]:
            cells[index] = [shorten(clean(cell), LONGEST) for cell in column_cells]
    widths = [
        max(map(len if is_plain else width, column_cells)) for is_plain, column_cells in zip(plain, cells, strict=True)
    ]
    given = (
        {index: min(wide, LONGEST) for index, wide in enumerate(widths)} if room is None else fit(columns, widths, room)
    )
    shown = []
    template = []
    for index, columns_wide in given.items():
        column_cells = cells[index]
        if widths[index] > columns_wide:
            column_cells = [shorten(cell, columns_wide) for cell in column_cells]
        if plain[index] and paint is None:
            template.append(f"%-{columns_wide}s")  # one pass in C over all the columns of a row
        else:
            template.append("%s")
            column_cells = [
                _padded(index, cell, columns_wide, paint if row else None) for row, cell in enumerate(column_cells)
            ]
        shown.append(column_cells)
    line = (" " * GAP).join(template)
    return "\n".join([(line % row).rstrip(" ") for row in zip(*shown, strict=True)]) + "\n"


def _by_column(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[tuple[Column, tuple[str, ...]]]:
    by_column = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return list(zip(columns, by_column, strict=True))


def _is_plain(cells: list[str]) -> bool:
    """Whether nothing in a column needs a closer look: for thousands of names, one look at them all."""
    together = "".join(cells)
    return together.isascii() and together.isprintable()


def _padded(index: int, cell: str, columns_wide: int, paint: Paint | None) -> str:
    padded = pad(cell, columns_wide)
    code = paint(index, cell) if paint else ""
    return f"\x1b[{code}m{padded}\x1b[0m" if code else padded
