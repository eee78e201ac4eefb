"""How far the marketplace's clock is from ours, by the `Date` of its answers."""

from __future__ import annotations

from datetime import datetime, timedelta

SECOND = timedelta(seconds=1)


class Skew:
    """A `Date` has whole seconds and an answer travels, so each leaves the difference open by a second and more.
    Several narrow it down; one that contradicts those before it (a clock was set) begins anew."""

    def __init__(self) -> None:
        self._least: timedelta | None = None
        self._most = timedelta()

    @property
    def ahead(self) -> timedelta | None:
        """The marketplace's clock minus ours, None until it has told its time."""
        return None if self._least is None else (self._least + self._most) / 2

    def note(self, date: datetime, *, sent: datetime, received: datetime) -> None:
        """An answer of `date`, between two moments of our clock. One over which our clock was set back says nothing."""
        least, most = date - received, date + SECOND - sent
        if received < sent:
            return
        if self._least is not None and max(least, self._least) <= min(most, self._most):
            least, most = max(least, self._least), min(most, self._most)
        self._least, self._most = least, most
