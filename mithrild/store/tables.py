"""The layout of the database. These classes never leave this package: what leaves are fleet values.

Two orders stand in `transitions`: `sequence` is the order in which we learned things (AUTOINCREMENT, so a
number is never used again, and the only cursor), `position` the order in which they happened. A row there
is one transition for ever. `events` holds what was rendered of it, once; a baseline row has none.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, Index, Table, Text, TypeDecorator, text
from sqlmodel import Field, SQLModel


class Moment(TypeDecorator[datetime]):
    """UTC as text of one width: sorts as text as it does in time, and can be read in any SQLite shell."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        # Not strftime: it writes the year 1 (a zero time, to some marketplaces) with one digit.
        if value is None:
            return None
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


def table_of(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


class Meta(SQLModel, table=True):
    """Whose record this is: `store`, `api_url`, `organization`."""

    __tablename__ = "meta"
    key: str = Field(primary_key=True)
    value: str


class ProjectRow(SQLModel, table=True):
    """A watched project and its poll cursor. `*_polled_at` is when the last whole listing was begun."""

    __tablename__ = "projects"
    fid: str = Field(primary_key=True)
    name: str
    watched: bool = True  # False once it is no longer configured; its record stays
    baseline_at: datetime | None = Field(default=None, sa_type=Moment)
    clusters_baseline_at: datetime | None = Field(default=None, sa_type=Moment)
    polled_at: datetime | None = Field(default=None, sa_type=Moment)  # the last complete poll
    bids_polled_at: datetime | None = Field(default=None, sa_type=Moment)
    instances_polled_at: datetime | None = Field(default=None, sa_type=Moment)
    clusters_polled_at: datetime | None = Field(default=None, sa_type=Moment)
    # The marketplace's clock minus ours, when these moments were by it: store/cursor.py.
    ahead_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})
    # From when to when nobody looked at the whole project; None once the marketplace's history was laid over it.
    gap_since: datetime | None = Field(default=None, sa_type=Moment)
    gap_until: datetime | None = Field(default=None, sa_type=Moment)
    # What bids and instances went through before this moment was asked for, of those too that nobody ever saw live.
    looked_back_at: datetime | None = Field(default=None, sa_type=Moment)


class _Tracked(SQLModel):
    """What all three kinds of thing have. `live` is 0 once nothing more can come of it."""

    fid: str = Field(primary_key=True)
    project: str
    name: str
    status: str
    since: datetime = Field(sa_type=Moment)
    created_at: datetime = Field(sa_type=Moment)
    region: str | None = None
    misses: int = 0
    gone: bool = False
    live: bool = True


class BidRow(_Tracked, table=True):
    __tablename__ = "bids"
    __table_args__ = (
        Index("bids_live", "project", "live"),
        Index("bids_name", "name"),
        Index("bids_due", "history_due", "project"),
    )
    instance_quantity: int
    instance_type: str
    limit_price: str
    limit_price_cents: int | None = None
    created_by: str
    deactivated_at: datetime | None = Field(default=None, sa_type=Moment)
    instances: str = "[]"  # JSON lists of fids
    volumes: str = "[]"
    ssh_keys: str = "[]"
    memory_gb: int | None = None
    kubernetes_cluster: str | None = None
    health: str = "none"
    # It changed, and the marketplace has not been asked yet what nobody saw of that.
    history_due: bool = Field(default=False, sa_column_kwargs={"server_default": text("0")})


class InstanceRow(_Tracked, table=True):
    __tablename__ = "instances"
    __table_args__ = (Index("instances_live", "project", "live"), Index("instances_bid", "bid"))
    bid: str | None = None
    reservation: str | None = None
    instance_type: str
    created_by: str
    ssh_destination: str | None = None
    private_ip: str | None = None


class ClusterRow(_Tracked, table=True):
    __tablename__ = "clusters"
    k8s_version: str
    kube_host: str | None = None
    deleted_at: datetime | None = Field(default=None, sa_type=Moment)
    instances: str = "[]"
    ssh_keys: str = "[]"


class TransitionRow(SQLModel, table=True):
    __tablename__ = "transitions"
    __table_args__ = (
        Index("transitions_subject", "subject", "position", "sequence"),
        Index("transitions_bid", "bid", "position", "sequence"),
        Index("transitions_observed", "observed_at"),
        {"sqlite_autoincrement": True},
    )
    sequence: int | None = Field(default=None, primary_key=True)
    kind: str
    subject: str
    project: str
    bid: str | None = None
    aspect: str
    before: str | None = None
    after: str
    type: str
    provenance: str
    baseline: bool
    inferred: bool = Field(default=False, sa_column_kwargs={"server_default": text("0")})
    window_start: datetime | None = Field(default=None, sa_type=Moment)
    observed_at: datetime = Field(sa_type=Moment)
    occurred_at: datetime | None = Field(default=None, sa_type=Moment)
    position: datetime = Field(sa_type=Moment)
    # The marketplace's clock minus ours when this was written: what compares the two clocks later needs it.
    ahead_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})


class EventRow(SQLModel, table=True):
    __tablename__ = "events"
    __table_args__ = (Index("events_time", "time"),)
    sequence: int = Field(primary_key=True, foreign_key="transitions.sequence")
    id: str = Field(unique=True)
    type: str
    time: datetime = Field(sa_type=Moment)
    body: str


class NoticeRow(SQLModel, table=True):
    """`sequence` is the transition that opened it; None for one that stood at first sight."""

    __tablename__ = "notices"
    __table_args__ = (Index("notices_open", "ended_at", "project"), Index("notices_sequence", "sequence"))
    subject: str = Field(primary_key=True)
    ordinal: int = Field(primary_key=True)
    kind: str
    project: str
    sequence: int | None = Field(default=None, foreign_key="transitions.sequence")
    opened_at: datetime = Field(sa_type=Moment)
    deadline: datetime = Field(sa_type=Moment)
    estimated: bool
    ended_at: datetime | None = Field(default=None, sa_type=Moment)
    ended_how: str | None = None


class DeliveryRow(SQLModel, table=True):
    """The outbox. A delivery is (event, hook, action); `id` never changes from try to try."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("deliveries_event", "sequence", "hook", "action", unique=True),
        Index("deliveries_due", "state", "hook", "action", "next_at"),
        Index("deliveries_hook", "hook", "sequence"),
        Index("deliveries_order", "hook", "subject", "state", "sequence"),
        Index("deliveries_notice", "notice"),
        Index("deliveries_ended", "finished_at", sqlite_where=text("finished_at IS NOT NULL")),
        Index("deliveries_rehearsal", "rehearsal", sqlite_where=text("rehearsal IS NOT NULL")),
    )
    id: str = Field(primary_key=True)
    sequence: int = Field(foreign_key="events.sequence")
    hook: str
    action: str
    subject: str
    notice: int | None = Field(default=None, foreign_key="transitions.sequence")  # that opened the notice it is for
    state: str  # pending, running, done, failed, skipped, superseded, expired, cancelled, dead
    attempts: int = 0
    created_at: datetime = Field(sa_type=Moment)
    next_at: datetime | None = Field(default=None, sa_type=Moment)
    finished_at: datetime | None = Field(default=None, sa_type=Moment)
    lease: str | None = None  # the run of the daemon that is at it
    reason: str | None = None
    # A person asked for it again: it is no longer judged by age, deadline or silence.
    by_hand: bool = Field(default=False, sa_column_kwargs={"server_default": text("0")})
    progress: str | None = None  # of an action that has parts: which of them are done, in the action's own JSON
    rehearsal: str | None = None  # the drill or test that it belongs to; None for what really happened


class AttemptRow(SQLModel, table=True):
    """One start of a delivery. Its output may go before it does: then `output_bytes` tells how long it was."""

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_output", "started_at", "output_bytes", sqlite_where=text("output IS NOT NULL")),)
    delivery: str = Field(primary_key=True, foreign_key="deliveries.id")
    number: int = Field(primary_key=True)  # of all starts; `deliveries.attempts` counts only those that count
    started_at: datetime = Field(sa_type=Moment)
    ended_at: datetime | None = Field(default=None, sa_type=Moment)
    outcome: str | None = None  # done, retry, failed, interrupted
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    output: str | None = None
    output_bytes: int | None = None  # in UTF-8


class SilenceRow(SQLModel, table=True):
    """A time in which hooks keep still for what matches. An ended one stays, to tell what it held back."""

    __tablename__ = "silences"
    id: int | None = Field(default=None, primary_key=True)
    pattern: str  # of bid names
    hook: str | None = None  # of all hooks: None
    begun_at: datetime = Field(sa_type=Moment)
    until: datetime = Field(sa_type=Moment)


class DisabledActionRow(SQLModel, table=True):
    """An action that is switched off until somebody looks at it: its receiver said that it is gone for good."""

    __tablename__ = "disabled_actions"
    hook: str = Field(primary_key=True)
    action: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Moment)
    reason: str
    mark: str  # of the definition that was switched off: one that is changed is on again


class _Price(SQLModel):
    at: datetime = Field(sa_type=Moment)
    capacity: int
    spot_price: str | None = None
    spot_price_cents: int | None = None
    win_price: str | None = None
    win_price_cents: int | None = None


class PriceRow(_Price, table=True):
    """A sample of the market, kept when it differs from the one before."""

    __tablename__ = "prices"
    __table_args__ = (Index("prices_series", "region", "instance_type", "at"),)
    id: int | None = Field(default=None, primary_key=True)
    region: str
    instance_type: str


class MarketRow(_Price, table=True):
    """The last sample of each auction: the same instance type may have a different fid in each region."""

    __tablename__ = "market"
    region: str = Field(primary_key=True)
    instance_type: str = Field(primary_key=True)


class InstanceTypeRow(SQLModel, table=True):
    __tablename__ = "instance_types"
    fid: str = Field(primary_key=True)
    name: str
    num_gpus: int
    gpu_type: str
    gpu_memory_gb: int
    ram_gb: int


class MemberRow(SQLModel, table=True):
    __tablename__ = "members"
    fid: str = Field(primary_key=True)
    name: str
