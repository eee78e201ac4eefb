"""The errors a person may meet. Each is one line that says what happened and what to do about it."""

from __future__ import annotations

from typing import Literal


class MithrildError(Exception):
    """Base of every expected failure. `str(error)` is the line a person sees; no traceback goes with it."""


class ConfigError(MithrildError):
    """The configuration cannot be used. `problems` holds one line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


DiskTrouble = Literal["full", "read-only", "locked", "broken"]


class StoreError(MithrildError):
    """The database cannot be used as it is. It is left as it was found.

    `kind` says what is wrong with the disk, or that another program holds the file: it may pass. None is anything else.
    """

    def __init__(self, message: str, kind: DiskTrouble | None = None) -> None:
        super().__init__(message)
        self.kind = kind


class ForeignAccount(StoreError):
    """The record belongs to another account than the key."""


class LockHeld(MithrildError):
    """Another daemon holds the lock of this state folder, or answers on its socket."""


class MarketplaceError(MithrildError):
    """A call to the marketplace did not give an answer that can be used."""


class Unreachable(MarketplaceError):
    """No answer, or one that asks us to come back later (429, 5xx): trying again may help.

    `retry_after` is in seconds, and None where the marketplace named no time.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSent(Unreachable):
    """The request did not get through, or was turned away unread: nothing was done."""


class Paused(NotSent):
    """Nothing was asked: the marketplace asked us not to, and the time that it named is not over (`retry_after` s)."""


class AnswerLost(Unreachable):
    """A request that changes something was sent, and no answer came: nobody here knows whether it was done."""


class KeyRefused(MarketplaceError):
    """401 or 403: the key is missing, wrong, or may not do this. It proves nothing about the fleet."""


class KeyUnusable(KeyRefused):
    """There is no key, or one that no request can carry: the marketplace was not even asked."""


class NotFound(MarketplaceError):
    """404 for one named thing."""


class RequestRefused(MarketplaceError):
    """The marketplace understood and said no (400, 409, 422, 501 …). The message has its own words."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BrokenAnswer(MarketplaceError):
    """An answer that cannot be read: not JSON, not the promised shape, a cursor that leads nowhere."""
