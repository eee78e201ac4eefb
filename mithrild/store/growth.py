"""How large the record is, and what makes it so. Reads every page: for now and then, never for an answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from mithrild.store.database import Database
from mithrild.store.tables import TransitionRow, table_of

_transitions = table_of(TransitionRow)
# What grows together. The rest (the fleet, the account, SQLite's own) is small.
_PARTS = {
    "transitions": "transitions",
    "events": "transitions",
    "notices": "transitions",
    "deliveries": "deliveries",
    "attempts": "deliveries",
    "prices": "prices",
}
DBSTAT = "dbstat"  # the table in which SQLite counts its pages, if it was built with it
SAMPLE = 500  # rows of each table that are weighed where SQLite does not tell


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes count whole pages, indexes included; a transition's are those of its event and its notice too."""

    measured_at: datetime
    transitions: int
    bytes: dict[str, int]  # by part: transitions, deliveries (with what hooks printed), prices, other
    free_bytes: int  # of the file, to be used again
    oldest_at: datetime | None  # when the oldest transition that is kept was learned
    estimated: bool

    @property
    def bytes_each(self) -> int | None:
        return round(self.bytes["transitions"] / self.transitions) if self.transitions else None


def measure(database: Database, now: datetime) -> Growth:
    """Raises StoreError if the record cannot be read."""
    with database.read_kept() as connection:
        try:
            sizes, estimated = _told(connection), False
        except OperationalError:  # this SQLite was built without dbstat
            sizes, estimated = _weighed(connection), True
        count = connection.exec_driver_sql("SELECT count(*) FROM transitions").scalar_one()
        oldest = select(_transitions.c.observed_at).order_by(_transitions.c.sequence).limit(1)
        parts = Counter(dict.fromkeys((*_PARTS.values(), "other"), 0))
        for table, size in sizes.items():
            parts[_PARTS.get(table, "other")] += size
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one() * _page_size(connection)
        return Growth(now, count, dict(parts), free, connection.execute(oldest).scalar(), estimated)


def _told(connection: Connection) -> dict[str, int]:
    """Bytes by table, with its indexes, as SQLite counts them."""
    query = f"""SELECT coalesce(owner.tbl_name, stat.name), sum(stat.pgsize)
        FROM {DBSTAT} AS stat LEFT JOIN sqlite_master AS owner ON owner.name = stat.name
        WHERE stat.aggregate = 1 GROUP BY 1"""  # noqa: S608  # a name of ours
    return dict(connection.exec_driver_sql(query).all())


def _weighed(connection: Connection) -> dict[str, int]:
    """The pages in use, shared out by how long the text of each table's newest rows is."""
    names = [name for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")]
    weights: dict[str, float] = {}
    for name in names:  # of our own tables and columns: no statement takes those as parameters
        columns = [row[1] for row in connection.exec_driver_sql(f'PRAGMA table_info("{name}")')]
        length = " + ".join(f'coalesce(length(CAST("{column}" AS BLOB)), 0) + 2' for column in columns)
        query = f'SELECT avg(size) FROM (SELECT {length} AS size FROM "{name}" ORDER BY rowid DESC LIMIT {SAMPLE})'  # noqa: S608
        each = connection.exec_driver_sql(query).scalar() or 0.0
        weights[name] = each * connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one()  # noqa: S608
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    used = (pages - connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()) * _page_size(connection)
    whole = sum(weights.values()) or 1.0
    return {name: round(used * weight / whole) for name, weight in weights.items()}


def _page_size(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
