"""What is bounded whatever is configured for transitions: what hooks printed, and samples of the market.

Generators, as in `retention`: one transaction between two yields.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, literal_column, select, update

from mithrild.fleet import keeping
from mithrild.fleet.keeping import Coarse, Limits, Sample
from mithrild.store import meta
from mithrild.store.database import Database
from mithrild.store.tables import AttemptRow, MarketRow, PriceRow, table_of

OUTPUT_ROWS, OUTPUT_BYTES = 100, 500_000  # outputs in one transaction: what is freed is written over with zeros
PRICE_ROWS = 1_000

_attempts, _prices, _market = table_of(AttemptRow), table_of(PriceRow), table_of(MarketRow)
Auction = tuple[str, str]  # a region and the fid of an instance type


@dataclass(slots=True)
class Dropped:
    """How many rows went, and how many bytes of output."""

    transitions: int = 0
    things: int = 0  # bids and instances that had ended
    outputs: int = 0
    output_bytes: int = 0
    prices: int = 0

    def counts(self) -> dict[str, int]:
        return asdict(self)

    def __bool__(self) -> bool:
        return bool(self.transitions or self.things or self.outputs or self.prices)

    def __str__(self) -> str:
        parts = (
            (self.transitions, f"{self.transitions:,} transitions"),
            (self.things, f"{self.things:,} ended bids and instances"),
            (self.outputs, f"the output of {self.outputs:,} hook runs ({self.output_bytes / 1e6:.1f} MB)"),
            (self.prices, f"{self.prices:,} price samples"),
        )
        return ", ".join(words for count, words in parts if count) or "nothing"


def drop_outputs(database: Database, limits: Limits, now: datetime, dropped: Dropped) -> Iterator[None]:
    """The oldest first, until the rest is young enough and small enough. The attempt stays, and its `output_bytes`
    tells that something was there."""
    held = _attempts.c.output.is_not(None)
    row: ColumnElement[int] = literal_column("attempts.rowid")
    size = func.coalesce(_attempts.c.output_bytes, 0)
    oldest = select(row, _attempts.c.started_at, size).where(held).order_by(_attempts.c.started_at).limit(OUTPUT_ROWS)
    with database.read() as connection:
        total = connection.execute(select(func.sum(size)).where(held)).scalar() or 0
    while True:
        with database.read() as connection:
            rows = connection.execute(oldest).all()
        count = keeping.spilled([(at, size) for _, at, size in rows], total, limits, now)
        going, taken = [], 0
        for number, _, size_of in rows[:count]:
            if taken and taken + size_of > OUTPUT_BYTES:
                break
            going.append(number)
            taken += size_of
        if not going:
            return
        with database.write() as connection:
            connection.execute(update(_attempts).where(row.in_(going)).values(output=None))
        total -= taken
        dropped.outputs += len(going)
        dropped.output_bytes += taken
        yield


def drop_prices(database: Database, limits: Limits, now: datetime, dropped: Dropped) -> Iterator[None]:
    """Makes what is old coarser, and drops what is too old for even that."""
    with database.read() as connection:
        auctions = [(row.region, row.instance_type) for row in connection.execute(select(_market))]
    for coarse in keeping.coarser(limits, now):
        yield from _make_coarser(database, auctions, coarse, dropped)
    before = keeping.too_old_prices(limits, now)
    for auction in auctions if before is not None else ():
        gone = PRICE_ROWS
        while gone == PRICE_ROWS:
            some = select(_prices.c.id).where(*_of(auction), _prices.c.at < before).limit(PRICE_ROWS)
            with database.write() as connection:
                gone = connection.execute(delete(_prices).where(_prices.c.id.in_(some))).rowcount
            dropped.prices += gone
            yield


def _make_coarser(database: Database, auctions: list[Auction], coarse: Coarse, dropped: Dropped) -> Iterator[None]:
    """One auction's samples of one day in a transaction. A mark says how far all of them have come."""
    mark = f"prices_by_{coarse.bucket.total_seconds():.0f}s"
    with database.read() as connection:
        done = meta.get(connection, mark)
        first = datetime.fromisoformat(done) if done else _first_price(connection, auctions)
    begin = coarse.before if first is None else keeping.floor(first, coarse.bucket)
    for start, end in keeping.windows(begin, coarse.before):
        for auction in auctions:
            query = select(_prices.c.id, _prices.c.at, _prices.c.spot_price_cents)
            query = query.where(*_of(auction), _prices.c.at >= start, _prices.c.at < end)
            with database.read() as connection:
                samples = [Sample(*row) for row in connection.execute(query)]
            if going := keeping.superfluous(samples, coarse.bucket):
                with database.write() as connection:
                    connection.execute(delete(_prices).where(_prices.c.id.in_(going)))
                dropped.prices += len(going)
            yield
        with database.write() as connection:
            meta.put(connection, mark, end.isoformat())


def _first_price(connection: Connection, auctions: list[Auction]) -> datetime | None:
    firsts = (connection.execute(select(func.min(_prices.c.at)).where(*_of(auction))).scalar() for auction in auctions)
    return min(filter(None, firsts), default=None)


def _of(auction: Auction) -> tuple[ColumnElement[bool], ...]:
    return _prices.c.region == auction[0], _prices.c.instance_type == auction[1]
