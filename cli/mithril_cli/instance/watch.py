"""The live view of `ml instance create --watch`: the bid and its instances, drawn anew where they stand.

rich is imported only here, and this only where a person watches.
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from mithril_cli import answers, bidview, output, times
from mithril_cli.instance.wait import Lines
from mithril_cli.text import clean

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    from mithril_cli.answers import Object


class Watch(Lines):
    """On standard error, since standard output is the answer's. Its last picture stays, unless the answer shows as
    much right below it: then it `vanishes`."""

    def __init__(self, *, vanishes: bool) -> None:
        super().__init__()
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=vanishes)
        self._began = time.monotonic()

    def __enter__(self) -> Watch:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, bid: Object, line: str) -> None:
        room = max(self._console.width, 1)
        elapsed = times.duration(time.monotonic() - self._began)
        picture = f"{clean(line)}, after {elapsed}\n"
        current = (
            [one for one in bidview.numbered(bid) if one["node"] is not None] if bid.get("instance_details") else []
        )
        if current:
            picture += bidview.instance_table(current, answers.present(), room)
        # Printed text may be wider than the terminal by a long name: cut, for a broken line would be drawn twice.
        self._live.update(Text(picture.rstrip("\n"), no_wrap=True, overflow="ellipsis"), refresh=True)

    def note(self, line: str) -> None:
        self._console.print(Text(f"ml: {clean(line)}"), soft_wrap=True)


def possible() -> bool:
    """Whether there is a terminal that can be drawn on: else progress comes as lines."""
    import sys

    return sys.stderr is not None and sys.stderr.isatty() and not output.dumb()
