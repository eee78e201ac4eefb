"""What the query strings of several routes have in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from fastapi import Query
from pydantic import BeforeValidator

from mithrild.sandbox import catalog
from mithrild.sandbox.refusals import unknown

T = TypeVar("T")


def _split(given: object) -> object:
    """`a,b` and `c`, as they stand in a query, are a, b and c."""
    return [word for part in given for word in part.split(",") if word] if isinstance(given, list) else given


Limit = Annotated[int | None, Query(ge=1, le=100)]
Direction = Literal["asc", "desc"]
CommaList = Annotated[list[T] | None, BeforeValidator(_split), Query()]


def known_project(project: str) -> None:
    if project not in catalog.PROJECTS:
        raise unknown("Project")


@dataclass(frozen=True, slots=True)
class Span:
    """A span of the query, ends included. It compares times as they are shown, so that a shown time finds its event."""

    start: datetime | None
    end: datetime | None

    def before(self, at: datetime) -> bool:
        """Whether the span begins after `at`."""
        return self.start is not None and at < self.start

    def after(self, at: datetime) -> bool:
        """Whether the span ends before `at`."""
        return self.end is not None and at > self.end

    def __contains__(self, at: datetime) -> bool:
        return not self.before(at) and not self.after(at)


def span(start: datetime | None, end: datetime | None) -> Span:
    """Times without a zone are taken as UTC."""
    return Span(_aware(start), _aware(end))


def _aware(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)
